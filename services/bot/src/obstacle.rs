//! What keeps a conversation from going on now.

use chasqui_kit::publish::PublishError;
use chasqui_responder::RespondersError;

/// Why a step was not made. It is made later, by whoever has the message then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Obstacle {
    /// Somebody else went on meanwhile.
    #[error("somebody else went on meanwhile")]
    Overtaken,
    /// The broker, or who is asked, is away; whether something was written is unknown.
    #[error("{0}")]
    Away(String),
}

impl Obstacle {
    /// What was asked could not answer.
    pub(crate) fn away(error: impl std::fmt::Display) -> Self {
        Self::Away(error.to_string())
    }
}

impl From<RespondersError> for Obstacle {
    fn from(error: RespondersError) -> Self {
        Self::away(error)
    }
}

impl From<PublishError> for Obstacle {
    fn from(error: PublishError) -> Self {
        Self::away(error)
    }
}
