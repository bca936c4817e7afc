//! One attempt: an event posted, and what became of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chasqui_callback::{Allowed, CallbackUrl};
use chasqui_kit::{clock, seal::Seal};
use chasqui_media::{FileId, MediaUrls};
use chasqui_proto::{
    MessageId,
    v1::{Delivery, Direction, ListenerEntry, ListenerFormat, Message, delivery::Fact},
};
use reqwest::{Client, RequestBuilder, Response, header};
use secrecy::SecretString;
use tokio::time::timeout_at;

use crate::{
    Config, Error, format, format::File, guard, hosts::Hosts, meter, signature, verdict, verdict::Verdict,
};

/// How much of an answer is read, bytes: what is short enough leaves the connection usable for the next event.
const ANSWER_BYTES_MAX: usize = 4 * 1024;
/// How long is waited for that, once the status is there: it says all that counts.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// How much of an answer is told in the log, characters.
const ANSWER_TOLD_MAX: usize = 200;

/// Posts events.
#[derive(Debug)]
pub(crate) struct Poster {
    client: Client,
    allowed: Arc<Allowed>,
    seal: Seal,
    hosts: Hosts,
    /// None where no addresses of files are signed.
    media: Option<MediaUrls>,
    timeout: Duration,
}

/// How an attempt went.
#[derive(Debug)]
pub(crate) struct Attempted {
    pub(crate) verdict: Verdict,
    /// 0 where no answer came.
    pub(crate) http_status: u16,
    /// Empty when it was delivered.
    pub(crate) error: String,
    pub(crate) duration: Duration,
    pub(crate) at_ms: i64,
}

impl Attempted {
    /// It ended by our own mistake; whether the listener has the event is not known.
    pub(crate) fn failed_here() -> Self {
        Self {
            verdict: Verdict::Refused { retry_after: None },
            http_status: 0,
            error: "the attempt ended by a mistake of ours".to_owned(),
            duration: Duration::ZERO,
            at_ms: clock::now_ms(),
        }
    }
}

/// Why an event could not be posted, or what the listener said of it.
struct Failure {
    verdict: Verdict,
    http_status: u16,
    error: String,
}

impl Failure {
    fn away(error: impl Into<String>) -> Self {
        Self { verdict: Verdict::Away { retry_after: None }, http_status: 0, error: error.into() }
    }
}

impl Poster {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let allowed = Arc::new(Allowed::new(&config.private_networks_allowed)?);
        if !allowed.is_empty() {
            let networks = config.private_networks_allowed.join(", ");
            tracing::warn!(
                networks,
                "events may be posted into private networks: whoever registers listeners \
                can reach everything there"
            );
        }
        let key = config.sealing_key.clone().unwrap_or_default();
        Ok(Self {
            client: guard::client(&allowed)?,
            allowed,
            seal: Seal::new(&key).map_err(Error::SealingKey)?,
            hosts: Hosts::new(config.attempts_max, config.host_attempts_max),
            media: MediaUrls::new(&config.media).ok(),
            timeout: config.timeout(),
        })
    }

    /// Posts an event, within the usual time.
    pub(crate) async fn post(&self, listener: &ListenerEntry, delivery: &Delivery) -> Attempted {
        self.post_within(listener, delivery, self.timeout).await
    }

    /// Posts an event. It never fails: whatever goes wrong is the answer.
    pub(crate) async fn post_within(
        &self,
        listener: &ListenerEntry,
        delivery: &Delivery,
        timeout: Duration,
    ) -> Attempted {
        let url = CallbackUrl::parse(&listener.url);
        let host = url.as_ref().map(CallbackUrl::origin).unwrap_or_default();
        // Waiting for a place is no time of the listener's.
        let seat = self.hosts.seat(&host).await;
        let (began, at_ms) = (Instant::now(), clock::now_ms());
        let outcome = match url.and_then(|url| url.judge(&self.allowed).map(|()| url)) {
            Ok(url) => self.send(&url, listener, delivery, (at_ms, timeout)).await,
            Err(error) => Err(Failure::away(format!("the URL {error}"))),
        };
        drop(seat);
        let duration = began.elapsed();
        let attempted = match outcome {
            Ok(status) => Attempted {
                verdict: Verdict::Delivered,
                http_status: status,
                error: String::new(),
                duration,
                at_ms,
            },
            Err(Failure { verdict, http_status, error }) => {
                Attempted { verdict, http_status, error, duration, at_ms }
            }
        };
        meter::attempt(&attempted);
        attempted
    }

    async fn send(
        &self,
        url: &CallbackUrl,
        listener: &ListenerEntry,
        delivery: &Delivery,
        (at_ms, timeout): (i64, Duration),
    ) -> Result<u16, Failure> {
        let secrets: Vec<SecretString> = listener
            .sealed_secrets
            .iter()
            .map(|sealed| self.seal.open(sealed))
            .collect::<Result<_, _>>()
            .map_err(|error| {
                tracing::error!(%error, tenant = delivery.tenant, listener = delivery.listener,
                    "a listener's secret cannot be opened: its events wait");
                Failure::away(error.to_string())
            })?;
        let body = format::render(delivery, listener.format(), &self.file(delivery, at_ms));
        let request = self.client.post(url.as_str()).timeout(timeout);
        let request = signed(request, (listener.format(), &secrets), (&delivery.id, at_ms), &body);
        let answer = request.body(body).send().await.map_err(|error| unanswered(&error, timeout))?;
        judge(answer, at_ms).await
    }

    /// The file of a message: in our store where it is, or where its sender had it.
    fn file(&self, delivery: &Delivery, now_ms: i64) -> File {
        let Some(Fact::Message(message)) = &delivery.fact else { return File::default() };
        let Some(media) = &message.media else { return File::default() };
        let Some(id) = file_of(message) else {
            // An address beside a provider's id is the provider's, who opens it only to us.
            let is_open = media.id.is_empty() && !media.url.is_empty();
            return File { id: None, url: is_open.then(|| media.url.clone()) };
        };
        let own = || Some(self.media.as_ref()?.url(&delivery.tenant.parse().ok()?, id, now_ms));
        File { id: Some(id.to_string()), url: own() }
    }
}

/// The file of a message in our store. What a contact sent is kept under the id of its message.
fn file_of(message: &Message) -> Option<FileId> {
    let media = message.media.as_ref()?;
    let kept = || message.id.parse::<MessageId>().ok().map(FileId::from);
    let is_fetched = message.direction() == Direction::In && !media.id.is_empty();
    media.id.parse().ok().or_else(|| is_fetched.then(kept).flatten())
}

fn signed(
    request: RequestBuilder,
    (format, secrets): (ListenerFormat, &[SecretString]),
    (id, at_ms): (&str, i64),
    body: &[u8],
) -> RequestBuilder {
    let request = request.header(header::CONTENT_TYPE, "application/json");
    let at_secs = at_ms / 1_000;
    // Both forms tell which event it is, so that every listener can drop what it has already.
    let request = request.header("webhook-id", id).header("webhook-timestamp", at_secs.to_string());
    match (format, secrets) {
        (_, []) => request,
        (ListenerFormat::CloudApi, [newest, ..]) => {
            request.header("X-Hub-Signature-256", signature::hub(newest, body))
        }
        (_, secrets) => request.header("webhook-signature", signature::standard(secrets, id, at_secs, body)),
    }
}

fn unanswered(error: &reqwest::Error, timeout: Duration) -> Failure {
    if error.is_timeout() {
        return Failure::away(format!("no answer within {} ms", timeout.as_millis()));
    }
    Failure::away(guard::reason(error))
}

async fn judge(answer: Response, now_ms: i64) -> Result<u16, Failure> {
    let http_status = answer.status().as_u16();
    let asked = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let asked = asked.and_then(|value| verdict::retry_after(value, now_ms));
    let said = beginning(answer).await;
    match Verdict::of_status(http_status, asked) {
        Verdict::Delivered => Ok(http_status),
        verdict => Err(Failure { verdict, http_status, error: format!("answered {http_status}: {said}") }),
    }
}

/// The first bytes of an answer, fit for a log.
async fn beginning(mut answer: Response) -> String {
    let (mut bytes, until) = (Vec::new(), Instant::now() + ANSWER_WAIT);
    while let Ok(Ok(Some(chunk))) = timeout_at(until.into(), answer.chunk()).await {
        bytes.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX - bytes.len())]);
        if bytes.len() >= ANSWER_BYTES_MAX {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(ANSWER_TOLD_MAX).collect()
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::Media;

    use super::*;

    #[test]
    fn what_a_contact_sent_is_kept_under_the_id_of_its_message() {
        let id = "018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a10";
        let file = |media_id: &str, direction: Direction| {
            let media = Some(Media { id: media_id.to_owned(), ..Media::default() });
            let message =
                Message { id: id.to_owned(), direction: direction.into(), media, ..Message::default() };
            file_of(&message).map(|file| file.to_string())
        };
        let stored = "018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a99";
        assert_eq!(file("300000000000001", Direction::In).as_deref(), Some(id));
        assert_eq!(file(stored, Direction::In).as_deref(), Some(stored));
        assert_eq!(file(stored, Direction::Out).as_deref(), Some(stored));
        assert_eq!(file("300000000000001", Direction::Out), None);
    }
}
