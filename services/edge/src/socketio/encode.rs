//! Packets to clients, as whole Engine.IO text packets.

use std::fmt::Display;

use axum::extract::ws::Utf8Bytes;
use serde::Serialize;
use serde::ser::Error as _;
use serde_json::json;

use super::{ROOT, Refusal};

/// An event with one argument in the root namespace: `42["name",argument]`. Encode once, push to many.
pub fn encode_event(name: &str, argument: &impl Serialize) -> Result<Utf8Bytes, serde_json::Error> {
    encode_event_in(ROOT, name, argument)
}

/// An event with one argument in a namespace.
pub fn encode_event_in(
    namespace: &str,
    name: &str,
    argument: &impl Serialize,
) -> Result<Utf8Bytes, serde_json::Error> {
    packet('2', namespace, "", &(name, argument))
}

/// The answer to event `id`; `arguments` is a list.
pub(super) fn ack(
    namespace: &str,
    id: u64,
    arguments: &impl Serialize,
) -> Result<Utf8Bytes, serde_json::Error> {
    let arguments = serde_json::value::to_raw_value(arguments)?;
    if !arguments.get().starts_with('[') {
        return Err(serde_json::Error::custom("not a list"));
    }
    packet('3', namespace, id, &arguments)
}

/// `40{"sid":…}`
pub(super) fn connected(namespace: &str, socket_id: &str) -> Utf8Bytes {
    packet('0', namespace, "", &json!({ "sid": socket_id })).expect("a string is JSON")
}

/// `44{"message":…,"data":…}`
pub(super) fn refused(namespace: &str, refusal: &Refusal) -> Utf8Bytes {
    let mut error = json!({ "message": refusal.message });
    if let Some(data) = &refusal.data {
        error["data"] = data.clone();
    }
    packet('4', namespace, "", &error).expect("a JSON value is JSON")
}

/// `41`: the server ends the namespace, and the client does not come back by itself.
pub(super) fn disconnected(namespace: &str) -> Utf8Bytes {
    match namespace {
        ROOT => Utf8Bytes::from_static("41"),
        other => format!("41{other},").into(),
    }
}

fn packet(
    kind: char,
    namespace: &str,
    id: impl Display,
    payload: &impl Serialize,
) -> Result<Utf8Bytes, serde_json::Error> {
    let payload = serde_json::to_string(payload)?;
    let text = match namespace {
        ROOT => format!("4{kind}{id}{payload}"),
        other => format!("4{kind}{other},{id}{payload}"),
    };
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_look_as_the_protocol_wants() {
        assert_eq!(
            encode_event("bot-response", &json!({"a": "ñ🦙"})).unwrap(),
            r#"42["bot-response",{"a":"ñ🦙"}]"#
        );
        assert_eq!(encode_event_in("/chat", "x", &1).unwrap(), r#"42/chat,["x",1]"#);
        assert_eq!(ack(ROOT, 7, &("ok", 1)).unwrap(), r#"437["ok",1]"#);
        assert_eq!(ack("/chat", 7, &[true]).unwrap(), "43/chat,7[true]");
        assert!(ack(ROOT, 7, &"no list").is_err());
        assert_eq!(connected(ROOT, "abc"), r#"40{"sid":"abc"}"#);
        assert_eq!(disconnected("/chat"), "41/chat,");
        let refusal = Refusal { message: "no".into(), data: Some(json!({"code": 1})) };
        assert_eq!(refused(ROOT, &refusal), r#"44{"data":{"code":1},"message":"no"}"#);
    }
}
