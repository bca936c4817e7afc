//! Why the simulator could not start.

use chasqui_kit::{Code, Coded};

/// Why the simulator ended without having been told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its port cannot be bound.
    #[error("the simulator cannot listen on {host}: {cause}")]
    Listen {
        /// The address it was to listen on.
        host: String,
        /// What the operating system said, with the port.
        cause: std::io::Error,
    },
    /// The HTTP client cannot be made.
    #[error("the simulator has no HTTP client: {0}")]
    Client(reqwest::Error),
    /// It cannot answer on NATS.
    #[error(transparent)]
    Serve(#[from] chasqui_kit::serve::ServeError),
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::Listen { .. } => Code::Unavailable,
            Self::Client(_) => Code::Internal,
            Self::Serve(error) => error.code(),
        }
    }
}
