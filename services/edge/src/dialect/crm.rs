//! Dialect `crm`, and the native one: `{type,data,seq}` as JSON text frames.

use axum::extract::ws::Utf8Bytes;
use chasqui_proto::v1::{self, Status};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    dialect::view::{ConversationView, MessageView, StatsView, conversation_number, iso},
    event::{Event, Fact},
    feed::Greeting,
    hub::Cursor,
};

/// The longest text of a message to WhatsApp, characters.
pub(crate) const TEXT_CHARS_MAX: usize = 4_096;

#[derive(Serialize)]
struct Frame<'a, D> {
    r#type: &'a str,
    data: D,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
}

#[derive(Serialize)]
struct NewMessage<'a> {
    message: MessageView<'a>,
    conversation: ConversationView<'a>,
}

fn frame(r#type: &str, data: impl Serialize, seq: Option<u64>) -> String {
    serde_json::to_string(&Frame { r#type, data, seq })
        .expect("views have no maps with keys that are not text")
}

/// CRM-01…04: what is shown of an event.
pub(crate) fn encode(event: &Event) -> Option<String> {
    Some(match &event.fact {
        Fact::Message { message, status } => new_message(message, *status, event),
        Fact::Status(status) => status_updated(status, event.seq),
        Fact::Conversation(conversation) => {
            let data = json!({ "conversation": ConversationView::new(conversation) });
            frame("conversation_updated", data, None)
        }
        Fact::Stats(stats) => frame("stats_updated", json!({ "stats": StatsView::new(stats) }), None),
        _ => return None,
    })
}

fn new_message(message: &v1::Message, status: Status, event: &Event) -> String {
    let state = event.conversation.as_deref().map(|state| &state.fact);
    let conversation = match state {
        Some(Fact::Conversation(conversation)) => ConversationView::new(conversation),
        _ => ConversationView::of_message(message),
    };
    frame("new_message", NewMessage { message: MessageView::new(message, status), conversation }, event.seq)
}

fn status_updated(status: &v1::MessageStatus, seq: Option<u64>) -> String {
    let data = json!({
        "message_id": status.message_id,
        "conversation_id": conversation_number(&status.tenant, &status.conversation),
        "status": status.status().name(),
    });
    frame("message_status_updated", data, seq)
}

/// The first frame of a connection.
pub(crate) fn connected(greeting: &Greeting, node: &str, heartbeat_ms: u64, session: &str) -> Utf8Bytes {
    let data = json!({
        "epoch": greeting.epoch,
        "seq": greeting.seq,
        "recovered": greeting.recovered,
        "fresh": greeting.fresh,
        "node": node,
        "heartbeat_ms": heartbeat_ms,
        "session": session,
    });
    frame("connected", data, Some(greeting.seq)).into()
}

/// A sign of life, with the position the client may come back from.
pub(crate) fn heartbeat(seq: u64) -> Utf8Bytes {
    frame("heartbeat", json!({}), Some(seq)).into()
}

/// The answer to `ping`.
pub(crate) fn pong() -> Utf8Bytes {
    Utf8Bytes::from_static(r#"{"type":"pong","data":{}}"#)
}

/// What went wrong with the client's last frame, or with the connection.
pub(crate) fn error(code: &str, message: &str) -> Utf8Bytes {
    frame("error", json!({ "code": code, "message": message }), None).into()
}

/// A message of the client is durable.
pub(crate) fn message_accepted(client_id: Option<&Value>, message_id: &str, seq: u64) -> Utf8Bytes {
    frame("message_accepted", json!({ "client_id": client_id, "message_id": message_id, "seq": seq }), None)
        .into()
}

/// The token ends then, and the connection with it unless `refresh_token` comes.
pub(crate) fn token_expiring(expires_at_ms: i64) -> Utf8Bytes {
    frame("token_expiring", json!({ "expires_at": iso(expires_at_ms) }), None).into()
}

/// The answer to `refresh_token`.
pub(crate) fn token_refreshed(expires_at_ms: Option<i64>) -> Utf8Bytes {
    frame("token_refreshed", json!({ "expires_at": expires_at_ms.map(iso) }), None).into()
}

/// What a client says.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// Who it is and where it was, as the first frame.
    Connect { token: Option<String>, since: Option<Cursor>, session: Option<String> },
    /// An application-level sign of life, for clients that cannot see protocol pings.
    Ping,
    /// A message of an agent to the contact.
    SendMessage { conversation: String, text: String, client_id: Option<Value> },
    /// Another token for this connection.
    RefreshToken { token: String },
    /// The agent has seen the conversation.
    MarkRead { conversation: String },
}

#[derive(Deserialize)]
struct Incoming {
    r#type: Option<Value>,
    #[serde(default)]
    data: Value,
}

/// Reads a frame. The error says which field is wrong and what was expected.
pub(crate) fn parse(text: &str) -> Result<Command, String> {
    let incoming: Incoming = serde_json::from_str(text)
        .map_err(|error| format!("a frame must be a JSON object {{\"type\":…,\"data\":{{…}}}}: {error}"))?;
    let Some(Value::String(kind)) = &incoming.r#type else {
        return Err("type must be a string, such as \"send_message\"".to_owned());
    };
    match kind.as_str() {
        "connect" => connect(&incoming.data),
        "ping" => Ok(Command::Ping),
        "send_message" => send_message(&incoming.data),
        "refresh_token" => refresh_token(&incoming.data),
        "mark_read" => Ok(Command::MarkRead { conversation: conversation(&incoming.data)? }),
        other => Err(format!(
            "type {:?} is unknown; expected connect, ping, send_message, mark_read or refresh_token",
            other.chars().take(64).collect::<String>()
        )),
    }
}

fn connect(data: &Value) -> Result<Command, String> {
    let token = match &data["token"] {
        Value::String(token) => Some(token.clone()),
        Value::Null => None,
        _ => return Err("data.token must be a string: the JWT".to_owned()),
    };
    let since = match &data["since"] {
        Value::Null => None,
        since => Some(cursor(since).ok_or("data.since must be {\"epoch\":string,\"seq\":number}")?),
    };
    let session = match &data["session"] {
        Value::String(session) => Some(session.clone()),
        Value::Null => None,
        _ => return Err("data.session must be a string: that of the last `connected`".to_owned()),
    };
    Ok(Command::Connect { token, since, session })
}

/// A cursor as clients keep it: `{epoch, seq}`.
pub(crate) fn cursor(value: &Value) -> Option<Cursor> {
    Some(Cursor { epoch: value["epoch"].as_str()?.to_owned(), seq: value["seq"].as_u64()? })
}

fn refresh_token(data: &Value) -> Result<Command, String> {
    let token = data["token"].as_str().ok_or("data.token must be a string: the JWT")?;
    Ok(Command::RefreshToken { token: token.to_owned() })
}

fn send_message(data: &Value) -> Result<Command, String> {
    let Some(text) = data["text"].as_str().filter(|text| !text.trim().is_empty()) else {
        return Err("data.text must be a string that is not empty".to_owned());
    };
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(format!("data.text must have at most {TEXT_CHARS_MAX} characters"));
    }
    let client_id = data.get("client_id").filter(|id| !id.is_null()).cloned();
    Ok(Command::SendMessage { conversation: conversation(data)?, text: text.to_owned(), client_id })
}

fn conversation(data: &Value) -> Result<String, String> {
    match &data["conversation_id"] {
        Value::String(id) if !id.is_empty() => Ok(id.clone()),
        Value::Number(id) if id.is_u64() => Ok(id.to_string()),
        _ => Err("data.conversation_id must be a conversation's id or the contact's phone number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn message() -> v1::Message {
        v1::Message {
            id: "0d9a4a5e-0000-4000-8000-000000000001".to_owned(),
            tenant: "default".to_owned(),
            conversation: "5491100000001".to_owned(),
            contact: Some(v1::Contact {
                aliases: vec![chasqui_proto::address::phone("5491100000001")],
                name: "Contact".to_owned(),
                ..v1::Contact::default()
            }),
            direction: v1::Direction::In.into(),
            sender_type: v1::SenderType::User.into(),
            r#type: v1::MessageType::Text.into(),
            text: "hola 🦙".to_owned(),
            provider_id: "wamid.A".to_owned(),
            occurred_at_ms: 1_700_000_000_000,
            received_at_ms: 1_700_000_000_500,
            ..v1::Message::default()
        }
    }

    fn decoded(event: &Event) -> Value {
        serde_json::from_str(&encode(event).expect("the dialect shows it")).unwrap()
    }

    #[test]
    fn crm_01_a_new_message_comes_with_its_conversation() {
        let fact = Fact::Message { message: Box::new(message()), status: Status::Unspecified };
        let number = 1_508_543_608_044_010_u64;
        let shown = json!({
            "id": "0d9a4a5e-0000-4000-8000-000000000001",
            "conversation_id": number,
            "external_id": "5491100000001@s.whatsapp.net",
            "direction": "in",
            "sender_type": "user",
            "message_type": "text",
            "text_content": "hola 🦙",
            "provider_id": "wamid.A",
            "created_at": "2023-11-14T22:13:20.000Z",
            "received_at": "2023-11-14T22:13:20.500Z",
        });
        let expected = json!({
            "type": "new_message",
            "data": {
                "message": shown,
                "conversation": {
                    "id": number,
                    "uuid": "2ae0196f-15cf-5517-a33e-8d03afa6cbbe",
                    "external_id": "5491100000001@s.whatsapp.net",
                    "contact_name": "Contact",
                    "contact_phone": "5491100000001",
                    "contact_photo_url": null,
                    "unread_count": 1,
                    "last_message": shown,
                    "last_message_status": null,
                    "last_message_at": "2023-11-14T22:13:20.000Z",
                    "started_at": null,
                    "ai_active": false,
                    "no_ac_ai": false,
                    "personality_id": null,
                    "updated_at": null,
                },
            },
            "seq": 42,
        });
        assert_eq!(decoded(&Event::of_store("", 42, fact)), expected);
    }

    #[test]
    fn crm_01_the_conversation_is_the_newest_the_node_knows() {
        let state =
            v1::Conversation { unread_count: 7, token: "5491100000001".to_owned(), ..Default::default() };
        let fact = Fact::Message { message: Box::new(message()), status: Status::Unspecified };
        let mut event = Event::of_store("", 42, fact);
        event.conversation = Some(Arc::new(Event::of_state(Fact::Conversation(Box::new(state)))));
        assert_eq!(decoded(&event)["data"]["conversation"]["unread_count"], 7);
    }

    #[test]
    fn crm_02_a_status_names_its_message_and_a_numeric_conversation() {
        let status = v1::MessageStatus {
            tenant: "default".to_owned(),
            conversation: "5491100000001".to_owned(),
            message_id: "m1".to_owned(),
            status: Status::Read.into(),
            ..v1::MessageStatus::default()
        };
        assert_eq!(
            decoded(&Event::of_store("", 43, Fact::Status(Box::new(status)))),
            json!({
                "type": "message_status_updated",
                "data": { "message_id": "m1", "conversation_id": 1_508_543_608_044_010_u64, "status": "read" },
                "seq": 43,
            })
        );
    }

    #[test]
    fn a_type_nobody_knows_shows_what_the_provider_sent() {
        let mut message = message();
        message.r#type = v1::MessageType::Unsupported.into();
        message.provider_type = "hologram".to_owned();
        message.raw = br#"{"type":"hologram","x":1}"#.to_vec().into();
        let shown = decoded(&Event::of_store(
            "",
            1,
            Fact::Message { message: Box::new(message), status: Status::Unspecified },
        ));
        let shown = &shown["data"]["message"];
        assert_eq!(
            (&shown["message_type"], &shown["provider_type"]),
            (&json!("unsupported"), &json!("hologram"))
        );
        assert_eq!(shown["payload"]["x"], 1);
    }

    #[test]
    fn every_command_is_read_and_every_mistake_named() {
        let cursor = Cursor { epoch: "e".to_owned(), seq: 5 };
        assert_eq!(
            parse(r#"{"type":"connect","data":{"token":"t","since":{"epoch":"e","seq":5},"session":"s.1"}}"#),
            Ok(Command::Connect {
                token: Some("t".to_owned()),
                since: Some(cursor),
                session: Some("s.1".to_owned())
            })
        );
        assert_eq!(parse(r#"{"type":"ping"}"#), Ok(Command::Ping));
        assert_eq!(
            parse(r#"{"type":"send_message","data":{"conversation_id":7,"text":"hi","client_id":"c1"}}"#),
            Ok(Command::SendMessage {
                conversation: "7".to_owned(),
                text: "hi".to_owned(),
                client_id: Some(json!("c1"))
            })
        );
        for (text, names) in [
            ("", "JSON object"),
            ("[]", "JSON object"),
            (r#"{"data":{}}"#, "type must be"),
            (r#"{"type":"dance"}"#, "\"dance\" is unknown"),
            (r#"{"type":"connect","data":{"token":5}}"#, "data.token"),
            (r#"{"type":"connect","data":{"since":{"seq":-1}}}"#, "data.since"),
            (r#"{"type":"send_message","data":{"conversation_id":7}}"#, "data.text"),
            (r#"{"type":"send_message","data":{"text":"x"}}"#, "data.conversation_id"),
            (r#"{"type":"mark_read","data":{"conversation_id":-7}}"#, "data.conversation_id"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(names), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn reading_a_frame_never_panics(text in ".*") {
            let _ = parse(&text);
        }

        #[test]
        fn reading_a_mutated_frame_never_panics(at in 0usize..90, byte in any::<char>()) {
            let mut text: Vec<char> =
                r#"{"type":"connect","data":{"token":"t","since":{"epoch":"e","seq":5}}}"#.chars().collect();
            let index = at % text.len();
            text[index] = byte;
            let _ = parse(&text.into_iter().collect::<String>());
        }
    }
}
