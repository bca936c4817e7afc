use chasqui_kit::{Code, Coded};

use super::TYPES;

/// Why a message cannot be sent. Names the field by its path in the JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutgoingError {
    /// A field that must be there is not, or is empty.
    #[error("{0} is needed")]
    Missing(String),
    /// A field has another kind of value.
    #[error("{path} must be {expected}")]
    Kind {
        /// Which.
        path: String,
        /// Such as `an object`.
        expected: &'static str,
    },
    /// A field has a value that is not allowed.
    #[error("{path} must {expected}")]
    Value {
        /// Which.
        path: String,
        /// Such as `have 1 to 20 characters`.
        expected: String,
    },
    /// A type of message that cannot be sent.
    #[error("type must be one of {types}, not {0:?}", types = TYPES.join(", "))]
    Type(String),
}

impl OutgoingError {
    /// The code that the Cloud API has for it.
    pub(crate) fn graph_code(&self) -> i64 {
        match self {
            Self::Missing(_) => 131_008,
            Self::Kind { .. } => 100,
            Self::Value { .. } => 131_009,
            Self::Type(_) => 131_051,
        }
    }
}

impl Coded for OutgoingError {
    fn code(&self) -> Code {
        Code::InvalidInput
    }
}
