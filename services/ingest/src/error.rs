//! Why the service could not start.

use chasqui_kit::{Code, Coded, stream::StreamError};
use chasqui_media::MediaError;
use chasqui_responder::RespondersError;

/// Why the service ended without having been told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The streams cannot be made.
    #[error("ingest cannot start: {0}")]
    Streams(#[from] StreamError),
    /// Who answers contacts cannot be asked.
    #[error("ingest cannot start: {0}")]
    Responders(#[from] RespondersError),
    /// The media store cannot be opened.
    #[error("ingest cannot start: {0}")]
    Media(#[from] MediaError),
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::Streams(error) => error.code(),
            Self::Responders(error) => error.code(),
            Self::Media(error) => error.code(),
        }
    }
}
