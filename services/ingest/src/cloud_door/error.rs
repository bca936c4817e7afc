use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use chasqui_kit::{Code, Coded, request::RequestError};
use chasqui_media::MediaError;
use serde_json::{Value, json};

use super::upload::UploadError;
use crate::{
    idempotency::InvalidKey, machine::MachineError, outgoing::OutgoingError, publication::PublicationError,
    request_body::BodyError, sessions::SessionError,
};

/// What a client is told to wait when the broker is away, seconds.
const RETRY_AFTER_SECS: u64 = 2;
/// How much of an unknown id is said again, characters.
const ID_SHOWN_MAX: usize = 64;

/// Why a client of the Cloud API was not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum DoorError {
    /// Whoever it is may not, or not now.
    #[error(transparent)]
    Machine(#[from] MachineError),
    #[error("the key goes into the header Authorization, never into the address")]
    TokenInQuery,
    #[error(
        "Object with ID '{}' does not exist, cannot be loaded due to missing permissions, or does not support this \
         operation", shown(.id)
    )]
    Object {
        /// What was tried on it.
        method: Method,
        /// What the path named.
        id: String,
    },
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
    #[error(transparent)]
    Key(#[from] InvalidKey),
    #[error(transparent)]
    Publication(#[from] PublicationError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error("no files are kept here: media.url_key is not set")]
    NoFiles,
}

impl Coded for DoorError {
    fn code(&self) -> Code {
        match self {
            Self::Machine(error) => error.code(),
            Self::TokenInQuery => Code::Unauthorized,
            Self::Object { .. } => Code::NotFound,
            Self::Session(error) => error.code(),
            Self::Body(error) => error.code(),
            Self::NotAnObject => Code::InvalidInput,
            Self::Outgoing(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::Publication(error) => error.code(),
            Self::Request(error) => error.code(),
            Self::Upload(error) => error.code(),
            Self::Media(error) => error.code(),
            Self::NoFiles => Code::Internal,
        }
    }
}

/// An error as the Graph API tells it.
struct Told {
    status: StatusCode,
    code: i64,
    subcode: Option<i64>,
    message: String,
    details: String,
}

impl DoorError {
    /// The answer in the envelope of the Graph API. `trace_id` is what the logs have it under.
    pub(super) fn answer(&self, trace_id: &str) -> Response {
        let told = self.told();
        let is_transient = told.status == StatusCode::SERVICE_UNAVAILABLE;
        let kind = if told.subcode.is_some() { "GraphMethodException" } else { "OAuthException" };
        let mut error = json!({
            "message": told.message,
            "type": kind,
            "code": told.code,
            "error_data": { "messaging_product": "whatsapp", "details": told.details },
            "fbtrace_id": trace_id,
        });
        if let Some(subcode) = told.subcode {
            error["error_subcode"] = subcode.into();
        }
        if is_transient {
            error["is_transient"] = Value::Bool(true);
        }
        let mut response = (told.status, Json(json!({ "error": error }))).into_response();
        let wait_secs = match self {
            Self::Machine(MachineError::TooFast(error)) => Some(error.retry_after_secs()),
            _ => is_transient.then_some(RETRY_AFTER_SECS),
        };
        if let Some(wait_secs) = wait_secs {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait_secs));
        }
        response
    }

    /// WhatsApp's code and status for each kind of failure; clients branch on the code.
    fn told(&self) -> Told {
        let details = self.to_string();
        let told = |status, code, title: &str| {
            let message = format!("(#{code}) {title}");
            Told { status, code, subcode: None, message, details: details.clone() }
        };
        if let Self::Object { method, .. } = self {
            let message = format!("Unsupported {} request. {details}", method.as_str().to_lowercase());
            return Told { subcode: Some(33), message, ..told(StatusCode::BAD_REQUEST, 100, "") };
        }
        if let Self::Outgoing(error) = self {
            return told(StatusCode::BAD_REQUEST, error.graph_code(), title(error));
        }
        match self.code() {
            Code::Unauthorized => {
                let message = "Invalid OAuth access token".to_owned();
                Told { message, ..told(StatusCode::UNAUTHORIZED, 190, "") }
            }
            Code::Forbidden => {
                told(StatusCode::FORBIDDEN, 10, "Application does not have permission for this action")
            }
            Code::RateLimited => told(StatusCode::TOO_MANY_REQUESTS, 130_429, "Rate limit hit"),
            Code::Unavailable | Code::Timeout => {
                told(StatusCode::SERVICE_UNAVAILABLE, 2, "Service temporarily unavailable")
            }
            Code::Internal => told(StatusCode::SERVICE_UNAVAILABLE, 131_000, "Something went wrong"),
            Code::InvalidInput | Code::NotFound | Code::Conflict | Code::TooLarge => {
                told(StatusCode::BAD_REQUEST, 100, "Invalid parameter")
            }
        }
    }
}

fn title(error: &OutgoingError) -> &'static str {
    match error {
        OutgoingError::Missing(_) => "Required parameter is missing",
        OutgoingError::Kind { .. } => "Invalid parameter",
        OutgoingError::Value { .. } => "Parameter value is not valid",
        OutgoingError::Type(_) => "Unsupported message type",
    }
}

fn shown(id: &str) -> String {
    id.chars().take(ID_SHOWN_MAX).collect()
}
