//! `/webhooks/whatsapp`: the door WhatsApp knocks at.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use chasqui_kit::{Code, Coded, TraceContext, clock, secret};
use secrecy::SecretString;
use serde::Deserialize;

use crate::{
    cloud_api::{self, NotJson},
    numbers::Numbers,
    openapi::Refusal,
    publication::{Publication, PublicationError},
    refusal::refuse,
    request_body::{self, BodyError},
    signature,
};

const PATH: &str = "/webhooks/whatsapp";

/// The largest webhook WhatsApp sends is 3 MB, by the documentation of those who resell it.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) verify_token: SecretString,
    pub(crate) app_secrets: Vec<SecretString>,
    pub(crate) numbers: Numbers,
    pub(crate) publication: Arc<Publication>,
}

/// Why a webhook was not taken.
#[derive(Debug, thiserror::Error)]
enum WebhookError {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the signature does not match the body")]
    Signature,
    #[error(transparent)]
    NotJson(#[from] NotJson),
    #[error(transparent)]
    Publication(#[from] PublicationError),
}

impl Coded for WebhookError {
    fn code(&self) -> Code {
        match self {
            Self::Body(error) => error.code(),
            Self::Signature => Code::Unauthorized,
            Self::NotJson(_) => Code::InvalidInput,
            Self::Publication(error) => error.code(),
        }
    }
}

pub(crate) fn routes(webhook: Webhook) -> Router {
    Router::new().route(PATH, get(handshake).post(receive)).with_state(Arc::new(webhook))
}

/// What WhatsApp asks when the webhook is registered.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Handshake {
    #[serde(rename = "hub.mode")]
    mode: String,
    #[serde(rename = "hub.challenge")]
    challenge: String,
    #[serde(rename = "hub.verify_token")]
    verify_token: String,
}

type Asked = Result<Query<Handshake>, QueryRejection>;

/// WhatsApp registers the webhook
#[utoipa::path(
    get, operation_id = "register_webhook", path = PATH, tag = "providers",
    params(
        ("hub.mode" = String, Query, description = "`subscribe`"),
        ("hub.verify_token" = String, Query, description = "`ingest.verify_token`"),
        ("hub.challenge" = String, Query, description = "What is answered"),
    ),
    responses(
        (status = 200, description = "The challenge", content_type = "text/plain", body = String),
        (status = 403, description = "The verify token is another", content_type = "text/plain", body = String),
    )
)]
pub(crate) async fn handshake(State(webhook): State<Arc<Webhook>>, query: Asked) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    if asked.mode == "subscribe" && secret::matches(&webhook.verify_token, &asked.verify_token) {
        tracing::info!("WhatsApp registered the webhook");
        return asked.challenge.into_response();
    }
    tracing::warn!("a registration of the webhook was refused: ingest.verify_token is another");
    (StatusCode::FORBIDDEN, "the verify token does not match").into_response()
}

/// Messages and statuses of WhatsApp
///
/// Answers 200 when all facts are stored, and not before: until then WhatsApp keeps them for us, for seven days.
#[utoipa::path(
    post, operation_id = "receive_webhook", path = PATH, tag = "providers",
    request_body(content = Object, description = "A webhook of the Cloud API, at most 3 MiB"),
    params(("X-Hub-Signature-256" = String, Header, description = "`sha256=` and the HMAC of the body")),
    responses(
        (status = 200, description = "Everything in it is stored", content_type = "text/plain", body = String),
        (status = 400, description = "The body is no JSON", body = Refusal),
        (status = 401, description = "The signature does not match the body", body = Refusal),
        (status = 413, description = "The body is larger than 3 MiB", body = Refusal),
        (status = 503, description = "Not everything is stored; send it again", body = Refusal),
    )
)]
pub(crate) async fn receive(State(webhook): State<Arc<Webhook>>, request: Request) -> Response {
    let trace = TraceContext::of_http(request.headers());
    match store(&webhook, request, trace).await {
        Ok(()) => "EVENT_RECEIVED".into_response(),
        Err(error) => {
            let (trace, code) = (trace.trace_id(), error.code().as_str());
            tracing::warn!(%error, code, trace, "a webhook was refused; WhatsApp will send it again");
            refuse(&error)
        }
    }
}

async fn store(webhook: &Webhook, request: Request, trace: TraceContext) -> Result<(), WebhookError> {
    let (parts, body) = request.into_parts();
    let body = request_body::read(body, BODY_BYTES_MAX).await?;
    if !signature::verifies(&webhook.app_secrets, &body, given_signature(&parts.headers)) {
        return Err(WebhookError::Signature);
    }
    let facts = cloud_api::parse(&body, |number| webhook.numbers.tenant_of(number), clock::now_ms())?;
    tracing::debug!(facts = facts.len(), trace = trace.trace_id(), "a webhook arrived");
    webhook.publication.publish_all(facts, trace).await?;
    Ok(())
}

fn given_signature(headers: &HeaderMap) -> &str {
    headers.get(signature::HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
