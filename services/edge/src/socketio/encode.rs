//! Packets to clients, as whole Engine.IO text packets.

use std::fmt::Display;

use bytes::Bytes;
use chasqui_websocket::Text;
use serde::Serialize;
use serde::ser::Error as _;
use serde_json::json;
use serde_json::value::RawValue;

use super::{Pid, ROOT, Refusal};
use crate::outbox::Frame;

/// An event with one argument in the root namespace: `42["name",argument]`. Encode once, push to many.
pub fn encode_event(name: &str, argument: &impl Serialize) -> Result<Text, serde_json::Error> {
    encode_event_in(ROOT, name, argument)
}

/// An event with one argument in a namespace.
pub fn encode_event_in(
    namespace: &str,
    name: &str,
    argument: &impl Serialize,
) -> Result<Text, serde_json::Error> {
    packet("2", namespace, "", &(name, argument))
}

/// An encoded event with an offset as one more argument: where its client is once it has seen the event (see [`Pid`]).
/// `offset` must need no escapes in JSON.
pub fn with_offset(event: &str, offset: &str) -> Text {
    debug_assert!(!offset.contains(['"', '\\']) && !offset.chars().any(char::is_control), "{offset:?}");
    let arguments = event.strip_suffix(']').expect("an event ends with its list of arguments");
    format!("{arguments},\"{offset}\"]").into()
}

/// An event in a namespace with any arguments and the attachments that their placeholders name: frames to be pushed
/// together.
pub fn encode_binary_event_in(
    namespace: &str,
    name: &str,
    arguments: &[Box<RawValue>],
    attachments: Vec<Bytes>,
) -> Result<Vec<Frame>, serde_json::Error> {
    let name = serde_json::value::to_raw_value(name)?;
    let payload: Vec<&RawValue> =
        std::iter::once(&*name).chain(arguments.iter().map(|argument| &**argument)).collect();
    let kind = if attachments.is_empty() { "2".to_owned() } else { format!("5{}-", attachments.len()) };
    let text = packet(&kind, namespace, "", &payload)?;
    Ok(together(text, attachments))
}

/// The answer to event `id`; `arguments` is a list.
pub(super) fn ack(
    namespace: &str,
    id: u64,
    arguments: &impl Serialize,
    attachments: Vec<Bytes>,
) -> Result<Vec<Frame>, serde_json::Error> {
    let arguments = serde_json::value::to_raw_value(arguments)?;
    if !arguments.get().starts_with('[') {
        return Err(serde_json::Error::custom("not a list"));
    }
    let kind = if attachments.is_empty() { "3".to_owned() } else { format!("6{}-", attachments.len()) };
    let text = packet(&kind, namespace, id, &arguments)?;
    Ok(together(text, attachments))
}

fn together(text: Text, attachments: Vec<Bytes>) -> Vec<Frame> {
    std::iter::once(text.into()).chain(attachments.into_iter().map(Frame::from)).collect()
}

/// `40{"sid":…}`, with a `pid` where the connection can be recovered.
pub(super) fn connected(namespace: &str, socket_id: &str, pid: Option<&Pid>) -> Text {
    let payload = match pid {
        Some(pid) => json!({ "sid": socket_id, "pid": pid.as_str() }),
        None => json!({ "sid": socket_id }),
    };
    packet("0", namespace, "", &payload).expect("strings are JSON")
}

/// `44{"message":…,"data":…}`
pub(super) fn refused(namespace: &str, refusal: &Refusal) -> Text {
    let mut error = json!({ "message": refusal.message });
    if let Some(data) = &refusal.data {
        error["data"] = data.clone();
    }
    packet("4", namespace, "", &error).expect("a JSON value is JSON")
}

/// `41`: the server ends the namespace, and the client does not come back by itself.
pub(super) fn disconnected(namespace: &str) -> Text {
    match namespace {
        ROOT => Text::from_static("41"),
        other => format!("41{other},").into(),
    }
}

fn packet(
    kind: &str,
    namespace: &str,
    id: impl Display,
    payload: &impl Serialize,
) -> Result<Text, serde_json::Error> {
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
        assert_eq!(with_offset(&encode_event("x", &[1]).unwrap(), "18a.7"), r#"42["x",[1],"18a.7"]"#);
        assert_eq!(ack(ROOT, 7, &("ok", 1), vec![]).unwrap(), [Frame::from(r#"437["ok",1]"#)]);
        assert_eq!(ack("/chat", 7, &[true], vec![]).unwrap(), [Frame::from("43/chat,7[true]")]);
        assert!(ack(ROOT, 7, &"no list", vec![]).is_err());
        assert_eq!(connected(ROOT, "abc", None), r#"40{"sid":"abc"}"#);
        let pid = Pid::of_session("s");
        assert_eq!(connected(ROOT, "a", Some(&pid)), format!(r#"40{{"pid":"{}","sid":"a"}}"#, pid.as_str()));
        assert_eq!(disconnected("/chat"), "41/chat,");
        let refusal = Refusal { message: "no".into(), data: Some(json!({"code": 1})) };
        assert_eq!(refused(ROOT, &refusal), r#"44{"data":{"code":1},"message":"no"}"#);
    }

    #[test]
    fn attachments_follow_the_text_that_counts_them() {
        let placeholder = json!({ "_placeholder": true, "num": 0 });
        let bytes = Bytes::from_static(&[1, 2]);
        let frames = ack("/chat", 7, &[&placeholder], vec![bytes.clone()]).unwrap();
        let text = Frame::from(r#"461-/chat,7[{"_placeholder":true,"num":0}]"#);
        assert_eq!(frames, [text, Frame::from(bytes.clone())]);
        let arguments = [serde_json::value::to_raw_value(&placeholder).unwrap()];
        let frames = encode_binary_event_in(ROOT, "x", &arguments, vec![bytes.clone()]).unwrap();
        assert_eq!(frames, [Frame::from(r#"451-["x",{"_placeholder":true,"num":0}]"#), Frame::from(bytes)]);
        assert_eq!(encode_binary_event_in(ROOT, "x", &[], vec![]).unwrap(), [Frame::from(r#"42["x"]"#)]);
    }
}
