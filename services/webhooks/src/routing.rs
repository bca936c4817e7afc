//! Which listeners an event is for. Pure.

use chasqui_proto::{
    ConversationToken, Tenant,
    id::fact_id,
    subject,
    v1::{
        Delivery, ListenerEntry, ListenerFormat, Message as ChatMessage, MessageStatus, Session, Status,
        delivery::Fact,
    },
};
use chasqui_responder::is_for_flow;
use prost::Message;

/// The name of the event that a listener gets when it is tried out.
pub(crate) const TEST: &str = "test";

const RECEIVED: &str = "message.received";
const SENT: &str = "message.sent";
const STATUS: &str = "message.status";
const SESSION: &str = "session.status";

/// How old an event may be when a listener is registered and still reach it, milliseconds: a bot that starts gets what was
/// written while it did, and not the history.
const AGE_AT_REGISTRATION_MAX_MS: i64 = 60_000;

/// The most bytes of the verbatim body that an event carries besides its fields.
const VERBATIM_BYTES_MAX: usize = 256 * 1024;

/// Something that listeners may want to know.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) tenant: Tenant,
    name: &'static str,
    fact: Fact,
    /// The last token of its subject: of messages, the conversation.
    key: String,
    /// Its position in its stream.
    seq: u64,
}

/// A message of the stream that is no event.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Unreadable {
    #[error("the subject names no event")]
    Subject,
    #[error("the payload cannot be decoded: {0}")]
    Payload(String),
    #[error("the payload names another tenant than its subject")]
    Tenant,
}

impl Event {
    /// Reads a stored fact.
    pub(crate) fn read(name: &str, payload: &[u8], seq: u64) -> Result<Self, Unreadable> {
        let parts = subject::parse(name).ok_or(Unreadable::Subject)?;
        let undecodable = |error: prost::DecodeError| Unreadable::Payload(error.to_string());
        let (name, fact, named) = match (parts.noun, parts.fact) {
            ("messages", direction @ ("in" | "out")) => {
                let message = ChatMessage::decode(payload).map_err(undecodable)?;
                let named = message.tenant.clone();
                (if direction == "in" { RECEIVED } else { SENT }, Fact::Message(message), named)
            }
            ("messages", "status") => {
                let status = MessageStatus::decode(payload).map_err(undecodable)?;
                let named = status.tenant.clone();
                (STATUS, Fact::Status(status), named)
            }
            ("sessions", "updated") => {
                let session = Session::decode(payload).map_err(undecodable)?;
                let named = session.tenant.clone();
                (SESSION, Fact::Session(session), named)
            }
            _ => return Err(Unreadable::Subject),
        };
        let tenant: Tenant = parts.tenant.parse().map_err(|_| Unreadable::Subject)?;
        let key = parts.key.to_owned();
        if named == tenant.as_str() {
            Ok(Self { tenant, name, fact, key, seq })
        } else {
            Err(Unreadable::Tenant)
        }
    }

    /// The delivery to a listener that wants it.
    pub(crate) fn to(&self, listener: &ListenerEntry, now_ms: i64) -> Option<Delivery> {
        let is_wanted = !listener.disabled
            && wants(listener, self.name)
            && self.happened_at_ms().saturating_add(AGE_AT_REGISTRATION_MAX_MS) >= listener.created_at_ms
            && has_form(&self.fact, listener.format());
        is_wanted.then(|| self.delivery(listener, now_ms))
    }

    /// The delivery to a listener, wanted or not.
    pub(crate) fn delivery(&self, listener: &ListenerEntry, now_ms: i64) -> Delivery {
        Delivery {
            id: fact_id(&["delivery", &self.id(), &listener.id]).to_string(),
            tenant: self.tenant.to_string(),
            listener: listener.id.clone(),
            event: self.name.to_owned(),
            fact: Some(lightened(&self.fact, listener.format())),
            seq: self.seq,
            attempts: 0,
            created_at_ms: now_ms,
            replayed: false,
        }
    }

    /// Whether this listener is told of it in order to answer: then only where it is the one to answer.
    pub(crate) fn asks(&self, listener: &ListenerEntry) -> bool {
        listener.answers && self.name == RECEIVED
    }

    /// The conversation of a message; none where its subject names none that anybody could have.
    pub(crate) fn conversation(&self) -> Option<ConversationToken> {
        self.key.parse().ok()
    }

    /// Whether the flow of the built-in bot takes it, whoever answers the contact.
    pub(crate) fn is_for_flow(&self) -> bool {
        matches!(&self.fact, Fact::Message(message) if is_for_flow(message))
    }

    fn id(&self) -> String {
        match &self.fact {
            Fact::Message(message) => message.id.clone(),
            Fact::Status(status) => status.id.clone(),
            Fact::Session(session) => format!("{} {} {}", session.id, session.version, session.updated_at_ms),
        }
    }

    fn happened_at_ms(&self) -> i64 {
        match &self.fact {
            Fact::Message(message) => message.received_at_ms.max(message.occurred_at_ms),
            Fact::Status(status) => status.received_at_ms.max(status.occurred_at_ms),
            Fact::Session(session) => session.updated_at_ms,
        }
    }
}

/// Whether the stream of states holds events of this name, and not that of messages.
pub(crate) fn is_state(event: &str) -> bool {
    event == SESSION
}

fn wants(listener: &ListenerEntry, event: &str) -> bool {
    match listener.events.as_slice() {
        [] => event == RECEIVED,
        events => events.iter().any(|wanted| wanted == event),
    }
}

/// The Cloud API has no words for what happens before WhatsApp has sent a message.
fn has_form(fact: &Fact, format: ListenerFormat) -> bool {
    let Fact::Status(status) = fact else { return true };
    format != ListenerFormat::CloudApi || status.status() >= Status::Sent
}

/// The fact without what this format does not show: there is a copy for each listener.
fn lightened(fact: &Fact, format: ListenerFormat) -> Fact {
    let keeps = |raw: &[u8]| format == ListenerFormat::CloudApi && raw.len() <= VERBATIM_BYTES_MAX;
    let mut fact = fact.clone();
    match &mut fact {
        Fact::Message(message) => {
            message.fallback.clear();
            if !keeps(&message.raw) {
                message.raw.clear();
            }
        }
        Fact::Status(status) if !keeps(&status.raw) => status.raw.clear(),
        Fact::Status(_) | Fact::Session(_) => {}
    }
    fact
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn message() -> ChatMessage {
        ChatMessage {
            id: "m1".to_owned(),
            tenant: "default".to_owned(),
            conversation: "5491100000001".to_owned(),
            raw: "{}".into(),
            received_at_ms: NOW,
            ..ChatMessage::default()
        }
    }

    fn received() -> Event {
        Event::read("messages.in.default.5491100000001", &message().encode_to_vec(), 7).unwrap()
    }

    fn listener(id: &str) -> ListenerEntry {
        ListenerEntry { id: id.to_owned(), created_at_ms: NOW, ..ListenerEntry::default() }
    }

    #[test]
    fn shc_09_a_listener_that_names_no_events_gets_what_contacts_write() {
        let delivery = received().to(&listener("l1"), NOW).unwrap();
        assert_eq!((delivery.event.as_str(), delivery.seq, delivery.attempts), (RECEIVED, 7, 0));
        let sent = Event::read("messages.out.default.5491100000001", &message().encode_to_vec(), 8).unwrap();
        assert_eq!(sent.to(&listener("l1"), NOW), None);
        let both = ListenerEntry { events: vec![SENT.to_owned(), SESSION.to_owned()], ..listener("l1") };
        assert_eq!(sent.to(&both, NOW).unwrap().event, SENT);
        assert_eq!(received().to(&both, NOW), None);
        assert_eq!(received().to(&ListenerEntry { disabled: true, ..listener("l1") }, NOW), None);
    }

    #[test]
    fn an_id_is_the_same_on_every_node_and_another_for_every_listener() {
        let id = |listener_id: &str| received().to(&listener(listener_id), NOW).unwrap().id;
        assert_eq!(id("l1"), id("l1"));
        assert_ne!(id("l1"), id("l2"));
    }

    #[test]
    fn a_new_listener_gets_what_was_written_while_it_started_and_not_the_history() {
        let registered_at = |created_at_ms| ListenerEntry { created_at_ms, ..listener("l1") };
        assert!(received().to(&registered_at(NOW + 60_000), NOW).is_some());
        assert!(received().to(&registered_at(NOW + 60_001), NOW).is_none());
    }

    #[test]
    fn only_the_cloud_api_carries_the_verbatim_body_and_knows_no_early_statuses() {
        let cloud = ListenerEntry {
            format: ListenerFormat::CloudApi.into(),
            events: vec![RECEIVED.to_owned(), STATUS.to_owned()],
            ..listener("l1")
        };
        let raw = |listener: &ListenerEntry| match received().to(listener, NOW).unwrap().fact {
            Some(Fact::Message(message)) => message.raw,
            other => panic!("{other:?}"),
        };
        assert_eq!((raw(&cloud), raw(&listener("l1"))), ("{}".into(), bytes::Bytes::new()));
        for (status, expected) in [(Status::Accepted, false), (Status::Sent, true), (Status::Failed, true)] {
            let status = MessageStatus {
                tenant: "default".to_owned(),
                status: status.into(),
                received_at_ms: NOW,
                ..MessageStatus::default()
            };
            let event = Event::read("messages.status.default.1", &status.encode_to_vec(), 1).unwrap();
            assert_eq!(event.to(&cloud, NOW).is_some(), expected, "{status:?}");
        }
    }

    #[test]
    fn what_is_no_event_is_told() {
        let payload = message().encode_to_vec();
        for (name, payload, error) in [
            ("messages.in.other.5491100000001", payload.as_slice(), Unreadable::Tenant),
            ("messages.notice.default.1", &payload, Unreadable::Subject),
            ("stats.updated.default", &payload, Unreadable::Subject),
            ("messages", &payload, Unreadable::Subject),
        ] {
            assert_eq!(Event::read(name, payload, 1).unwrap_err(), error, "{name}");
        }
        let garbage = Event::read("messages.in.default.1", b"\xff\xff", 1);
        assert!(matches!(garbage, Err(Unreadable::Payload(_))));
    }

    proptest! {
        #[test]
        fn no_payload_makes_it_panic(payload in prop::collection::vec(any::<u8>(), 0..100)) {
            for name in ["messages.in.default.1", "messages.status.default.1", "sessions.updated.default.main"] {
                let _ = Event::read(name, &payload, 1);
            }
        }
    }
}
