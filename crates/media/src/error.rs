//! What can go wrong with files.

use chasqui_kit::{Code, Coded};

/// Why a file was not kept, found or shown.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The store cannot be opened as it is configured.
    #[error("media.store cannot be opened: {0}")]
    Unopened(String),
    /// Addresses of files cannot be signed or checked.
    #[error("media.url_key is needed for addresses of files")]
    NoKey,
    /// There is no such file.
    #[error("there is no such file")]
    NotFound,
    /// The file is larger than it may be.
    #[error("the file has more than {0} bytes")]
    TooLarge(u64),
    /// The bytes are not those that were announced.
    #[error("the file is not the one that was announced: its SHA-256 is {0}")]
    Altered(String),
    /// Whoever brings the bytes failed. The cause is theirs: `downcast_ref` finds it again.
    #[error("the file did not arrive whole: {0}")]
    Interrupted(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store is away or refuses.
    #[error("the media store does not answer: {0}")]
    Store(#[source] object_store::Error),
    /// What the store says of the file cannot be read.
    #[error("what is known of the file cannot be read: {0}")]
    Unreadable(#[source] serde_json::Error),
    /// The address of the file was not made by us, or was changed.
    #[error("the address of this file is not valid")]
    Forged,
    /// The address of the file was good once.
    #[error("the address of this file has expired")]
    Expired,
    /// The file was not there, and whoever could bring it did not.
    #[error("the file is not there yet: {message}")]
    NotBrought {
        /// What kind of failure.
        code: Code,
        /// What they said.
        message: String,
    },
}

impl Coded for MediaError {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::TooLarge(_) => Code::TooLarge,
            Self::Forged | Self::Expired => Code::Forbidden,
            Self::Interrupted(_) | Self::Altered(_) | Self::Store(_) => Code::Unavailable,
            Self::Unopened(_) | Self::NoKey | Self::Unreadable(_) => Code::Internal,
            Self::NotBrought { code, .. } => *code,
        }
    }
}

impl From<object_store::Error> for MediaError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound,
            error => Self::Store(error),
        }
    }
}
