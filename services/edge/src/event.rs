//! A fact from the bus: decoded once a node, encoded once a dialect, shared by every socket.

use std::sync::{Arc, OnceLock};

use async_nats::{HeaderMap, Message as NatsMessage, jetstream::message::StreamMessage};
use bytes::Bytes;
use chasqui_proto::{
    stream::{self, MESSAGES},
    subject, v1,
};
use prost::{DecodeError, Message};

use crate::{
    cursor,
    dialect::Dialect,
    outbox::{Delivery, Frame},
};

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
    /// A chat with an agent as it stands.
    Chat(Box<v1::Chat>),
    /// The connection to a WhatsApp number as it stands.
    Session(Box<v1::Session>),
    /// The built-in bot as it stands.
    Bot(Box<v1::BotStatus>),
    /// How far a campaign is.
    Bulk(Box<v1::BulkProgress>),
    /// An appointment as it stands.
    Appointment(Box<v1::Appointment>),
    /// A payment as it stands.
    Payment(Box<v1::Payment>),
    /// Somebody types, or stopped.
    Typing(Box<v1::Typing>),
    /// A piece of what a bot is writing, in the typing that carried it.
    Draft(Box<v1::Typing>),
    /// Told to everyone of the tenant.
    Announcement(Box<v1::Announcement>),
    /// A person as the whole cluster has it; without connections it is gone.
    Presence(Box<v1::Presence>),
    /// The ids of the tenant's users and agents who are online, all of them.
    Online(Box<[String]>),
}

/// Who of a tenant may be shown a fact. Its staff always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience<'a> {
    /// Nobody else.
    Staff,
    /// The contact of this conversation.
    Contact(&'a str),
    /// Every contact.
    Everyone,
}

/// Where a campaign's state stands: what a client's cursor brings back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The life of the stream that the client's positions belong to; empty before a feed has one.
    pub(crate) life: Arc<str>,
    /// The position among the states.
    pub(crate) seq: u64,
}

impl Mark {
    /// The epoch of a cursor that has been told it.
    pub(crate) fn epoch(&self) -> String {
        cursor::epoch(&self.life, Some(self.seq))
    }
}

/// One cell a dialect; `None` inside means the dialect does not show the fact.
type Frames = [OnceLock<Option<Frame>>; Dialect::COUNT];

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
    /// Of a campaign's state.
    pub(crate) mark: Option<Box<Mark>>,
    /// Made when the first dialect asks: most events of a contact are never shown again.
    frames: OnceLock<Box<Frames>>,
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
            mark: None,
            frames: OnceLock::new(),
            payload_bytes,
        }
    }

    /// Reads a fact as it came: repeated live by a stream, answered from its store, or never stored. `None` for what the
    /// edge does not show.
    pub(crate) fn of_nats(message: &NatsMessage) -> Option<Self> {
        let header = |name: &str| message.headers.as_ref().and_then(|headers| text(headers, name));
        let number = |name: &str| header(name).and_then(|text| text.parse::<u64>().ok());
        // Facts from the store stand under a subject of the asker; their own one is in the headers.
        let subject = header("Nats-Subject").unwrap_or_else(|| stream::original(&message.subject));
        let happened = header("Nats-Stream") == Some(MESSAGES.name);
        let seq = if happened { Some(number("Nats-Sequence")?) } else { None };
        let fact = Fact::decode(subject, &message.payload)?;
        // What happened has its place in the stream; nothing else has.
        (fact.has_happened() == happened).then(|| {
            let previous = number("Nats-Last-Sequence").unwrap_or(0);
            let mark = number("Nats-Sequence").and_then(|seq| mark_of(&fact, seq));
            Self { mark, ..Self::new(subject, seq, previous, fact, message.payload.len()) }
        })
    }

    /// Reads a fact that the stream's leader answered from its store.
    pub(crate) fn of_leader(message: &StreamMessage) -> Option<Self> {
        let fact = Fact::decode(&message.subject, &message.payload)?;
        let (mark, seq) = (mark_of(&fact, message.sequence), fact.has_happened().then_some(message.sequence));
        Some(Self { mark, ..Self::new(&message.subject, seq, 0, fact, message.payload.len()) })
    }

    /// A message or status as persistence stored it.
    pub(crate) fn of_store(subject: &str, seq: u64, fact: Fact) -> Self {
        let payload_bytes = match &fact {
            Fact::Message { message, .. } => message.encoded_len(),
            Fact::Status(status) => status.encoded_len(),
            _ => 0,
        };
        Self::new(subject, Some(seq), 0, fact, payload_bytes)
    }

    /// A state as a service answered it, or something that is only worth knowing now.
    pub(crate) fn of_state(fact: Fact) -> Self {
        Self::new("", None, 0, fact, 0)
    }

    /// A campaign as it stands.
    pub(crate) fn of_campaign(progress: v1::BulkProgress, mark: Mark) -> Self {
        Self { mark: Some(Box::new(mark)), ..Self::of_state(Fact::Bulk(Box::new(progress))) }
    }

    /// The event as a dialect shows it, encoded the first time it is asked for.
    pub(crate) fn frame(&self, dialect: Dialect) -> Option<&Frame> {
        if self.is_step_back {
            return None;
        }
        let frames = self.frames.get_or_init(Box::default);
        frames[dialect as usize].get_or_init(|| dialect.encode(self).map(Frame::from)).as_ref()
    }

    /// How a frame of it is queued: what is only worth knowing now may be dropped for a client that is slow.
    pub(crate) fn delivery(&self) -> Delivery {
        if self.fact.is_volatile() { Delivery::Volatile } else { Delivery::Reply }
    }

    /// What keeping it costs, bytes.
    pub(crate) fn cost(&self) -> usize {
        // The payload and one frame of about the same size.
        OVERHEAD_BYTES + 2 * self.payload_bytes
    }
}

impl Fact {
    /// Who of the tenant may be shown it.
    pub(crate) fn audience(&self) -> Audience<'_> {
        match self {
            Self::Announcement(_) | Self::Presence(_) | Self::Online(_) => Audience::Everyone,
            other => other.conversation().map_or(Audience::Staff, Audience::Contact),
        }
    }

    /// The token of the conversation it belongs to; `None` for what is the tenant's.
    pub(crate) fn conversation(&self) -> Option<&str> {
        let token = match self {
            Self::Message { message, .. } => &message.conversation,
            Self::Status(status) => &status.conversation,
            Self::Conversation(conversation) => &conversation.token,
            Self::Chat(chat) => &chat.conversation,
            Self::Appointment(appointment) => &appointment.conversation,
            Self::Payment(payment) => &payment.conversation,
            Self::Typing(typing) | Self::Draft(typing) => &typing.conversation,
            Self::Stats(_)
            | Self::Session(_)
            | Self::Bot(_)
            | Self::Bulk(_)
            | Self::Announcement(_)
            | Self::Presence(_)
            | Self::Online(_) => return None,
        };
        Some(token.as_str()).filter(|token| !token.is_empty())
    }

    /// Of two states of the same thing the higher version is the newer; `None` for what has none.
    pub(crate) fn version(&self) -> Option<u64> {
        match self {
            Self::Conversation(conversation) => Some(conversation.version),
            Self::Chat(chat) => Some(chat.version),
            Self::Session(session) => Some(session.version),
            Self::Appointment(appointment) => Some(appointment.version),
            Self::Payment(payment) => Some(payment.version),
            Self::Bulk(progress) => Some(progress.version),
            _ => None,
        }
    }

    /// Only worth knowing now: it is never shown later, and a slow client may miss it.
    pub(crate) fn is_volatile(&self) -> bool {
        matches!(
            self,
            Self::Typing(_) | Self::Draft(_) | Self::Announcement(_) | Self::Presence(_) | Self::Online(_)
        )
    }

    /// It has a place in what happened; a state has none.
    fn has_happened(&self) -> bool {
        matches!(self, Self::Message { .. } | Self::Status(_))
    }

    fn decode(subject: &str, payload: &Bytes) -> Option<Self> {
        fn boxed<M: Message + Default>(
            payload: Bytes,
            fact: impl FnOnce(Box<M>) -> Fact,
        ) -> Result<Fact, DecodeError> {
            M::decode(payload).map(|payload| fact(Box::new(payload)))
        }
        let parts = subject::parse(subject)?;
        let payload = payload.clone();
        let decoded = match (parts.noun, parts.fact) {
            ("messages", "in" | "out") => {
                boxed(payload, |message| Self::Message { message, status: v1::Status::Unspecified })
            }
            ("messages", "status") => boxed(payload, Self::Status),
            ("conversations", "updated") => boxed(payload, Self::Conversation),
            ("stats", "updated") => boxed(payload, Self::Stats),
            ("chats", "updated") => boxed(payload, Self::Chat),
            ("sessions", "updated") => boxed(payload, Self::Session),
            ("bot", "updated") => boxed(payload, Self::Bot),
            ("bulk", "progress") => boxed(payload, Self::Bulk),
            ("appointments", "updated") => boxed(payload, Self::Appointment),
            ("payments", "updated") => boxed(payload, Self::Payment),
            ("typing", "changed") => boxed(payload, |typing: Box<v1::Typing>| match typing.draft {
                Some(_) => Self::Draft(typing),
                None => Self::Typing(typing),
            }),
            ("announcements", "made") => boxed(payload, Self::Announcement),
            _ => return None,
        };
        decoded
            .inspect_err(|error| {
                metrics::counter!("chasqui_edge_undecodable_events_total").increment(1);
                // Not the subject: it names the contact.
                let (noun, fact) = (parts.noun, parts.fact);
                tracing::warn!(%error, noun, fact, "an event cannot be decoded and is not shown");
            })
            .ok()
    }
}

/// Where a state stands that clients' cursors keep.
fn mark_of(fact: &Fact, seq: u64) -> Option<Box<Mark>> {
    matches!(fact, Fact::Bulk(_)).then(|| Box::new(Mark { life: Arc::default(), seq }))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(async_nats::HeaderValue::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_no_typing_and_a_slow_client_may_miss_either() {
        let decoded = |draft: Option<v1::Draft>| {
            let typing = v1::Typing { conversation: "web_u1".to_owned(), draft, ..v1::Typing::default() };
            Fact::decode("typing.changed.default.web_u1", &typing.encode_to_vec().into()).unwrap()
        };
        let (typing, draft) = (decoded(None), decoded(Some(v1::Draft::default())));
        assert!(matches!(typing, Fact::Typing(_)) && matches!(draft, Fact::Draft(_)));
        for fact in [typing, draft] {
            assert_eq!(fact.conversation(), Some("web_u1"));
            assert_eq!(Event::of_state(fact).delivery(), Delivery::Volatile);
        }
    }
}
