//! A message of the bus as one JSON object: what `tap` and `dlq show` print.

use async_nats::HeaderMap;
use chasqui_proto::header;
use serde::Serialize;
use serde_json::Value as Json;

use crate::{guess, payload};

/// The position of a republished message in its stream.
const SEQUENCE_HEADER: &str = "Nats-Sequence";

/// A message, its members in the order in which they are read.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    type_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    payload: Json,
}

impl Shown {
    /// Position, type, id and trace from the headers, where there are any, and the payload.
    pub(crate) fn new(subject: &str, headers: Option<&HeaderMap>, bytes: &[u8]) -> Self {
        let text =
            |name: &str| headers.and_then(|headers| headers.get(name)).map(async_nats::HeaderValue::as_str);
        let decoded = match text(header::TYPE).and_then(payload::type_named) {
            Some(descriptor) => payload::decode(descriptor, bytes).ok(),
            None => guess::decode(Some(subject), bytes),
        };
        Self {
            subject: subject.to_owned(),
            seq: text(SEQUENCE_HEADER).and_then(|seq| seq.parse().ok()),
            type_name: decoded
                .as_ref()
                .map(payload::type_of)
                .or_else(|| text(header::TYPE).map(str::to_owned)),
            id: text(header::ID).map(str::to_owned),
            trace: text(header::TRACEPARENT).and_then(trace_id).map(str::to_owned),
            payload: decoded.as_ref().map_or_else(|| payload::bytes_to_json(bytes), payload::to_json),
        }
    }

    /// One line of JSON.
    pub(crate) fn line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

/// The trace's id in the form that logs have it: the second field of the header.
fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::Canary;
    use prost::{Message, Name};

    use super::*;

    #[test]
    fn headers_say_what_it_is_and_where_it_belongs() {
        let mut headers = HeaderMap::new();
        headers.insert(header::TYPE, Canary::full_name());
        headers.insert(header::ID, "c-1");
        headers.insert(header::TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        headers.insert(SEQUENCE_HEADER, "7");
        let canary = Canary { node: "edge-1".to_owned(), sent_at_ms: 0 };
        let shown = Shown::new("live.x", Some(&headers), &canary.encode_to_vec());
        let expected = r#"{"subject":"live.x","seq":7,"type":"Canary","id":"c-1","trace":"4bf92f3577b34da6a3ce929d0e0e4736","payload":{"node":"edge-1"}}"#;
        assert_eq!(shown.line().unwrap(), expected);
    }

    #[test]
    fn a_message_of_somebody_else_is_shown_as_it_is() {
        let shown = Shown::new("orders.created", None, b"{\"order\":1}");
        assert_eq!(shown.line().unwrap(), r#"{"subject":"orders.created","payload":{"order":1}}"#);
    }
}
