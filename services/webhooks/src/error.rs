//! Why the service could not run, and why a question was not answered.

use chasqui_kit::{
    Code, Coded, lease::LeaseError, publish::PublishError, request::RequestError, seal::SealError,
    serve::ServeError, stream::StreamError,
};
use chasqui_responder::RespondersError;

/// Why the service ended without having been told to, or could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The streams cannot be made.
    #[error("webhooks cannot start: {0}")]
    Streams(#[from] StreamError),
    /// The leases cannot be opened.
    #[error("webhooks cannot start: {0}")]
    Leases(#[from] LeaseError),
    /// Its questions cannot be answered.
    #[error("webhooks cannot start: {0}")]
    Serve(#[from] ServeError),
    /// The key of the listeners' secrets is wrong.
    #[error("webhooks.sealing_key: {0}")]
    SealingKey(SealError),
    /// The client that posts cannot be made.
    #[error("webhooks cannot start: {0}")]
    Client(String),
    /// The allowed networks cannot be read.
    #[error("webhooks.private_networks_allowed: {0}")]
    Networks(#[from] chasqui_callback::InvalidNetwork),
    /// The question names no tenant or listener.
    #[error("{field} {problem}")]
    Question {
        /// Which field of the question.
        field: &'static str,
        /// What was expected.
        problem: String,
    },
    /// What the question is about is not there.
    #[error("{0}")]
    NotFound(String),
    /// The log cannot be asked.
    #[error("the delivery log cannot be read: {0}")]
    Log(#[from] RequestError),
    /// The broker cannot be asked for a fact, or for what waits.
    #[error("the broker cannot be asked: {0}")]
    Broker(String),
    /// Who answers the contact is not known now.
    #[error(transparent)]
    Responder(#[from] RespondersError),
    /// A delivery could not be stored.
    #[error("a delivery was not stored: {0}")]
    Publish(#[from] PublishError),
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::Streams(error) => error.code(),
            Self::Leases(error) => error.code(),
            Self::Serve(error) => error.code(),
            Self::Log(error) => error.code(),
            Self::Publish(error) => error.code(),
            Self::Responder(error) => error.code(),
            Self::SealingKey(_) | Self::Client(_) | Self::Networks(_) => Code::Internal,
            Self::Question { .. } => Code::InvalidInput,
            Self::NotFound(_) => Code::NotFound,
            Self::Broker(_) => Code::Unavailable,
        }
    }
}
