//! What the routes of machines have in common: who calls and how fast, and how refusals read.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, header::RETRY_AFTER},
    response::Response,
};
use bytes::Bytes;
use chasqui_directory::Scope;
use chasqui_kit::{Bus, Code, Coded, request::RequestError};
use serde_json::json;

use crate::{
    Config,
    admission::{Admission, AdmissionError, Caller},
    fields::FieldError,
    idempotency::InvalidKey,
    outgoing::OutgoingError,
    publication::PublicationError,
    rate::{Rate, TooFast},
    refusal::refuse_with,
    request_body::{self, BodyError},
    sessions::{SessionError, Sessions},
};

/// Room for the longest content with every character escaped.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Machines {
    pub(crate) bus: Bus,
    pub(crate) sessions: Sessions,
    admission: Admission,
    /// How fast messages may be handed in.
    sends: Rate,
    /// How fast everything else may be asked.
    requests: Rate,
}

/// Why a request was not done, and what the caller is told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MachineError {
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    #[error(transparent)]
    TooFast(#[from] TooFast),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Key(#[from] InvalidKey),
    #[error(transparent)]
    Publication(#[from] PublicationError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("there is no such listener")]
    NoListener,
    #[error("there is no such campaign")]
    NoCampaign,
    #[error("{0} campaigns are being handed in already; try again when one of them is done")]
    TooManyUploads(usize),
    #[error("listeners cannot be registered: ingest.sealing_key (SEALING_KEY) is not set")]
    NoSealingKey,
    #[error("the tenant has {0} listeners already; remove one first")]
    TooManyListeners(usize),
}

impl Coded for MachineError {
    fn code(&self) -> Code {
        match self {
            Self::Admission(error) => error.code(),
            Self::TooFast(error) => error.code(),
            Self::Body(error) => error.code(),
            Self::Field(error) => error.code(),
            Self::Outgoing(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::Session(error) => error.code(),
            Self::Publication(error) => error.code(),
            Self::Request(error) => error.code(),
            Self::TooManyListeners(_) => Code::Conflict,
            Self::NoListener | Self::NoCampaign => Code::NotFound,
            Self::NoSealingKey | Self::TooManyUploads(_) => Code::Unavailable,
        }
    }
}

impl MachineError {
    /// The answer. What is wrong inside is for the log.
    pub(crate) fn told(&self) -> Response {
        let code = self.code();
        tracing::warn!(error = %self, code = code.as_str(), "a request of a machine was refused");
        if code == Code::Unauthorized {
            // SHC-24: this, and nothing beside it.
            return refuse_with(code, json!({ "error": "Unauthorized" }));
        }
        let told = match (self, code) {
            (Self::Session(_) | Self::NoSealingKey | Self::TooManyUploads(_) | Self::Admission(_), _) => {
                self.to_string()
            }
            (_, Code::Unavailable | Code::Timeout) => "it could not be done now; try again".to_owned(),
            (_, Code::Internal) => "the request failed; the log says why".to_owned(),
            _ => self.to_string(),
        };
        let mut response = refuse_with(code, json!({ "success": false, "error": told }));
        if let Self::TooFast(too_fast) = self {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(too_fast.retry_after_secs()));
        }
        response
    }
}

impl Machines {
    pub(crate) fn new(bus: &Bus, config: &Config, admission: Admission) -> Self {
        Self {
            bus: bus.clone(),
            sessions: Sessions::new(bus.clone()),
            admission,
            sends: Rate::new("sends", config.sends_per_second_max),
            requests: Rate::new("requests", config.requests_per_second_max),
        }
    }

    /// Who hands in a message.
    pub(crate) async fn sender(&self, headers: &HeaderMap) -> Result<Caller, MachineError> {
        let caller = self.admission.caller(headers, &[Scope::Send]).await?;
        self.sends.check(&caller)?;
        Ok(caller)
    }

    /// Who asks for something else, with one of these scopes.
    pub(crate) async fn caller(&self, headers: &HeaderMap, scopes: &[Scope]) -> Result<Caller, MachineError> {
        let caller = self.admission.caller(headers, scopes).await?;
        self.requests.check(&caller)?;
        Ok(caller)
    }

    /// Who asks for what anybody may know of the default tenant.
    pub(crate) async fn anyone(&self, headers: &HeaderMap) -> Result<Caller, MachineError> {
        let caller = self.admission.anyone(headers, &[Scope::Listen, Scope::Send]).await?;
        self.requests.check(&caller)?;
        Ok(caller)
    }
}

/// The whole body of a request.
pub(crate) async fn body(request: Request) -> Result<Bytes, MachineError> {
    Ok(request_body::read(request.into_body(), BODY_BYTES_MAX).await?)
}

/// The answer, whatever came of it.
pub(crate) async fn answer(outcome: impl Future<Output = Result<Response, MachineError>>) -> Response {
    outcome.await.unwrap_or_else(|error| error.told())
}
