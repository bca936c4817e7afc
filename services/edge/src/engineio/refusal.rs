//! How a request that cannot be served is answered: the codes and words of the Node.js implementation.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header::RETRY_AFTER};
use serde_json::json;

/// How long a client is told to wait for a place, seconds.
const RETRY_SECS: &str = "5";

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// `transport` is neither `polling` nor `websocket`.
    UnknownTransport,
    /// No session has this id: the client opens a new one.
    UnknownSession,
    /// A session is opened by GET.
    BadHandshakeMethod,
    /// The request makes no sense for its session.
    BadRequest,
    /// `EIO` is not 4.
    UnsupportedVersion,
    /// The body is larger than the handshake said.
    TooLarge,
    /// There are too many sessions, or the node stops.
    Busy,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (code, message) = match self {
            Self::UnknownTransport => (0, "Transport unknown"),
            Self::UnknownSession => (1, "Session ID unknown"),
            Self::BadHandshakeMethod => (2, "Bad handshake method"),
            Self::BadRequest => (3, "Bad request"),
            Self::UnsupportedVersion => (5, "Unsupported protocol version"),
            Self::TooLarge => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
            Self::Busy => {
                return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, RETRY_SECS)]).into_response();
            }
        };
        (StatusCode::BAD_REQUEST, Json(json!({ "code": code, "message": message }))).into_response()
    }
}
