//! What a delivery says, ready to be stored.

use std::borrow::Cow;

use bytes::Bytes;
use chasqui_proto::{
    ConversationId, ConversationToken, Tenant, subject,
    v1::{self, ChannelKind, Direction},
};
use prost::Message;
use time::OffsetDateTime;
use uuid::Uuid;

/// A delivery that no later version of the row would make readable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub(crate) struct Undecodable(pub(crate) String);

/// The conversation a fact belongs to, as its subject says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) id: Uuid,
    pub(crate) tenant: Tenant,
    pub(crate) token: ConversationToken,
}

/// A fact with its place and its position in the stream.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) id: Uuid,
    pub(crate) place: Place,
    pub(crate) seq: i64,
    /// The payload as it came.
    pub(crate) event: Bytes,
    pub(crate) received_at_ms: i64,
    pub(crate) body: Body,
    /// It was delivered before: what follows from it is done again.
    pub(crate) repeated: bool,
}

/// What a fact is.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Message(Box<v1::Message>),
    Status { message_id: Uuid, provider_message_id: Option<String>, rank: i16, occurred_at_ms: i64 },
}

/// Reads a delivery.
pub(crate) fn read(subject: &str, payload: &Bytes, seq: u64, repeated: bool) -> Result<Fact, Undecodable> {
    let undecodable = |what: &str| Undecodable(what.to_owned());
    let parts = subject::parse(subject).ok_or_else(|| undecodable("the subject has too few parts"))?;
    let tenant: Tenant = parts.tenant.parse().map_err(|error| Undecodable(format!("{error}")))?;
    let token: ConversationToken = parts.key.parse().map_err(|error| Undecodable(format!("{error}")))?;
    let place = Place { id: ConversationId::of(&tenant, &token).0, tenant, token };
    let broken = |error: prost::DecodeError| Undecodable(error.to_string());
    let (id, said, received_at_ms, body) = if parts.fact == "status" {
        let status = v1::MessageStatus::decode(payload.clone()).map_err(broken)?;
        let body = status_body(&status)?;
        (status.id, (status.tenant, status.conversation), status.received_at_ms, body)
    } else {
        let message = v1::Message::decode(payload.clone()).map_err(broken)?;
        if message.direction() == Direction::Unspecified {
            return Err(undecodable("the message has no direction"));
        }
        let said = (message.tenant.clone(), message.conversation.clone());
        (message.id.clone(), said, message.received_at_ms, Body::Message(Box::new(message)))
    };
    // Who may publish where is decided by subject: a payload must not reach beyond its own.
    if said != (place.tenant.to_string(), place.token.to_string()) {
        return Err(undecodable("the payload belongs to another conversation than its subject"));
    }
    let id = id.parse().map_err(|_| undecodable("the id is no UUID"))?;
    let seq = i64::try_from(seq).map_err(|_| undecodable("the position is out of range"))?;
    Ok(Fact { id, place, seq, event: payload.clone(), received_at_ms, body, repeated })
}

fn status_body(status: &v1::MessageStatus) -> Result<Body, Undecodable> {
    let message_id =
        status.message_id.parse().map_err(|_| Undecodable("the message's id is no UUID".to_owned()))?;
    let known = v1::Status::try_from(status.status).unwrap_or(v1::Status::Unspecified);
    if known == v1::Status::Unspecified {
        return Err(Undecodable(format!("there is no status {}", status.status)));
    }
    Ok(Body::Status {
        message_id,
        provider_message_id: text(&status.provider_message_id),
        rank: i16::try_from(status.status).unwrap_or_default(),
        occurred_at_ms: either(status.occurred_at_ms, status.received_at_ms),
    })
}

impl Fact {
    /// The message, where it is one.
    pub(crate) fn message(&self) -> Option<&v1::Message> {
        match &self.body {
            Body::Message(message) => Some(message),
            Body::Status { .. } => None,
        }
    }
}

/// The further addresses of a contact: those that do not name the conversation themselves.
pub(crate) fn further_aliases(place: &Place, message: &v1::Message) -> Vec<ConversationToken> {
    let aliases = message.contact.iter().flat_map(|contact| &contact.aliases);
    let tokens = aliases.filter(|alias| !alias.value.is_empty()).map(ConversationToken::of);
    tokens.filter(|token| *token != place.token).collect()
}

/// Whether the message goes to a web widget.
pub(crate) fn channel_kind(message: &v1::Message) -> ChannelKind {
    message.channel.as_ref().map_or(ChannelKind::Unspecified, v1::Channel::kind)
}

/// A text as PostgreSQL takes it: it refuses the character NUL. `None` when there is none.
pub(crate) fn text(given: &str) -> Option<String> {
    if given.is_empty() {
        return None;
    }
    let clean = if given.contains('\0') { Cow::Owned(given.replace('\0', "\u{fffd}")) } else { given.into() };
    Some(clean.into_owned())
}

/// The first time that was given at all.
pub(crate) fn either(first_ms: i64, second_ms: i64) -> i64 {
    if first_ms > 0 { first_ms } else { second_ms.max(0) }
}

/// A time on the bus as the database has it. What lies beyond the calendar becomes its beginning.
pub(crate) fn moment(ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// A time of the database as it stands on the bus.
pub(crate) fn milliseconds(moment: OffsetDateTime) -> i64 {
    i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> v1::Message {
        v1::Message {
            id: Uuid::from_u128(7).to_string(),
            tenant: "default".to_owned(),
            conversation: "5491100000001".to_owned(),
            direction: Direction::In.into(),
            ..v1::Message::default()
        }
    }

    fn subject() -> String {
        let (tenant, conversation) = ("default".parse().unwrap(), "5491100000001".parse().unwrap());
        subject::messages_in(&tenant, &conversation).as_str().to_owned()
    }

    fn check(subject: &str, payload: Vec<u8>, expected: &str) {
        let error = read(subject, &payload.into(), 1, false).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn a_message_is_placed_by_its_subject() {
        let payload = Bytes::from(message().encode_to_vec());
        let fact = read(&subject(), &payload, 9, false).unwrap();
        assert_eq!((fact.id, fact.seq, fact.event), (Uuid::from_u128(7), 9, payload));
        assert_eq!(fact.place.token.as_str(), "5491100000001");
    }

    #[test]
    fn what_does_not_fit_its_subject_is_refused() {
        let subject = &subject();
        let with = |change: fn(&mut v1::Message)| {
            let mut message = message();
            change(&mut message);
            message.encode_to_vec()
        };
        check(subject, vec![0xff], "decode");
        check(subject, with(|m| m.tenant = "other".to_owned()), "another conversation");
        check(subject, with(|m| m.conversation = "5491100000002".to_owned()), "another conversation");
        check(subject, with(|m| m.id = "7".to_owned()), "UUID");
        check(subject, with(|m| m.direction = 0), "direction");
        check("default", vec![], "too few parts");
        check(&subject.replace(".in.", ".status."), vec![], "UUID");
    }

    #[test]
    fn nul_never_reaches_the_database() {
        assert_eq!(text("a\0b").as_deref(), Some("a\u{fffd}b"));
        assert_eq!(text(""), None);
    }

    #[test]
    fn a_time_beyond_the_calendar_is_its_beginning() {
        assert_eq!(milliseconds(moment(1_700_000_000_123)), 1_700_000_000_123);
        assert_eq!(moment(i64::MAX), OffsetDateTime::UNIX_EPOCH);
    }
}
