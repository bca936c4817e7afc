//! Why the service could not run.

use chasqui_kit::{Code, Coded, lease::LeaseError, stream::StreamError};
use chasqui_responder::RespondersError;

use crate::Problem;

/// Why the service ended without having been told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The files that say what the bot does are wrong; one line each.
    #[error("bot cannot start: its definitions are wrong\n{}", lines(.0))]
    Definitions(Vec<Problem>),
    /// The language model cannot be asked: a setting is wrong.
    #[error("bot cannot start: {0}")]
    Model(String),
    /// The streams cannot be made.
    #[error("bot cannot start: {0}")]
    Streams(#[from] StreamError),
    /// The leases cannot be opened.
    #[error("bot cannot start: {0}")]
    Leases(#[from] LeaseError),
    /// The states cannot be read.
    #[error("bot cannot start: {0}")]
    Responders(#[from] RespondersError),
    /// What it reads and writes is not there.
    #[error("bot cannot start: {0}")]
    Broker(String),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::Definitions(_) | Self::Model(_) => Code::InvalidInput,
            Self::Streams(error) => error.code(),
            Self::Leases(error) => error.code(),
            Self::Responders(error) => error.code(),
            Self::Broker(_) => Code::Unavailable,
        }
    }
}
