//! The Graph API at its wire: what was asked, what was answered, and whether the question left this machine.

use std::{
    error::Error as _,
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt};
use reqwest::{
    Body, Client, RequestBuilder, Response, Url,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
    multipart::Form,
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Settings, origin};
use crate::connector::ConnectorError;

/// The most bytes of an answer that are read; the largest that are known stay under a tenth of it.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long uploading a file may take: 100 MiB at 3 Mbit/s.
pub(super) const UPLOAD_WAIT: Duration = Duration::from_mins(5);
/// How long nothing may come of a file that is downloaded.
const STALL_WAIT: Duration = Duration::from_secs(30);
/// How long a connection is kept for the next request: shorter than servers keep it, since a request on a connection
/// that is being closed has an unknown end.
const IDLE_WAIT: Duration = Duration::from_secs(20);
/// The longest pause that an answer may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);
/// Who asks.
const USER_AGENT: &str = concat!("chasqui/", env!("CARGO_PKG_VERSION"));

/// The Graph API cannot be spoken to as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("the Graph API cannot be reached as configured: {0}")]
pub(crate) struct GraphError(String);

/// The connections to the Graph API. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    client: Client,
    /// Address and version.
    base: Url,
    answer_wait: Duration,
}

/// An answer, whatever it says.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// Why it is not whole, where it is not.
    pub(super) body: Result<Bytes, String>,
}

/// No answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// The provider cannot have the whole request.
    NotWritten(String),
    /// It may have it.
    Unknown(String),
}

impl From<Failed> for ConnectorError {
    fn from(failed: Failed) -> Self {
        let (Failed::NotWritten(cause) | Failed::Unknown(cause)) = failed;
        Self::Away(cause)
    }
}

impl Graph {
    /// Connects to nothing yet.
    pub(crate) fn new(settings: &Settings) -> Result<Self, GraphError> {
        let client = Client::builder()
            .user_agent(USER_AGENT)
            // A proxy from the environment would be shown tokens and messages that nobody meant for it.
            .no_proxy()
            .redirect(Policy::none())
            // One request on a connection at a time: only then is it known which bytes were written.
            .http1_only()
            .connect_timeout(settings.connect_wait)
            .pool_idle_timeout(IDLE_WAIT)
            .build()
            .map_err(|error| GraphError(told(&error)))?;
        let address = format!("{}/{}/", settings.graph_url.trim_end_matches('/'), settings.graph_version);
        let base = Url::parse(&address).map_err(|error| GraphError(format!("{address}: {error}")))?;
        Ok(Self { client, base, answer_wait: settings.answer_wait })
    }

    /// How long an answer may take.
    pub(super) fn answer_wait(&self) -> Duration {
        self.answer_wait
    }

    /// Asks with a body of JSON.
    pub(super) async fn post(
        &self,
        path: &str,
        token: &SecretString,
        json: Vec<u8>,
    ) -> Result<Answered, Failed> {
        let written = Arc::new(AtomicBool::new(false));
        let (length, begun) = (json.len(), written.clone());
        // A body that is handed over when the connection asks for it: before that no request can be whole out there.
        let body = Body::wrap_stream(stream::once(async move {
            begun.store(true, Ordering::Release);
            Ok::<Bytes, std::convert::Infallible>(json.into())
        }));
        let request = self
            .client
            .post(self.address(path))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(CONTENT_LENGTH, length)
            .body(body);
        self.ask(request, token, self.answer_wait, &written).await
    }

    /// Asks with a form that holds a file.
    pub(super) async fn upload(
        &self,
        path: &str,
        token: &SecretString,
        form: Form,
    ) -> Result<Answered, Failed> {
        let request = self.client.post(self.address(path)).multipart(form);
        self.ask(request, token, UPLOAD_WAIT, &AtomicBool::new(true)).await
    }

    /// Asks.
    pub(super) async fn get(&self, path: &str, token: &SecretString) -> Result<Answered, Failed> {
        self.ask(self.client.get(self.address(path)), token, self.answer_wait, &AtomicBool::new(true)).await
    }

    /// The address of a file, if the token may be shown to whoever answers there.
    pub(super) fn trusted(&self, address: &str) -> Result<Url, ConnectorError> {
        origin::trusted(address, &self.base)
    }

    /// Opens a file of at most `bytes_max` bytes.
    pub(super) async fn download(
        &self,
        address: Url,
        token: &SecretString,
        bytes_max: u64,
    ) -> Result<BoxStream<'static, Result<Bytes, ConnectorError>>, ConnectorError> {
        let request = authorised(self.client.get(address), token);
        let opened =
            timeout(self.answer_wait, request.send()).await.map_err(|_| stalled(self.answer_wait))?;
        let response = opened.map_err(|error| ConnectorError::Away(told(&error)))?;
        if !response.status().is_success() {
            let answered = read(response, Instant::now() + self.answer_wait).await;
            return Err(super::answer::read(&answered).into());
        }
        if response.content_length().is_some_and(|length| length > bytes_max) {
            return Err(ConnectorError::TooLarge(bytes_max));
        }
        Ok(pieces(response, bytes_max))
    }

    fn address(&self, path: &str) -> Url {
        self.base.join(path).expect("paths are made of digits and names")
    }

    async fn ask(
        &self,
        request: RequestBuilder,
        token: &SecretString,
        wait: Duration,
        written: &AtomicBool,
    ) -> Result<Answered, Failed> {
        let deadline = Instant::now() + wait;
        let sent = timeout_at(deadline, authorised(request, token).send()).await;
        let failed = match sent {
            Ok(Ok(response)) => return Ok(read(response, deadline).await),
            Ok(Err(error)) if error.is_connect() => return Err(Failed::NotWritten(told(&error))),
            Ok(Err(error)) => told(&error),
            Err(_) => format!("no answer within {} ms", wait.as_millis()),
        };
        let is_written = written.load(Ordering::Acquire);
        Err(if is_written { Failed::Unknown(failed) } else { Failed::NotWritten(failed) })
    }
}

async fn read(mut response: Response, deadline: Instant) -> Answered {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers().get(RETRY_AFTER));
    let whole = async {
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(|error| told(&error))? {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(format!("the answer has more than {ANSWER_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    };
    let body =
        timeout_at(deadline, whole).await.unwrap_or_else(|_| Err("it was not whole in time".to_owned()));
    Answered { status, retry_after, body }
}

fn authorised(request: RequestBuilder, token: &SecretString) -> RequestBuilder {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
    // A token with line breaks is no header; without one the answer is that it is missing.
    let mut value = value.unwrap_or_else(|_| HeaderValue::from_static("Bearer"));
    value.set_sensitive(true);
    request.header(AUTHORIZATION, value)
}

fn pieces(response: Response, bytes_max: u64) -> BoxStream<'static, Result<Bytes, ConnectorError>> {
    let unfolded = stream::try_unfold((response, bytes_max), move |(mut response, left)| async move {
        let read = timeout(STALL_WAIT, response.chunk()).await.map_err(|_| stalled(STALL_WAIT))?;
        let Some(piece) = read.map_err(|error| ConnectorError::Away(told(&error)))? else { return Ok(None) };
        let left = left.checked_sub(piece.len() as u64).ok_or(ConnectorError::TooLarge(bytes_max))?;
        Ok(Some((piece, (response, left))))
    });
    unfolded.boxed()
}

fn stalled(wait: Duration) -> ConnectorError {
    ConnectorError::Away(format!("nothing came within {} ms", wait.as_millis()))
}

fn retry_after(header: Option<&HeaderValue>) -> Option<Duration> {
    let seconds = header?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// An error with its causes and without its address, which may hold a signature.
fn told(error: &reqwest::Error) -> String {
    let mut text = match error {
        _ if error.is_connect() => "no connection".to_owned(),
        _ if error.is_timeout() => "timed out".to_owned(),
        _ => "the connection broke".to_owned(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").expect("a string takes everything");
        cause = error.source();
    }
    text
}
