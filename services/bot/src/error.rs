//! Why the service could not run.

use chasqui_kit::{Code, Coded, lease::LeaseError, stream::StreamError};
use chasqui_responder::RespondersError;

/// Why the service ended without having been told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The streams cannot be made.
    #[error("bot cannot start: {0}")]
    Streams(#[from] StreamError),
    /// The leases cannot be opened.
    #[error("bot cannot start: {0}")]
    Leases(#[from] LeaseError),
    /// The states cannot be read.
    #[error("bot cannot start: {0}")]
    Responders(#[from] RespondersError),
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::Streams(error) => error.code(),
            Self::Leases(error) => error.code(),
            Self::Responders(error) => error.code(),
        }
    }
}
