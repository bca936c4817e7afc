//! Why a request of an administrator was not done.

use axum::{extract::rejection::QueryRejection, response::Response};
use chasqui_kit::{Code, Coded, request::RequestError};
use chasqui_proto::tenant::InvalidTenant;
use serde_json::json;

use crate::{admission::AdmissionError, fields::FieldError, refusal::refuse_with, request_body::BodyError};

/// What the caller is told, and under which status.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdminError {
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error("tenant: this key administers another tenant")]
    OtherTenant,
    #[error("only the deployment's own key changes tenants")]
    TenantsAreTheDeployments,
    #[error("there is no such collection: tenants, users, agents, keys and numbers are")]
    NoCollection,
    #[error("only keys are made by POST; the others by PUT, under their id")]
    OnlyKeysAreMade,
    #[error("there is no such {0}")]
    NoEntry(&'static str),
    #[error("the message broker is away")]
    Away,
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Coded for AdminError {
    fn code(&self) -> Code {
        match self {
            Self::Admission(error) => error.code(),
            Self::Body(error) => error.code(),
            Self::Field(error) => error.code(),
            Self::OnlyKeysAreMade => Code::InvalidInput,
            Self::OtherTenant | Self::TenantsAreTheDeployments => Code::Forbidden,
            Self::NoCollection | Self::NoEntry(_) => Code::NotFound,
            Self::Away => Code::Unavailable,
            Self::Request(error) => error.code(),
        }
    }
}

impl AdminError {
    pub(super) fn query(rejection: &QueryRejection) -> Self {
        let expected = rejection.body_text();
        let expected = expected.trim_start_matches("Failed to deserialize query string: ").to_owned();
        FieldError::new("query", expected).into()
    }

    pub(super) fn tenant(invalid: &InvalidTenant) -> Self {
        FieldError::new("tenant", format!("must be a name: {invalid}")).into()
    }

    /// The answer.
    pub(super) fn told(&self) -> Response {
        let code = self.code();
        tracing::warn!(error = %self, code = code.as_str(), "a request of an administrator was refused");
        let message = match code {
            Code::Unavailable | Code::Timeout => "the directory cannot be reached now; try again".to_owned(),
            Code::Internal => "the request failed; the log says why".to_owned(),
            _ => self.to_string(),
        };
        refuse_with(code, json!({ "success": false, "message": message, "code": code.as_str() }))
    }
}

/// A field that is not what it must be.
pub(super) fn wrong(field: &'static str, expected: impl Into<std::borrow::Cow<'static, str>>) -> AdminError {
    FieldError::new(field, expected).into()
}
