//! `Idempotency-Key`: repeating a request is safe.

use axum::http::HeaderMap;
use chasqui_kit::{Code, Coded};
use chasqui_proto::{MessageId, id, v1::Message};
use uuid::Uuid;

const HEADER: &str = "idempotency-key";

/// The longest key, bytes.
const KEY_LENGTH_MAX: usize = 255;

/// A key that cannot be one.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("Idempotency-Key must have 1 to {KEY_LENGTH_MAX} visible ASCII characters")]
pub(crate) struct InvalidKey;

impl Coded for InvalidKey {
    fn code(&self) -> Code {
        Code::InvalidInput
    }
}

/// The id of the message that a request brings: the same for every request with this key in `scope`, else a new one.
pub(crate) fn message_id(headers: &HeaderMap, scope: &[&str]) -> Result<MessageId, InvalidKey> {
    id(headers, scope).map(MessageId)
}

/// The same of whatever a request brings.
pub(crate) fn id(headers: &HeaderMap, scope: &[&str]) -> Result<Uuid, InvalidKey> {
    let Some(key) = headers.get(HEADER) else {
        return Ok(Uuid::now_v7());
    };
    let key = key.to_str().map_err(|_| InvalidKey)?;
    if !(1..=KEY_LENGTH_MAX).contains(&key.len()) {
        return Err(InvalidKey);
    }
    Ok(id::fact_id(&[scope, &[key]].concat()))
}

/// Whether a message is the one that was handed in before: when it was, and through which number, may differ.
pub(crate) fn is_same(one: &Message, other: &Message) -> bool {
    let bare = |message: &Message| Message {
        channel: None,
        occurred_at_ms: 0,
        received_at_ms: 0,
        expires_at_ms: 0,
        ..message.clone()
    };
    bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::Channel;

    use super::*;

    #[test]
    fn shc_19_the_same_key_is_the_same_message_within_a_tenant() {
        let id = |key: &str, tenant: &str| {
            let headers = HeaderMap::from_iter([(HEADER.parse().unwrap(), key.parse().unwrap())]);
            message_id(&headers, &["send", tenant])
        };
        assert_eq!(id("a", "x"), id("a", "x"));
        assert_ne!(id("a", "x"), id("b", "x"));
        assert_ne!(id("a", "x"), id("a", "y"));
        for bad in ["", &"k".repeat(256)] {
            assert_eq!(id(bad, "x"), Err(InvalidKey), "{bad}");
        }
        let none = || message_id(&HeaderMap::new(), &["send", "x"]);
        assert_ne!(none(), none(), "without a key every request is its own");
    }

    #[test]
    fn the_same_message_is_the_same_at_another_time_through_another_number() {
        let one = Message { text: "hola".into(), expires_at_ms: 60_000, ..Message::default() };
        let channel = Some(Channel { id: "main".into(), ..Channel::default() });
        let other =
            Message { received_at_ms: 5, occurred_at_ms: 5, expires_at_ms: 70_000, channel, ..one.clone() };
        assert!(is_same(&one, &other));
        assert!(!is_same(&one, &Message { text: "adiós".into(), ..other }));
    }
}
