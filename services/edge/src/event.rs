//! A fact from the bus: decoded once a node, encoded once a dialect, shared by every socket.

use std::sync::{Arc, OnceLock};

use async_nats::{HeaderMap, Message as NatsMessage, jetstream::message::StreamMessage};
use axum::extract::ws::Utf8Bytes;
use chasqui_proto::{
    stream::{self, MESSAGES},
    subject, v1,
};
use prost::Message as _;

use crate::dialect::Dialect;

/// What an event costs in a ring beside its payload: the decoded fact, its frames, the entry itself.
const OVERHEAD_BYTES: usize = 512;

/// What happened or changed.
#[derive(Debug, PartialEq)]
pub(crate) enum Fact {
    /// A message, with how far it got when the node learnt of it late.
    Message { message: Box<v1::Message>, status: v1::Status },
    /// A step of a message.
    Status(Box<v1::MessageStatus>),
    /// A conversation as it stands.
    Conversation(Box<v1::Conversation>),
    /// The tenant's counters as they stand.
    Stats(Box<v1::Stats>),
}

/// A fact with its place in the stream.
#[derive(Debug)]
pub(crate) struct Event {
    /// Position in `MESSAGES`; `None` for states, which have no place in what happened.
    pub(crate) seq: Option<u64>,
    /// Position of the fact before it on the same subject; 0 when the stream does not know.
    pub(crate) previous: u64,
    /// The subject it was stored under.
    pub(crate) subject: Box<str>,
    pub(crate) fact: Fact,
    /// The conversation as the node knew it when a message came; front ends show both together.
    pub(crate) conversation: Option<Arc<Event>>,
    /// The message had got further before: front ends are not shown it.
    pub(crate) is_step_back: bool,
    /// One cell a dialect; `None` inside means the dialect does not show this fact.
    frames: [OnceLock<Option<Utf8Bytes>>; Dialect::COUNT],
    payload_bytes: usize,
}

impl Event {
    fn new(subject: &str, seq: Option<u64>, previous: u64, fact: Fact, payload_bytes: usize) -> Self {
        Self {
            seq,
            previous,
            subject: subject.into(),
            fact,
            conversation: None,
            is_step_back: false,
            frames: Default::default(),
            payload_bytes,
        }
    }

    /// Reads a fact that the stream repeated live, or answered from its store; `None` for what the edge does not show.
    pub(crate) fn of_nats(message: &NatsMessage) -> Option<Self> {
        let headers = message.headers.as_ref()?;
        let number = |name: &str| text(headers, name).and_then(|text| text.parse::<u64>().ok());
        // Facts from the store stand under a subject of the asker; their own one is in the headers.
        let subject = text(headers, "Nats-Subject").unwrap_or_else(|| stream::original(&message.subject));
        let happened = text(headers, "Nats-Stream") == Some(MESSAGES.name);
        let seq = if happened { Some(number("Nats-Sequence")?) } else { None };
        let fact = Fact::decode(subject, &message.payload)?;
        Some(Self::new(subject, seq, number("Nats-Last-Sequence").unwrap_or(0), fact, message.payload.len()))
    }

    /// Reads a fact that the stream's leader answered from its store.
    pub(crate) fn of_leader(message: &StreamMessage) -> Option<Self> {
        let fact = Fact::decode(&message.subject, &message.payload)?;
        Some(Self::new(&message.subject, Some(message.sequence), 0, fact, message.payload.len()))
    }

    /// A message or status as persistence stored it.
    pub(crate) fn of_store(subject: &str, seq: u64, fact: Fact) -> Self {
        let payload_bytes = match &fact {
            Fact::Message { message, .. } => message.encoded_len(),
            Fact::Status(status) => status.encoded_len(),
            Fact::Conversation(_) | Fact::Stats(_) => 0,
        };
        Self::new(subject, Some(seq), 0, fact, payload_bytes)
    }

    /// A state as persistence answered it.
    pub(crate) fn of_state(fact: Fact) -> Self {
        Self::new("", None, 0, fact, 0)
    }

    /// The event as a dialect shows it, encoded the first time it is asked for.
    pub(crate) fn frame(&self, dialect: Dialect) -> Option<&Utf8Bytes> {
        if self.is_step_back {
            return None;
        }
        self.frames[dialect as usize].get_or_init(|| dialect.encode(self).map(Utf8Bytes::from)).as_ref()
    }

    /// What keeping it costs, bytes.
    pub(crate) fn cost(&self) -> usize {
        // The payload and one frame of about the same size.
        OVERHEAD_BYTES + 2 * self.payload_bytes
    }
}

impl Fact {
    fn decode(subject: &str, payload: &bytes::Bytes) -> Option<Self> {
        let parts = subject::parse(subject)?;
        let payload = payload.clone();
        let decoded = match (parts.noun, parts.fact) {
            ("messages", "in" | "out") => v1::Message::decode(payload)
                .map(|message| Self::Message { message: Box::new(message), status: v1::Status::Unspecified }),
            ("messages", "status") => {
                v1::MessageStatus::decode(payload).map(|status| Self::Status(Box::new(status)))
            }
            ("conversations", "updated") => v1::Conversation::decode(payload)
                .map(|conversation| Self::Conversation(Box::new(conversation))),
            ("stats", "updated") => v1::Stats::decode(payload).map(|stats| Self::Stats(Box::new(stats))),
            _ => return None,
        };
        decoded
            .inspect_err(|error| {
                metrics::counter!("chasqui_edge_undecodable_events_total").increment(1);
                tracing::warn!(%error, subject, "an event cannot be decoded; persistence buries it");
            })
            .ok()
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(async_nats::HeaderValue::as_str)
}
