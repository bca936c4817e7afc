//! What can go wrong in the edge.

use chasqui_kit::{
    Code, Coded, bus::BarrierError, publish::PublishError, request::RequestError, stream::StreamError,
};
use chasqui_media::MediaError;

/// A failure of the edge, or of what it stands on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The streams could not be made or read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The broker did not confirm a subscription.
    #[error(transparent)]
    Barrier(#[from] BarrierError),
    /// The broker refused a subscription.
    #[error("cannot subscribe: {0}")]
    Subscribe(String),
    /// The stream's position or content could not be read.
    #[error("cannot read the stream: {0}")]
    ReadStream(String),
    /// A message could not be stored.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Another service did not answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A file could not be kept or found.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The credentials are missing or wrong.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// The issuer publishes the keys of its tokens, and cannot be reached.
    #[error("the keys of the token's issuer cannot be fetched; try again")]
    KeysAway,
    /// The node cannot take the client just now.
    #[error("{0}")]
    NotNow(&'static str),
    /// The client is too fast.
    #[error("{0}")]
    RateLimited(&'static str),
    /// The client is known and may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// What the client means is not there, or not for it.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// What is asked for does not go with how things stand; the text names the field.
    #[error("{0}")]
    Conflict(&'static str),
    /// The client sent more than it may.
    #[error("{0}")]
    TooLarge(String),
    /// The client sent something that cannot be right; the text names the field and what was expected.
    #[error("{0}")]
    Invalid(String),
}

impl From<chasqui_identity::Error> for Error {
    fn from(error: chasqui_identity::Error) -> Self {
        match error {
            chasqui_identity::Error::Unauthorized(why) => Self::Unauthorized(why),
            chasqui_identity::Error::Forbidden(why) => Self::Forbidden(why),
            chasqui_identity::Error::KeysAway => Self::KeysAway,
        }
    }
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::Stream(error) => error.code(),
            Self::Barrier(error) => error.code(),
            Self::Publish(error) => error.code(),
            Self::Request(error) => error.code(),
            Self::Media(error) => error.code(),
            Self::Subscribe(_) | Self::ReadStream(_) | Self::NotNow(_) | Self::KeysAway => Code::Unavailable,
            Self::Unauthorized(_) => Code::Unauthorized,
            Self::Forbidden(_) => Code::Forbidden,
            Self::RateLimited(_) => Code::RateLimited,
            Self::NotFound(_) => Code::NotFound,
            Self::Conflict(_) => Code::Conflict,
            Self::TooLarge(_) => Code::TooLarge,
            Self::Invalid(_) => Code::InvalidInput,
        }
    }
}
