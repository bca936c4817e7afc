//! Publishing with the stream's acknowledgement, always.

use std::time::Instant;

use async_nats::{
    HeaderMap,
    jetstream::{context::PublishErrorKind, message::PublishMessage},
};
use bytes::Bytes;
use chasqui_proto::{Subject, header, subject};
use prost::Name;

use crate::{Bus, Code, TraceContext, error::Coded};

/// A fact on its way to the stream.
#[derive(Debug)]
pub struct Fact<'a, P> {
    /// Where it goes.
    pub subject: Subject<P>,
    /// What it says.
    pub payload: &'a P,
    /// What makes it unique: the same fact published twice under one id is stored once.
    pub id: String,
    /// The trace it belongs to.
    pub trace: TraceContext,
    /// Only the newest fact of the subject is kept, whatever the stream's limits say.
    pub replaces: bool,
}

impl<'a, P> Fact<'a, P> {
    /// A fact under its id.
    pub fn new(subject: Subject<P>, payload: &'a P, id: impl Into<String>, trace: TraceContext) -> Self {
        Self { subject, payload, id: id.into(), trace, replaces: false }
    }
}

/// Where the stream put a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its position in the stream.
    pub seq: u64,
    /// The stream had it already.
    pub duplicate: bool,
}

/// The stream did not acknowledge. The fact may be stored all the same: publish it again under the same id.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There is no connection.
    #[error("the message broker is away")]
    Away,
    /// Too many facts wait for their acknowledgement.
    #[error("too many messages wait for the broker")]
    Busy,
    /// No acknowledgement came in time.
    #[error("the broker did not acknowledge in time")]
    TimedOut,
    /// The server takes no message of this size.
    #[error("the message is larger than the broker accepts")]
    TooLarge,
    /// The broker refused.
    #[error("the broker refused the message: {0}")]
    Refused(String),
}

impl Coded for PublishError {
    fn code(&self) -> Code {
        match self {
            Self::Away | Self::Busy | Self::Refused(_) => Code::Unavailable,
            Self::TimedOut => Code::Timeout,
            Self::TooLarge => Code::TooLarge,
        }
    }
}

impl Bus {
    /// Publishes a fact and waits until the stream has stored it.
    pub async fn publish<P: Name>(&self, fact: Fact<'_, P>) -> Result<Stored, PublishError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::TYPE, P::full_name());
        headers.insert(header::ID, fact.id.as_str());
        headers.insert(header::TRACEPARENT, fact.trace.to_header());
        if fact.replaces {
            headers.insert(async_nats::header::NATS_ROLLUP, "sub");
        }
        self.publish_bytes(fact.subject.as_str(), fact.payload.encode_to_vec().into(), headers, &fact.id)
            .await
    }

    /// Publishes bytes that are encoded already, with headers of their own.
    pub async fn publish_bytes(
        &self,
        name: &str,
        payload: Bytes,
        headers: HeaderMap,
        id: &str,
    ) -> Result<Stored, PublishError> {
        // A lost connection would only queue the message here while the caller is told that it failed.
        if !self.is_connected() {
            return Err(count_failure(PublishError::Away));
        }
        let began = Instant::now();
        let message = PublishMessage::build().payload(payload).headers(headers).message_id(id);
        let sent = self.jetstream().send_publish(name.to_owned(), message).await;
        let acknowledged = match sent {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        match acknowledged {
            Ok(ack) => {
                let noun = subject::parse(name).map_or("dlq", |parts| noun_of(parts.noun));
                metrics::histogram!("chasqui_publish_ack_seconds", "noun" => noun).record(began.elapsed());
                Ok(Stored { seq: ack.sequence, duplicate: ack.duplicate })
            }
            Err(error) => Err(count_failure(match error.kind() {
                PublishErrorKind::TimedOut => PublishError::TimedOut,
                PublishErrorKind::MaxAckPending => PublishError::Busy,
                PublishErrorKind::MaxPayloadExceeded => PublishError::TooLarge,
                PublishErrorKind::BrokenPipe => PublishError::Away,
                _ => PublishError::Refused(error.to_string()),
            })),
        }
    }
}

fn count_failure(error: PublishError) -> PublishError {
    metrics::counter!("chasqui_publish_failures_total", "code" => error.code().as_str()).increment(1);
    error
}

/// The nouns we publish, as label values that live for ever.
fn noun_of(noun: &str) -> &'static str {
    ["messages", "conversations", "stats", "bulk", "sessions", "bot", "appointments", "payments"]
        .into_iter()
        .find(|known| *known == noun)
        .unwrap_or("other")
}
