//! What the Graph API answers instead of what was asked for.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use uuid::Uuid;

/// The token is missing, wrong or expired.
pub(crate) const TOKEN: i64 = 190;
/// A parameter is wrong, or the object does not exist (with `NO_OBJECT`).
pub(crate) const PARAMETER: i64 = 100;
/// The subcode of `PARAMETER` for an object that does not exist.
pub(crate) const NO_OBJECT: i64 = 33;
/// A parameter is missing.
pub(crate) const MISSING: i64 = 131_008;
/// A parameter has a value it cannot have.
pub(crate) const VALUE: i64 = 131_009;
/// The number sends too fast.
pub(crate) const NUMBER_LIMIT: i64 = 130_429;
/// Too many messages to one contact.
pub(crate) const PAIR_LIMIT: i64 = 131_056;
/// The contact has not written for 24 hours.
pub(crate) const WINDOW_CLOSED: i64 = 131_047;

/// A refusal in the Graph API's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GraphError {
    pub(crate) code: i64,
    pub(crate) subcode: Option<i64>,
    pub(crate) http: StatusCode,
    pub(crate) details: String,
    /// Seconds, as a header.
    pub(crate) retry_after: Option<u32>,
}

impl GraphError {
    /// The error of a code, with the HTTP status that Meta sends with it.
    pub(crate) fn new(code: i64, details: impl Into<String>) -> Self {
        Self { code, subcode: None, http: http_of(code), details: details.into(), retry_after: None }
    }

    /// There is no such object, or not for this token.
    pub(crate) fn no_object(id: &str) -> Self {
        let details = format!("Unsupported request. Object with ID '{id}' does not exist");
        Self { subcode: Some(NO_OBJECT), ..Self::new(PARAMETER, details) }
    }

    /// The same error in a `failed` status.
    pub(crate) fn in_status(&self) -> Value {
        let title = title_of(self.code);
        json!({
            "code": self.code,
            "title": title,
            "message": title,
            "error_data": { "details": self.details },
        })
    }
}

impl IntoResponse for GraphError {
    fn into_response(self) -> Response {
        let mut error = json!({
            "message": format!("(#{}) {}", self.code, title_of(self.code)),
            "type": "OAuthException",
            "code": self.code,
            "error_data": { "messaging_product": "whatsapp", "details": self.details },
            "fbtrace_id": Uuid::now_v7().simple().to_string(),
        });
        if let Some(subcode) = self.subcode {
            error["error_subcode"] = subcode.into();
        }
        let mut response = (self.http, Json(json!({ "error": error }))).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn http_of(code: i64) -> StatusCode {
    match code {
        0 | TOKEN => StatusCode::UNAUTHORIZED,
        3 | 131_000 => StatusCode::INTERNAL_SERVER_ERROR,
        2 | 131_016 | 131_057 | 133_004 => StatusCode::SERVICE_UNAVAILABLE,
        10 | 200..=299 | 368 | 131_005 | 131_031 => StatusCode::FORBIDDEN,
        4 | 80_007 | NUMBER_LIMIT | 131_048 | PAIR_LIMIT => StatusCode::TOO_MANY_REQUESTS,
        132_001 => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn title_of(code: i64) -> &'static str {
    match code {
        0 => "AuthException",
        1 => "API Unknown",
        2 => "API Service",
        3 => "API Method",
        4 => "API Too Many Calls",
        10 => "Permission Denied",
        PARAMETER => "Invalid parameter",
        TOKEN => "Invalid OAuth access token",
        200..=299 => "API Permission",
        368 => "Temporarily blocked for policies violations",
        80_007 => "Rate limit issues",
        NUMBER_LIMIT => "Rate limit hit",
        130_472 => "User's number is part of an experiment",
        130_497 => "Business account is restricted from messaging users in this country",
        131_000 => "Something went wrong",
        131_005 => "Access denied",
        MISSING => "Required parameter is missing",
        VALUE => "Parameter value is not valid",
        131_016 => "Service unavailable",
        131_021 => "Recipient cannot be sender",
        131_026 => "Message undeliverable",
        131_030 => "Recipient phone number not in allowed list",
        131_031 => "Business account has been locked",
        131_037 => "Display name approval needed",
        131_042 => "Business eligibility payment issue",
        131_045 => "Phone number registration error",
        WINDOW_CLOSED => "Re-engagement message",
        131_048 => "Spam rate limit hit",
        131_049 => "This message was not delivered to maintain healthy ecosystem engagement",
        131_050 => "User has stopped marketing messages",
        131_051 => "Unsupported message type",
        131_052 => "Media download error",
        131_053 => "Media upload error",
        PAIR_LIMIT => "(Business Account, Consumer Account) pair rate limit hit",
        131_057 => "Business Account is in maintenance mode",
        132_000 => "Number of parameters does not match the expected number of params",
        132_001 => "Template name does not exist in the translation",
        132_005 => "Translated text too long",
        132_007 => "Template format character policy violated",
        132_012 => "Parameter format does not match format in the created template",
        132_015 => "Template is paused",
        132_016 => "Template is disabled",
        132_068 => "Flow is blocked",
        132_069 => "Flow is throttled",
        133_004 => "Server temporarily unavailable",
        135_000 => "Generic user error",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_brings_the_status_that_meta_sends_with_it() {
        for (code, http) in [(0, 401), (190, 401), (3, 500), (10, 403), (210, 403), (4, 429), (368, 403)] {
            assert_eq!(GraphError::new(code, "").http.as_u16(), http, "{code}");
        }
        assert_eq!(GraphError::new(131_026, "").http.as_u16(), 400);
    }
}
