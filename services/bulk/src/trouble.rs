//! What keeps a campaign from going on.

use chasqui_kit::{Code, Coded, publish::PublishError, request::RequestError};

/// Why a step of a campaign was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// Nothing happened: the same step will do later.
    #[error("{0}")]
    Away(String),
    /// Recipients may have been given out, and this runner does not know which.
    #[error("who is next may be settled without our knowing: {0}")]
    Doubt(RequestError),
    /// Another runner has the campaign, or there is no such campaign any more.
    #[error("{0}")]
    Over(RequestError),
}

impl Trouble {
    /// Of a request that changes nothing, or that may be repeated.
    pub(crate) fn of_repeatable(error: RequestError) -> Self {
        match error.code() {
            Code::Conflict | Code::NotFound => Self::Over(error),
            _ => Self::Away(error.to_string()),
        }
    }

    /// Of a request for recipients.
    pub(crate) fn of_claim(error: RequestError) -> Self {
        match error {
            RequestError::NoResponders(_) => Self::Away(error.to_string()),
            _ => match Self::of_repeatable(error) {
                // What failed while it was answered may have been committed.
                Self::Away(told) => Self::Doubt(RequestError::Away(told)),
                trouble => trouble,
            },
        }
    }
}

impl From<PublishError> for Trouble {
    fn from(error: PublishError) -> Self {
        Self::Away(error.to_string())
    }
}
