//! Why a token lets nobody in.

use chasqui_kit::{Code, Coded};

/// Why a token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The token is missing or wrong.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// The token is good, and not for this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The issuer publishes the keys of its tokens, and cannot be reached.
    #[error("the keys of the token's issuer cannot be fetched; try again")]
    KeysAway,
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::Unauthorized(_) => Code::Unauthorized,
            Self::Forbidden(_) => Code::Forbidden,
            Self::KeysAway => Code::Unavailable,
        }
    }
}
