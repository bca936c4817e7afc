//! The way to the server of the model.

use std::{io, pin::Pin, sync::Arc, time::Duration};

use async_openai::{config::Config as Access, error::OpenAIError, middleware::HttpRequestFactory};
use chasqui_kit::clock;
use futures::{Stream, StreamExt as _};
use reqwest::{
    Body, Response,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::{refusal, request::Request};
use crate::Error;

/// What it is called at the server.
const USER_AGENT: &str = concat!("chasqui/", env!("CARGO_PKG_VERSION"));
/// How long a connection may take.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// The most bytes of a streamed answer. A chunk is a few hundred bytes around a few letters.
const STREAM_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most bytes of a refusal that are looked at.
const REFUSAL_BYTES_MAX: usize = 16 * 1024;
/// How long the body of a refusal may take.
const REFUSAL_WAIT: Duration = Duration::from_secs(2);

/// The chunks of an answer.
pub(super) type Chunks = Pin<Box<dyn Stream<Item = Result<Value, OpenAIError>> + Send>>;

/// The server of the model.
#[derive(Debug)]
pub(super) struct Client(async_openai::Client<Endpoint>);

/// Why there is no answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// No connection, or it broke before an answer began.
    Away,
    Refused(Refusal),
}

/// What the server answered instead of a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {reason}")]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// The server's word for it, or ours; never its text, which may repeat what it was sent.
    pub(super) reason: String,
    /// How long it wants to be left alone.
    pub(super) after: Option<Duration>,
}

/// Where the server is and what it is shown.
#[derive(Clone, Debug)]
struct Endpoint {
    base: String,
    key: SecretString,
    /// With the key, and marked as secret.
    authorization: HeaderValue,
}

impl Access for Endpoint {
    fn headers(&self) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, self.authorization.clone())])
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base
    }

    fn api_key(&self) -> &SecretString {
        &self.key
    }
}

impl Client {
    /// Connects to nothing yet.
    pub(super) fn new(base: &str, key: &SecretString) -> Result<Self, Error> {
        let base = base.trim_end_matches('/').to_owned();
        let _: reqwest::Url =
            base.parse().map_err(|error| Error::Model(format!("bot.openai_base_url is no URL: {error}")))?;
        let authorization = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()));
        let mut authorization = authorization
            .map_err(|_| Error::Model("bot.openai_api_key has characters that no key has".to_owned()))?;
        authorization.set_sensitive(true);
        let (client, secret) = (Arc::new(OnceCell::new()), key.clone());
        // The crate's own retries know neither how much time is left nor what the contact was already shown.
        let transport = tower::service_fn(move |request| carry(client.clone(), request, secret.clone()));
        let endpoint = Endpoint { base, key: key.clone(), authorization };
        Ok(Self(async_openai::Client::with_config(endpoint).with_http_service(transport)))
    }

    /// Asks for an answer. Has no time-out of its own.
    pub(super) async fn ask(&self, request: &Request<'_>) -> Result<Chunks, Failed> {
        let asked = self.0.chat().create_stream_byot::<_, Value>(request).await;
        asked.map_err(|error| match error {
            OpenAIError::Boxed(error) => {
                error.downcast().map_or(Failed::Away, |refusal| Failed::Refused(*refusal))
            }
            _ => Failed::Away,
        })
    }
}

/// Made when a model is first asked: the certificates it trusts are megabytes that most tenants have no use for.
fn http_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        // A proxy or another server would be shown the key and what contacts write.
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_WAIT)
        .build()
}

/// Makes one request. What is no stream comes back as a `Refusal`.
async fn carry(
    client: Arc<OnceCell<reqwest::Client>>,
    request: HttpRequestFactory,
    secret: SecretString,
) -> Result<Response, OpenAIError> {
    let client = client.get_or_try_init(async || http_client()).await?;
    let response = client.execute(request.build().await?).await?;
    let content_type =
        response.headers().get(CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
    let is_stream = content_type.is_none_or(|content_type| content_type.starts_with(b"text/event-stream"));
    if response.status().is_success() && is_stream {
        return Ok(bounded(response));
    }
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|value| refusal::retry_after(value, clock::now_ms()));
    let reason = if status.is_success() {
        "answered with something else than a stream".to_owned()
    } else {
        let body = tokio::time::timeout(REFUSAL_WAIT, body_of(response)).await.unwrap_or_default();
        refusal::reason(&body, &secret)
    };
    Err(OpenAIError::Boxed(Box::new(Refusal { status: status.as_u16(), reason, after })))
}

/// The same, whose body fails when it becomes too long.
fn bounded(response: Response) -> Response {
    let mut left = STREAM_BYTES_MAX;
    let bytes = response.bytes_stream().map(move |piece| {
        let piece = piece.map_err(|_| io::Error::other("the connection broke"))?;
        left = left.checked_sub(piece.len()).ok_or_else(|| io::Error::other("the answer is too long"))?;
        Ok::<_, io::Error>(piece)
    });
    http::Response::new(Body::wrap_stream(bytes)).into()
}

/// The beginning of a body; what cannot be read is empty.
async fn body_of(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        if body.len() + piece.len() > REFUSAL_BYTES_MAX {
            break;
        }
        body.extend_from_slice(&piece);
    }
    body
}
