use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, Path},
    http::{Method, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use chasqui_kit::{Code, Coded, TraceContext};
use chasqui_proto::{Tenant, v1::NumberEntry};
use serde_json::{Value, json};

use super::{CloudDoor, DoorError};
use crate::admission::Caller;

/// Who asks for what: a request that may go on.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) caller: Caller,
    /// What the path names after the version: a number or a file.
    pub(super) object: String,
    pub(super) trace: TraceContext,
    method: Method,
}

impl FromRequestParts<Arc<CloudDoor>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<CloudDoor>) -> Result<Self, Response> {
        let trace = TraceContext::of_http(&parts.headers);
        let path = Path::<(String, String)>::from_request_parts(parts, door).await;
        // What only begins like a version is not ours to answer.
        let Some(Path((_, object))) = path.ok().filter(|Path((version, _))| is_version(version)) else {
            return Err(unknown_path(parts));
        };
        let method = parts.method.clone();
        match admitted(parts, door).await {
            Ok(caller) => Ok(Self { caller, object, trace, method }),
            Err(error) => Err(refused(&error, trace)),
        }
    }
}

impl Visitor {
    /// Whose key it has.
    pub(super) fn tenant(&self) -> &Tenant {
        &self.caller.tenant
    }

    /// The number or linked device that the path names, where it is the visitor's.
    pub(super) async fn number(&self, door: &CloudDoor) -> Result<NumberEntry, DoorError> {
        if let Some(number) = door.number(self.tenant(), &self.object) {
            return Ok(number);
        }
        door.device(self.tenant(), &self.object, self.trace).await?.ok_or_else(|| self.unknown())
    }

    /// The path names nothing of the visitor's.
    pub(super) fn unknown(&self) -> DoorError {
        DoorError::Object { method: self.method.clone(), id: self.object.clone() }
    }

    pub(super) fn answer(&self, outcome: Result<Value, DoorError>) -> Response {
        match outcome {
            Ok(body) => Json(body).into_response(),
            Err(error) => refused(&error, self.trace),
        }
    }
}

async fn admitted(parts: &Parts, door: &CloudDoor) -> Result<Caller, DoorError> {
    let query = parts.uri.query().unwrap_or_default();
    if query.split('&').any(|pair| pair.split('=').next() == Some("access_token")) {
        return Err(DoorError::TokenInQuery);
    }
    Ok(door.machines.sender(&parts.headers).await?)
}

fn refused(error: &DoorError, trace: TraceContext) -> Response {
    let (id, code) = (trace.trace_id(), error.code());
    if code == Code::Internal {
        tracing::error!(%error, trace = id, "a request of a Cloud API client failed");
    } else {
        tracing::warn!(%error, trace = id, code = code.as_str(), "a Cloud API client was refused");
    }
    error.answer(&id)
}

/// Digits, a point, digits.
fn is_version(version: &str) -> bool {
    let is_number =
        |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    version.split_once('.').is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}

fn unknown_path(parts: &Parts) -> Response {
    let error = format!("nothing answers {} {}", parts.method, parts.uri.path());
    (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_two_numbers() {
        assert!(is_version("21.0") && is_version("1.0") && is_version("100.12"));
        for other in ["", "21", "21.", ".0", "21.0.1", "ideos", "21.x", "+1.0", "1234.0"] {
            assert!(!is_version(other), "{other:?}");
        }
    }
}
