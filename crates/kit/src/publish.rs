//! Publishing with the stream's acknowledgement, always.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use async_nats::{
    HeaderMap,
    jetstream::{self, ErrorCode, context::PublishErrorKind, message::PublishMessage, publish::PublishAck},
};
use bytes::Bytes;
use chasqui_proto::{Subject, header, subject};
use prost::Name;

use crate::{Bus, Code, TraceContext, error::Coded};

/// How often a fact is published while the stream is still busy storing the same one from somebody else.
const PUBLICATIONS_MAX: u32 = 6;

/// The pause before such a fact is published again the first time; it doubles each time. In all 620 ms, many times what
/// the replicas of a stream take to agree on a message.
const IN_PROCESS_PAUSE: Duration = Duration::from_millis(20);

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
        match self.acknowledged(name, message).await {
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

    /// Publishes until the stream has stored or refused the message.
    async fn acknowledged(
        &self,
        name: &str,
        message: PublishMessage,
    ) -> Result<PublishAck, jetstream::context::PublishError> {
        let mut pause = IN_PROCESS_PAUSE;
        for _ in 1..PUBLICATIONS_MAX {
            match self.acknowledgement(name, message.clone()).await {
                Err(error) if is_in_process(&error) => tokio::time::sleep(pause).await,
                answer => return answer,
            }
            pause *= 2;
        }
        self.acknowledgement(name, message).await
    }

    async fn acknowledgement(
        &self,
        name: &str,
        message: PublishMessage,
    ) -> Result<PublishAck, jetstream::context::PublishError> {
        self.jetstream().send_publish(name.to_owned(), message).await?.await
    }
}

/// Whether the same fact is being stored right now, which may still fail: it is neither stored nor a duplicate yet.
fn is_in_process(error: &jetstream::context::PublishError) -> bool {
    let refusal = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    refusal.is_some_and(|refusal| refusal.error_code() == ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT)
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
