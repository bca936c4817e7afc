//! Errors as HTTP clients read them.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use chasqui_kit::{Code, Coded};
use serde_json::{Value, json};

/// What a caller is told to wait when the broker is away, seconds. A broker restarts in one or two.
const RETRY_AFTER_SECS: &str = "2";

/// An error as JSON with a member `error`, under its status.
pub(crate) fn refuse(error: &impl Coded) -> Response {
    refuse_with(error.code(), json!({ "error": error.to_string() }))
}

/// An error with a body of its own.
pub(crate) fn refuse_with(code: Code, body: Value) -> Response {
    let mut response = (code.http_status(), Json(body)).into_response();
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECS));
    }
    response
}
