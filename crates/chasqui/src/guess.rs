//! What a payload is when neither its subject nor its headers came along: the only declared type that it decodes as
//! completely and that then makes sense.

use std::str::FromStr;

use chasqui_proto::{
    ConversationToken, Tenant,
    service::{self, Endpoint},
    stream, subject, v1,
};
use prost::Name;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};
use uuid::Uuid;

use crate::payload;

/// A time in a payload lies between 2001 and 2128, unix milliseconds: no count and no id of ours does.
const PLAUSIBLE_TIMES_MS: std::ops::Range<i64> = 1_000_000_000_000..5_000_000_000_000;

/// The payload as the type that its subject names, or that it must be; `None` when it is none of ours.
pub(crate) fn decode(subject: Option<&str>, bytes: &[u8]) -> Option<DynamicMessage> {
    match subject.and_then(type_of_subject) {
        Some(name) => payload::decode(payload::type_named(&name)?, bytes).ok(),
        None => guess(bytes),
    }
}

/// The type of what is sent on a subject, in front of which may stand `live.` or `dlq.<service>.`.
pub(crate) fn type_of_subject(name: &str) -> Option<String> {
    let fact = |name: &str| subject::payload_type(name).map(str::to_owned);
    let letter = || {
        let letters = stream::DLQ.subjects[0].trim_end_matches('>');
        let (_service, original) = name.strip_prefix(letters)?.split_once('.')?;
        fact(original)
    };
    fact(name).or_else(letter).or_else(|| type_of_question(name))
}

fn type_of_question(name: &str) -> Option<String> {
    fn question<Q: Name, A>(endpoint: Endpoint<Q, A>) -> (&'static str, String) {
        (endpoint.subject, Q::full_name())
    }
    let questions = [
        question(service::CONVERSATIONS_LIST),
        question(service::CONVERSATIONS_GET),
        question(service::CONVERSATIONS_MARK_READ),
        question(service::MESSAGES_LIST),
        question(service::MESSAGES_UNDELIVERED),
        question(service::EVENTS_SINCE),
        question(service::STATS_GET),
    ];
    questions.into_iter().find_map(|(subject, question)| (subject == name).then_some(question))
}

/// The type that a payload must be.
pub(crate) fn guess(bytes: &[u8]) -> Option<DynamicMessage> {
    // What is published on subjects, the richest first.
    let candidates = [
        v1::Message::full_name(),
        v1::Conversation::full_name(),
        v1::MessageStatus::full_name(),
        v1::ProviderNotice::full_name(),
        v1::Stats::full_name(),
        v1::Canary::full_name(),
    ];
    let decoded = |name: String| payload::decode(payload::type_named(&name)?, bytes).ok();
    candidates.into_iter().filter_map(decoded).find(|message| is_complete(message) && is_a_fact(message))
}

/// Nothing of it is unknown, at any depth.
fn is_complete(message: &DynamicMessage) -> bool {
    message.unknown_fields().next().is_none()
        && message.fields().all(|(field, value)| is_known(value, &field))
}

fn is_known(value: &Value, field: &FieldDescriptor) -> bool {
    match (value, field.kind()) {
        (Value::EnumNumber(number), Kind::Enum(declared)) => declared.get_value(*number).is_some(),
        (Value::Message(part), _) => is_complete(part),
        (Value::List(values), _) => values.iter().all(|value| is_known(value, field)),
        (Value::I64(time), _) if field.name().ends_with("_at_ms") => PLAUSIBLE_TIMES_MS.contains(time),
        _ => true,
    }
}

/// Every fact tells whose it is and when it was made; ids are UUIDs and keys are tokens.
fn is_a_fact(message: &DynamicMessage) -> bool {
    let optional = |name: &str, holds: fn(&str) -> bool| {
        message.get_field_by_name(name).is_none_or(|value| value.as_str().is_none_or(holds))
    };
    let made =
        ["received_at_ms", "updated_at_ms", "sent_at_ms"].iter().any(|time| message.has_field_by_name(time));
    made && optional("id", parses::<Uuid>)
        && optional("tenant", parses::<Tenant>)
        && optional("conversation", parses::<ConversationToken>)
        && optional("token", parses::<ConversationToken>)
        && optional("node", |node| !node.is_empty())
        && optional("message_id", |id| id.is_empty() || parses::<Uuid>(id))
}

fn parses<T: FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use proptest::prelude::*;
    use prost::Message;
    use prost_reflect::ReflectMessage;

    use super::*;

    fn guessed(bytes: &[u8]) -> Option<String> {
        guess(bytes).map(|message| message.descriptor().name().to_owned())
    }

    #[test]
    fn each_frozen_fact_is_recognised_by_its_bytes_alone() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/tests/golden/v1");
        for (file, name) in [
            ("message", "Message"),
            ("message-status", "MessageStatus"),
            ("provider-notice", "ProviderNotice"),
            ("conversation", "Conversation"),
            ("stats", "Stats"),
            ("canary", "Canary"),
        ] {
            let bytes = fs::read(golden.join(format!("{file}.bin"))).unwrap();
            assert_eq!(guessed(&bytes).as_deref(), Some(name), "{file}");
        }
    }

    #[test]
    fn what_is_no_fact_of_ours_is_not_taken_for_one() {
        for bytes in [b"".as_slice(), b"hola", b"{\"type\":\"io.nats\"}", &[0xff, 0x01], &[10, 1, 65]] {
            assert_eq!(guessed(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn subjects_name_their_types_also_when_repeated_or_dead() {
        for (subject, name) in [
            ("messages.in.default.5491100000001", Some("chasqui.v1.Message")),
            ("live.stats.updated.default", Some("chasqui.v1.Stats")),
            ("dlq.persistence.messages.status.default.5491100000001", Some("chasqui.v1.MessageStatus")),
            ("persistence.stats.get", Some("chasqui.v1.GetStats")),
            ("dlq.persistence", None),
            ("orders.created", None),
        ] {
            assert_eq!(type_of_subject(subject).as_deref(), name, "{subject}");
        }
    }

    prop_compose! {
        fn small_message()(
            id in any::<u128>(), phone in "[1-9][0-9]{7,14}", text in ".{0,40}", inbound in any::<bool>(),
            named in any::<bool>(), at in 1_600_000_000_000_i64..1_900_000_000_000,
        ) -> v1::Message {
            let direction = if inbound { v1::Direction::In } else { v1::Direction::Out };
            let contact = v1::Contact {
                aliases: vec![chasqui_proto::address::phone(&phone)],
                name: if named { text.clone() } else { String::new() },
                ..v1::Contact::default()
            };
            v1::Message {
                id: Uuid::from_u128(id).to_string(),
                tenant: "default".to_owned(),
                conversation: phone,
                contact: Some(contact),
                direction: direction.into(),
                sender_type: v1::SenderType::User.into(),
                r#type: v1::MessageType::Text.into(),
                text,
                received_at_ms: at,
                ..v1::Message::default()
            }
        }
    }

    proptest! {
        #[test]
        fn messages_statuses_and_conversations_are_told_apart(message in small_message(), step in 0..9_i32) {
            let is = |bytes: Vec<u8>, name: &str| guessed(&bytes).as_deref() == Some(name);
            prop_assert!(is(message.encode_to_vec(), "Message"));
            let status = v1::MessageStatus {
                id: message.id.clone(),
                tenant: message.tenant.clone(),
                conversation: message.conversation.clone(),
                message_id: message.id.clone(),
                status: (step + 1) * 10,
                received_at_ms: message.received_at_ms,
                ..v1::MessageStatus::default()
            };
            prop_assert!(is(status.encode_to_vec(), "MessageStatus"));
            let conversation = v1::Conversation {
                id: message.id.clone(),
                tenant: message.tenant.clone(),
                token: message.conversation.clone(),
                unread_count: u32::try_from(step).unwrap(),
                updated_at_ms: message.received_at_ms,
                last_message: Some(message),
                ..v1::Conversation::default()
            };
            prop_assert!(is(conversation.encode_to_vec(), "Conversation"));
        }

        #[test]
        fn guessing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = guess(&bytes);
        }
    }
}
