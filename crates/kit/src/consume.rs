//! Reading a stream through a durable consumer: in batches, acknowledged after the effect, poison to the dead letters.

use std::time::Duration;

use async_nats::{
    HeaderMap,
    jetstream::{
        AckKind, Message,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    },
};
use chasqui_proto::{Pattern, header, stream::Stream as StreamSpec, subject};
use futures::{Stream, StreamExt, stream};

use crate::{Bus, Code, error::Coded, publish::PublishError};

/// Where a durable consumer begins when it is made for the first time. Later it goes on where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest message that the stream still has.
    Everything,
    /// With what is stored from then on.
    New,
}

/// A durable consumer, shared by every replica of a service.
#[derive(Debug, Clone)]
pub struct ConsumerSpec {
    /// The stream it reads.
    pub stream: StreamSpec,
    /// Its name, shown by `nats consumer ls`.
    pub name: &'static str,
    /// What it is for, for people.
    pub description: &'static str,
    /// What it reads of the stream.
    pub filters: Vec<Pattern>,
    /// Where it begins when it is made.
    pub start: Start,
    /// How long a delivered message may stay unacknowledged before another replica gets it.
    pub ack_wait: Duration,
    /// How many messages may be unacknowledged at once, over all replicas.
    pub ack_pending_max: usize,
}

/// A consumer that could not be opened or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read consumer {name}: {cause}")]
pub struct ConsumeError {
    name: &'static str,
    cause: String,
}

impl Coded for ConsumeError {
    fn code(&self) -> Code {
        Code::Unavailable
    }
}

/// One delivery of a message.
#[derive(Debug)]
pub struct Delivery {
    message: Message,
    stream: Box<str>,
    /// The message's position in its stream.
    pub seq: u64,
    /// Which delivery this is, from 1.
    pub attempt: u64,
    /// When the stream stored it, by the broker's clock; unix milliseconds.
    pub stored_at_ms: i64,
    /// How many more the consumer had to deliver at that moment.
    pub pending: u64,
}

impl Delivery {
    /// The delivery that a message of a consumer is; `None` if it came from somewhere else.
    pub fn of(message: Message) -> Option<Self> {
        let info = message.info().ok()?;
        let (seq, attempt) = (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(1));
        let stored_at_ms =
            i64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        let (stream, pending) = (info.stream.into(), info.pending);
        Some(Self { message, stream, seq, attempt, stored_at_ms, pending })
    }

    /// The subject it was published on.
    pub fn subject(&self) -> &str {
        self.message.subject.as_str()
    }

    /// The stream it is stored in.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The encoded payload.
    pub fn payload(&self) -> &bytes::Bytes {
        &self.message.payload
    }

    /// Its headers.
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.message.headers.as_ref()
    }

    /// Done: it will not come again. A lost acknowledgement means one more delivery, which handlers expect.
    pub async fn done(&self) {
        self.acknowledge(AckKind::Ack).await;
    }

    /// Not yet done: keeps it from going to another replica for another `ack_wait`.
    pub async fn hold(&self) {
        self.acknowledge(AckKind::Progress).await;
    }

    /// To be delivered again after a pause.
    pub async fn again(&self, pause: Duration) {
        self.acknowledge(AckKind::Nak(Some(pause))).await;
    }

    async fn acknowledge(&self, kind: AckKind) {
        if let Err(error) = self.message.ack_with(kind).await {
            tracing::debug!(%error, seq = self.seq, "an acknowledgement was not sent; the message comes again");
        }
    }
}

/// Opens a durable consumer, made or updated to its spec.
pub async fn open(bus: &Bus, spec: &ConsumerSpec) -> Result<PullConsumer, ConsumeError> {
    let config = pull::Config {
        durable_name: Some(spec.name.to_owned()),
        description: Some(spec.description.to_owned()),
        deliver_policy: match spec.start {
            Start::Everything => DeliverPolicy::All,
            Start::New => DeliverPolicy::New,
        },
        ack_policy: AckPolicy::Explicit,
        ack_wait: spec.ack_wait,
        max_ack_pending: i64::try_from(spec.ack_pending_max).unwrap_or(i64::MAX),
        // We count attempts ourselves and bury what exceeds them: the server would only stop delivering, silently.
        max_deliver: -1,
        filter_subjects: spec.filters.iter().map(|filter| filter.as_str().to_owned()).collect(),
        ..pull::Config::default()
    };
    let opened = bus.jetstream().create_consumer_on_stream(config, spec.stream.name).await;
    opened.map_err(|error| ConsumeError { name: spec.name, cause: error.to_string() })
}

/// Everything the consumer delivers, in batches: whatever is there when the reader is ready, `batch_max` at most. It
/// never waits to fill a batch, so a lone message is not delayed and a flood makes large batches by itself.
pub async fn batches(
    consumer: &PullConsumer,
    name: &'static str,
    batch_max: usize,
) -> Result<impl Stream<Item = Vec<Delivery>> + use<>, ConsumeError> {
    let opened = consumer.stream().max_messages_per_batch(batch_max).messages().await;
    let messages = opened.map_err(|error| ConsumeError { name, cause: error.to_string() })?;
    let readable = messages.filter_map(async |message| match message {
        Ok(message) => Delivery::of(message),
        Err(error) => {
            // Missed heartbeats while the broker is away; the reader goes on by itself.
            tracing::debug!(%error, "the consumer was interrupted");
            None
        }
    });
    // The runtime's budget for one turn of a task would end every batch at 127 messages.
    let chunks = Box::pin(readable).ready_chunks(batch_max);
    let unfolded = stream::unfold(chunks, |mut chunks| async move {
        let batch = tokio::task::unconstrained(chunks.next()).await?;
        Some((batch, chunks))
    });
    Ok(Box::pin(unfolded))
}

/// Why a message is given up.
#[derive(Debug)]
pub struct Cause<'a> {
    /// The service that gives up.
    pub service: &'static str,
    /// In one word, for metrics and lists.
    pub reason: &'static str,
    /// What the first attempt failed with.
    pub first_error: &'a str,
    /// What the last attempt failed with.
    pub last_error: &'a str,
}

/// Moves a message to the dead letters, with the reason, and acknowledges it. Fails when the dead-letter stream does
/// not take it; then it was not acknowledged and will come again.
pub async fn bury(bus: &Bus, delivery: &Delivery, cause: &Cause<'_>) -> Result<(), PublishError> {
    copy_to_dead_letters(bus, delivery, cause).await?;
    delivery.done().await;
    Ok(())
}

/// Puts a message among the dead letters, with the reason, and leaves it to the caller to acknowledge it. Repeated, it
/// is there once.
pub async fn copy_to_dead_letters(
    bus: &Bus,
    delivery: &Delivery,
    cause: &Cause<'_>,
) -> Result<(), PublishError> {
    let mut headers = HeaderMap::new();
    for name in [header::TYPE, header::ID, header::TRACEPARENT] {
        if let Some(value) = delivery.headers().and_then(|headers| headers.get(name)) {
            headers.insert(name, value.clone());
        }
    }
    headers.insert(header::DEAD_REASON, cause.reason);
    headers.insert(header::DEAD_ATTEMPTS, delivery.attempt.to_string());
    headers.insert(header::DEAD_SUBJECT, delivery.subject());
    let stream = delivery.stream();
    headers.insert(header::DEAD_STREAM, stream);
    headers.insert(header::DEAD_SEQUENCE, delivery.seq.to_string());
    headers.insert(header::DEAD_FIRST_ERROR, one_line(cause.first_error));
    headers.insert(header::DEAD_LAST_ERROR, one_line(cause.last_error));
    let letter = subject::dead_letter(cause.service, delivery.subject());
    let id = format!("{}:{stream}:{}", cause.service, delivery.seq);
    bus.publish_bytes(letter.as_str(), delivery.payload().clone(), headers, &id).await?;
    metrics::counter!("chasqui_dead_letters_total", "service" => cause.service, "reason" => cause.reason)
        .increment(1);
    tracing::error!(
        service = cause.service,
        reason = cause.reason,
        subject = delivery.subject(),
        seq = delivery.seq,
        error = cause.last_error,
        "a message went to the dead letters"
    );
    Ok(())
}

/// Headers cannot hold line breaks.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}
