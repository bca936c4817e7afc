//! A connection to `/api/whatsapp/*`.

use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, StatusCode,
    header::{CONTENT_TYPE, HOST},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;

use crate::{address::Address, http::Http};

/// The pause after 429: what the deployment asks for.
const TOO_FAST_PAUSE: Duration = Duration::from_secs(1);
/// How long one request is tried while the deployment answers that it comes too fast.
const PATIENCE: Duration = Duration::from_mins(1);

/// One connection that carries the API key.
#[derive(Debug)]
pub(crate) struct Api {
    http: Http,
    host: String,
    key: SecretString,
}

impl Api {
    /// A connection, opened with the first request.
    pub(crate) fn new(to: &Address, key: &SecretString) -> Self {
        Self { http: Http::new(to), host: to.authority(), key: key.clone() }
    }

    /// Posts, and posts again while the answer is that it comes too fast.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<(StatusCode, Bytes)> {
        let begun = Instant::now();
        loop {
            let request = Request::post(path)
                .header(HOST, &self.host)
                .header(CONTENT_TYPE, "application/json")
                .header("x-api-key", self.key.expose_secret());
            let request = request.body(Full::from(body.to_string()))?;
            let (status, answer) = self.http.ask(request).await?;
            if status != StatusCode::TOO_MANY_REQUESTS || begun.elapsed() > PATIENCE {
                return Ok((status, answer));
            }
            tokio::time::sleep(TOO_FAST_PAUSE).await;
        }
    }

    /// The same, where anything but 200 is an error.
    pub(crate) async fn done(&mut self, path: &str, body: &Value) -> anyhow::Result<()> {
        let (status, answer) = self.post(path, body).await?;
        let told = || format!("{path} answered {status}: {}", String::from_utf8_lossy(&answer));
        ensure!(status == StatusCode::OK, told());
        Ok(())
    }
}

/// The key of the options, which a mode that needs it has checked.
pub(crate) fn needed(key: Option<&SecretString>) -> anyhow::Result<&SecretString> {
    let key = key.context("an API key is needed (WHATSAPP_API_KEY)")?;
    let is_header = key.expose_secret().bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(is_header && !key.expose_secret().is_empty(), "the API key cannot stand in a header");
    Ok(key)
}
