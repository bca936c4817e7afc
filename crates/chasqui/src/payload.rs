//! Payloads as people read them: JSON with short enum names, ISO times and the provider's JSON in place.

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_STANDARD};
use chasqui_proto::DESCRIPTORS;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value,
};
use serde_json::{Map, Value as Json, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The name endings of fields that hold unix milliseconds.
const TIME_SUFFIX: &str = "_at_ms";

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).expect("the descriptors are compiled in"));

/// The declared type with this full name, or with it as its last part (`Message`).
pub(crate) fn type_named(name: &str) -> Option<MessageDescriptor> {
    let short = |message: &MessageDescriptor| message.name() == name;
    POOL.get_message_by_name(name).or_else(|| POOL.all_messages().find(short))
}

/// Every declared type's short name.
pub(crate) fn type_names() -> Vec<String> {
    POOL.all_messages().map(|message| message.name().to_owned()).collect()
}

/// A payload of a known type.
pub(crate) fn decode(
    descriptor: MessageDescriptor,
    bytes: &[u8],
) -> Result<DynamicMessage, prost::DecodeError> {
    DynamicMessage::decode(descriptor, bytes)
}

/// The short name of a payload's type.
pub(crate) fn type_of(message: &DynamicMessage) -> String {
    message.descriptor().name().to_owned()
}

/// A payload as JSON. What is not set is left out.
pub(crate) fn to_json(message: &DynamicMessage) -> Json {
    let mut members = Map::new();
    for field in message.descriptor().fields().filter(|field| message.has_field(field)) {
        let value = message.get_field(&field);
        match value.as_i64().filter(|_| field.name().ends_with(TIME_SUFFIX)).and_then(iso_time) {
            Some(time) => members.insert(field.name().trim_end_matches("_ms").to_owned(), time.into()),
            None => members.insert(field.name().to_owned(), value_to_json(&value, &field)),
        };
    }
    Json::Object(members)
}

/// What cannot be decoded, as JSON: its text where it is one, else base64.
pub(crate) fn bytes_to_json(bytes: &[u8]) -> Json {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(is_unprintable));
    match text {
        Some(text) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        None => json!({ "base64": BASE64_STANDARD.encode(bytes) }),
    }
}

fn value_to_json(value: &Value, field: &FieldDescriptor) -> Json {
    match value {
        Value::Bool(value) => json!(value),
        Value::I32(value) => json!(value),
        Value::I64(value) => json!(value),
        Value::U32(value) => json!(value),
        Value::U64(value) => json!(value),
        Value::F32(value) => json!(value),
        Value::F64(value) => json!(value),
        Value::String(value) => json!(value),
        Value::Bytes(value) => bytes_to_json(value),
        Value::EnumNumber(number) => enum_to_json(*number, &field.kind()),
        Value::Message(message) => to_json(message),
        Value::List(values) => values.iter().map(|value| value_to_json(value, field)).collect(),
        // No payload has a map; one added later is at least seen.
        Value::Map(entries) => json!(format!("{entries:?}")),
    }
}

/// `DIRECTION_IN` → `in`; a number that has no name stays a number.
fn enum_to_json(number: i32, kind: &Kind) -> Json {
    let Kind::Enum(declared) = kind else { return json!(number) };
    let Some(value) = declared.get_value(number) else { return json!(number) };
    let prefix = declared
        .get_value(0)
        .map_or(String::new(), |zero| zero.name().strip_suffix("UNSPECIFIED").unwrap_or_default().to_owned());
    json!(value.name().strip_prefix(&prefix).unwrap_or(value.name()).to_lowercase())
}

fn iso_time(unix_ms: i64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000).ok()?;
    time.format(&Rfc3339).ok()
}

fn is_unprintable(c: char) -> bool {
    c.is_control() && !c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1;
    use prost::{Message, Name};

    use super::*;

    #[test]
    fn a_payload_reads_like_json_that_a_person_would_write() {
        let message = v1::Message {
            direction: v1::Direction::In.into(),
            r#type: v1::MessageType::Image.into(),
            received_at_ms: 1_760_000_000_456,
            raw: br#"{"id":"wamid.A"}"#.as_slice().into(),
            contact: Some(v1::Contact {
                aliases: vec![v1::Alias { kind: v1::AliasKind::Phone.into(), value: "5491100000001".into() }],
                ..v1::Contact::default()
            }),
            ..v1::Message::default()
        };
        let descriptor = type_named(&v1::Message::full_name()).unwrap();
        let shown = to_json(&decode(descriptor, &message.encode_to_vec()).unwrap());
        let expected = json!({
            "contact": { "aliases": [{ "kind": "phone", "value": "5491100000001" }] },
            "direction": "in",
            "type": "image",
            "raw": { "id": "wamid.A" },
            "received_at": "2025-10-09T08:53:20.456Z",
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_enum_value_of_tomorrow_is_shown_by_its_number() {
        let status = v1::MessageStatus { status: 75, ..v1::MessageStatus::default() };
        let shown = to_json(&decode(type_named("MessageStatus").unwrap(), &status.encode_to_vec()).unwrap());
        assert_eq!(shown, json!({ "status": 75 }));
    }

    #[test]
    fn bytes_are_shown_as_json_text_or_base64() {
        assert_eq!(bytes_to_json(b"{\"a\":1}"), json!({ "a": 1 }));
        assert_eq!(bytes_to_json(b"hola"), json!("hola"));
        assert_eq!(bytes_to_json(&[0, 159]), json!({ "base64": "AJ8=" }));
    }
}
