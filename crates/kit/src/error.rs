//! Error codes: what an error means to whoever caused it, and the only two tables that say so.

use http::StatusCode;

/// What kind of failure an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The caller sent something that can never be right.
    InvalidInput,
    /// The caller did not prove who it is.
    Unauthorized,
    /// The caller may not do this.
    Forbidden,
    /// What the caller means does not exist.
    NotFound,
    /// The state has moved on since the caller looked.
    Conflict,
    /// More bytes or items than allowed.
    TooLarge,
    /// Too much too fast.
    RateLimited,
    /// Something we depend on is away: the same request will do later.
    Unavailable,
    /// Something we depend on did not answer in time: whether it acted is unknown.
    Timeout,
    /// Our own mistake.
    Internal,
}

/// What a consumer does with a message whose handling failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Try the same message again later.
    Retry,
    /// It will never work: to the dead letters.
    Reject,
}

/// An error that knows its code.
pub trait Coded: std::error::Error {
    /// What kind of failure this is.
    fn code(&self) -> Code;
}

impl Code {
    /// The name in metrics, logs and JSON errors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
        }
    }

    /// The first table: what an HTTP client is told. A time-out is 503 like an absence: providers retry both, and a
    /// repeated delivery is dropped by its id.
    pub fn http_status(self) -> StatusCode {
        match self {
            Self::InvalidInput => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable | Self::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The second table: what a consumer does with the message. An internal error is retried, since a deploy may mend
    /// it, until the consumer's limit of attempts rejects it.
    pub fn disposition(self) -> Disposition {
        match self {
            Self::InvalidInput | Self::Unauthorized | Self::Forbidden | Self::NotFound | Self::TooLarge => {
                Disposition::Reject
            }
            Self::Conflict | Self::RateLimited | Self::Unavailable | Self::Timeout | Self::Internal => {
                Disposition::Retry
            }
        }
    }

    /// The code that an answer of another service carried as its HTTP status.
    pub fn of_status(status: u16) -> Self {
        match status {
            400 => Self::InvalidInput,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            409 => Self::Conflict,
            413 => Self::TooLarge,
            429 => Self::RateLimited,
            503 => Self::Unavailable,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_survives_the_way_through_another_service() {
        for code in [
            Code::InvalidInput,
            Code::Unauthorized,
            Code::Forbidden,
            Code::NotFound,
            Code::Conflict,
            Code::TooLarge,
            Code::RateLimited,
            Code::Unavailable,
            Code::Internal,
        ] {
            assert_eq!(Code::of_status(code.http_status().as_u16()), code);
        }
    }
}
