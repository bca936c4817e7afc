//! Why the service could not start.

use chasqui_kit::{Code, Coded, stream::StreamError};

/// Why the service ended without having been told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The streams cannot be made.
    #[error("ingest cannot start: {0}")]
    Streams(#[from] StreamError),
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::Streams(error) => error.code(),
        }
    }
}
