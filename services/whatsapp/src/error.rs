//! What the service could not do, and for whom.

use chasqui_kit::{
    Code, Coded, consume::ConsumeError, lease::LeaseError, publish::PublishError, request::RequestError,
    serve::ServeError, stream::StreamError,
};
use chasqui_media::MediaError;

use crate::{cloud::GraphError, connector::ConnectorError, media::FetchError};

/// Why the service could not start, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The streams cannot be made.
    #[error("whatsapp cannot start: {0}")]
    Streams(#[from] StreamError),
    /// The leases cannot be reached.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The micro service cannot be started.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A field of a request is wrong: the text names it and says what was expected.
    #[error("{0}")]
    Invalid(String),
    /// There is no such session.
    #[error("session: the tenant has no session {0}")]
    NoSession(String),
    /// The tenant is suspended.
    #[error("tenant: {0} is suspended")]
    Suspended(String),
    /// The session stands differently than what was asked needs.
    #[error("session {session} is {status}: {expected}")]
    WrongState {
        /// Which.
        session: String,
        /// How it stands.
        status: &'static str,
        /// What would have been right.
        expected: &'static str,
    },
    /// A connector spoke to an owner that it has not heard of yet.
    #[error("link.ownership: expected {expected}, which this owner asked with, got {got}")]
    Superseded {
        /// This owner's.
        expected: u64,
        /// The connector's.
        got: u64,
    },
    /// There are as many sessions as there may be.
    #[error("there are {0} sessions already")]
    Full(usize),
    /// No replica owns the session yet.
    #[error("session {0} is about to be taken over; try again")]
    NoOwner(String),
    /// The provider or its connector did not do it.
    #[error("{0}")]
    Provider(String),
    /// The provider or its connector cannot be reached.
    #[error("{0}")]
    Away(String),
    /// A file was not brought.
    #[error("{message}")]
    Fetch {
        /// What kind of failure it was.
        code: Code,
        /// Why.
        message: String,
    },
    /// The Graph API cannot be spoken to as configured.
    #[error("{0}")]
    Graph(String),
    /// The media store cannot be opened.
    #[error("the media store cannot be opened: {0}")]
    Media(#[from] MediaError),
    /// Files of contacts cannot be followed.
    #[error(transparent)]
    Consume(#[from] ConsumeError),
    /// The session's state could not be stored.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The session's state could not be read.
    #[error("the states of the sessions cannot be read: {0}")]
    State(String),
    /// The owner did not do it.
    #[error(transparent)]
    Owner(#[from] RequestError),
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::Streams(error) => error.code(),
            Self::Lease(error) => error.code(),
            Self::Serve(error) => error.code(),
            Self::Publish(error) => error.code(),
            Self::Owner(error) => error.code(),
            Self::Media(error) => error.code(),
            Self::Consume(error) => error.code(),
            Self::Fetch { code, .. } => *code,
            Self::Graph(_) => Code::Internal,
            Self::Invalid(_) => Code::InvalidInput,
            Self::NoSession(_) => Code::NotFound,
            Self::Suspended(_) => Code::Forbidden,
            Self::WrongState { .. } | Self::Superseded { .. } | Self::Provider(_) => Code::Conflict,
            Self::Full(_) | Self::NoOwner(_) | Self::Away(_) | Self::State(_) => Code::Unavailable,
        }
    }
}

impl From<GraphError> for Error {
    fn from(error: GraphError) -> Self {
        Self::Graph(error.to_string())
    }
}

impl From<FetchError> for Error {
    fn from(error: FetchError) -> Self {
        Self::Fetch { code: error.code(), message: error.to_string() }
    }
}

impl From<ConnectorError> for Error {
    fn from(error: ConnectorError) -> Self {
        let text = error.to_string();
        match error {
            ConnectorError::Away(_) => Self::Away(text),
            _ => Self::Provider(text),
        }
    }
}
