//! What a client of dialect `crm` says.

use serde::Deserialize;
use serde_json::Value;

use super::Topics;
use crate::{
    dialect::attachment::{self, Attachment},
    hub::Cursor,
};

/// The longest text of a message to WhatsApp, characters.
pub(crate) const TEXT_CHARS_MAX: usize = 4_096;
/// The most types one `subscribe` may name.
const TYPES_MAX: usize = 64;

/// What a client says.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// Who it is and where it was, as the first frame.
    Connect { token: Option<String>, since: Option<Cursor>, session: Option<String> },
    /// An application-level sign of life, for clients that cannot see protocol pings.
    Ping,
    /// A message of an agent to the contact.
    SendMessage {
        conversation: String,
        /// Empty only where there is a file.
        text: String,
        file: Option<Box<Attachment>>,
        client_id: Option<Value>,
    },
    /// Another token for this connection.
    RefreshToken { token: String },
    /// CRM-12: of which types it wants to be shown events.
    Subscribe(Topics),
    /// The agent types in a conversation, or stopped.
    Typing { conversation: String, typing: bool },
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
        "subscribe" => subscribe(&incoming.data),
        "typing" => typing(&incoming.data),
        "refresh_token" => refresh_token(&incoming.data),
        "mark_read" => Ok(Command::MarkRead { conversation: conversation(&incoming.data)? }),
        other => Err(format!(
            "type {:?} is unknown; expected connect, ping, subscribe, send_message, mark_read, typing or \
             refresh_token",
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

fn subscribe(data: &Value) -> Result<Command, String> {
    let types = match &data["types"] {
        Value::Null => return Ok(Command::Subscribe(Topics::ALL)),
        Value::Array(types) if types.len() <= TYPES_MAX => types,
        _ => {
            return Err(format!(
                "data.types must be a list of at most {TYPES_MAX} types of events, or null for all"
            ));
        }
    };
    let mut topics = Topics::NONE;
    for name in types {
        topics.add(name.as_str().unwrap_or_default())?;
    }
    Ok(Command::Subscribe(topics))
}

fn typing(data: &Value) -> Result<Command, String> {
    let typing = data["typing"].as_bool().ok_or("data.typing must be true or false")?;
    Ok(Command::Typing { conversation: conversation(data)?, typing })
}

fn refresh_token(data: &Value) -> Result<Command, String> {
    let token = data["token"].as_str().ok_or("data.token must be a string: the JWT")?;
    Ok(Command::RefreshToken { token: token.to_owned() })
}

fn send_message(data: &Value) -> Result<Command, String> {
    let file = match &data["attachment"] {
        Value::Null => None,
        given => Some(Box::new(
            attachment::read(given)
                .map_err(|wrong| format!("data.attachment.{} {}", wrong.field, wrong.english))?,
        )),
    };
    let text = match &data["text"] {
        Value::String(text) if !text.trim().is_empty() => text.as_str(),
        Value::Null | Value::String(_) if file.is_some() => "",
        _ => return Err("data.text must be a string that is not empty".to_owned()),
    };
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(format!("data.text must have at most {TEXT_CHARS_MAX} characters"));
    }
    let client_id = data.get("client_id").filter(|id| !id.is_null()).cloned();
    Ok(Command::SendMessage { conversation: conversation(data)?, text: text.to_owned(), file, client_id })
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
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

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
                file: None,
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
            (r#"{"type":"send_message","data":{"text":"x","attachment":{"id":"7"}}}"#, "data.attachment.id"),
            (r#"{"type":"send_message","data":{"conversation_id":7,"attachment":null}}"#, "data.text"),
            (r#"{"type":"mark_read","data":{"conversation_id":-7}}"#, "data.conversation_id"),
            (r#"{"type":"typing","data":{"conversation_id":7}}"#, "data.typing"),
            (r#"{"type":"typing","data":{"typing":true}}"#, "data.conversation_id"),
            (r#"{"type":"subscribe","data":{"types":"new_message"}}"#, "data.types"),
            (r#"{"type":"subscribe","data":{"types":["dance"]}}"#, "dance"),
            (r#"{"type":"refresh_token","data":{"token":5}}"#, "data.token"),
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
