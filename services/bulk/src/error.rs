//! Why the service could not run.

use chasqui_kit::{Code, Coded, lease::LeaseError, stream::StreamError};

/// Why the service ended without having been told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The streams cannot be made.
    #[error("bulk cannot start: {0}")]
    Streams(#[from] StreamError),
    /// The leases cannot be opened.
    #[error("bulk cannot start: {0}")]
    Leases(#[from] LeaseError),
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::Streams(error) => error.code(),
            Self::Leases(error) => error.code(),
        }
    }
}
