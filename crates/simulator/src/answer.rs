//! How the simulator's own routes read and refuse.

use axum::{
    Json,
    extract::rejection::JsonRejection,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// A JSON body, or what is wrong with it.
pub(crate) type Body = Result<Json<Value>, JsonRejection>;

/// A request that was not understood.
#[derive(Debug)]
pub(crate) struct Refused(StatusCode, String);

impl Refused {
    /// What is asked for cannot be right.
    pub(crate) fn bad(error: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// The JSON of a body.
pub(crate) fn wanted(body: Body) -> Result<Value, Refused> {
    let Json(wanted) = body.map_err(|rejection| Refused(rejection.status(), rejection.body_text()))?;
    Ok(wanted)
}
