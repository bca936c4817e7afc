//! What a client of this dialect says.

use serde_json::{Map, Value};

use super::refusal::{Refusal, Style};
use crate::dialect::{
    attachment::{self, Attachment},
    crm::TEXT_CHARS_MAX,
};

/// The most characters of an id that a client gives: of a chat, a message, itself, or its own name for a message.
const ID_CHARS_MAX: usize = 128;

/// A message to the other side of a chat.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Write {
    pub(crate) style: Style,
    pub(crate) chat: String,
    /// Empty only where there is a file.
    pub(crate) text: String,
    /// Of an agent.
    pub(crate) file: Option<Box<Attachment>>,
    /// Who the frame says it is from. Only checked: the connection knows who it is.
    pub(crate) claimed_sender: Option<String>,
    /// The client's own name for it, told back once it is stored; a text or a number.
    pub(crate) client_id: Option<Value>,
}

/// What a client says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    /// BEN-19, BEN-23
    Write(Write),
    /// BEN-17, BEN-18: to the guided flow, which begins anew without a text.
    ToBot { text: Option<String>, client_id: Option<Value> },
    /// BEN-27
    Read { chat: String, message: String },
    /// BEN-28, BEN-29
    Typing { chat: String, typing: bool },
    /// A user asks for somebody to talk to.
    OpenChat,
    /// BEN-30; without a chat, a user's own.
    CloseChat { chat: Option<String> },
    /// The connection is to go on with another token.
    RefreshToken { token: String },
    /// BEN-31
    Unknown,
}

/// Reads a frame.
pub(crate) fn parse(text: &str) -> Result<Command, Refusal> {
    let fields: Map<String, Value> = serde_json::from_str(text).map_err(|_| Refusal::Garbage)?;
    let event = fields.get("event").and_then(Value::as_str).unwrap_or_default();
    if fields.get("source").is_some_and(|source| source == "chatbot") {
        return to_bot(&fields, event);
    }
    match event {
        "chatbot_init" | "init" => to_bot(&fields, event),
        "chat_message" => chat_message(&fields),
        "agent_chat_message" => agent_chat_message(&fields),
        "message_read" => message_read(&fields),
        "typing" | "stop_typing" => typing(&fields, event == "typing"),
        "open_chat" => Ok(Command::OpenChat),
        "close_chat" => close_chat(&fields),
        "refresh_token" => refresh_token(&fields),
        _ => Ok(Command::Unknown),
    }
}

fn to_bot(fields: &Map<String, Value>, event: &str) -> Result<Command, Refusal> {
    let client_id = client_id(fields)?;
    if ["chatbot_init", "init"].contains(&event) {
        return Ok(Command::ToBot { text: None, client_id });
    }
    let text = text(fields, Style::Chat)?.ok_or(Refusal::Incomplete(Style::Chat))?;
    Ok(Command::ToBot { text: Some(text), client_id })
}

fn chat_message(fields: &Map<String, Value>) -> Result<Command, Refusal> {
    let incomplete = Refusal::Incomplete(Style::Chat);
    let chat = id(fields, "chat_id")?.ok_or_else(|| incomplete.clone())?;
    let sender = id(fields, "sender_id")?.ok_or_else(|| incomplete.clone())?;
    let text = text(fields, Style::Chat)?.ok_or(incomplete)?;
    let client_id = client_id(fields)?;
    let (file, claimed_sender) = (None, Some(sender));
    Ok(Command::Write(Write { style: Style::Chat, chat, text, file, claimed_sender, client_id }))
}

fn agent_chat_message(fields: &Map<String, Value>) -> Result<Command, Refusal> {
    let incomplete = Refusal::Incomplete(Style::AgentChat);
    let chat = id(fields, "chat_id")?.ok_or_else(|| incomplete.clone())?;
    let (text, file) = (text(fields, Style::AgentChat)?, file(fields)?);
    if text.is_none() && file.is_none() {
        return Err(incomplete);
    }
    let text = text.unwrap_or_default();
    let (claimed_sender, client_id) = (id(fields, "sender_id")?, client_id(fields)?);
    Ok(Command::Write(Write { style: Style::AgentChat, chat, text, file, claimed_sender, client_id }))
}

fn message_read(fields: &Map<String, Value>) -> Result<Command, Refusal> {
    let missing = || Refusal::Invalid("Se requieren chat_id y message_id".to_owned());
    let chat = id(fields, "chat_id")?.ok_or_else(missing)?;
    let message = id(fields, "message_id")?.ok_or_else(missing)?;
    Ok(Command::Read { chat, message })
}

fn typing(fields: &Map<String, Value>, typing: bool) -> Result<Command, Refusal> {
    let chat = id(fields, "chat_id")?;
    let chat = chat.ok_or_else(|| Refusal::Invalid("Se requiere chat_id".to_owned()))?;
    Ok(Command::Typing { chat, typing })
}

fn close_chat(fields: &Map<String, Value>) -> Result<Command, Refusal> {
    Ok(Command::CloseChat { chat: id(fields, "chat_id")? })
}

fn refresh_token(fields: &Map<String, Value>) -> Result<Command, Refusal> {
    let token = fields.get("token").and_then(Value::as_str).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| Refusal::Invalid("token debe ser un texto".to_owned()))?;
    Ok(Command::RefreshToken { token: token.to_owned() })
}

/// What JavaScript takes for false, and blanks.
fn is_missing(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(_) => false,
    }
}

/// An id: front ends write them as texts or as numbers.
fn id(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    let value = fields.get(name);
    if is_missing(value) {
        return Ok(None);
    }
    let id = match value {
        Some(Value::String(text)) if text.chars().count() <= ID_CHARS_MAX => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => {
            let expected = format!("{name} debe ser un texto de hasta {ID_CHARS_MAX} caracteres o un número");
            return Err(Refusal::Invalid(expected));
        }
    };
    Ok(Some(id))
}

fn text(fields: &Map<String, Value>, style: Style) -> Result<Option<String>, Refusal> {
    let value = fields.get("message");
    if is_missing(value) {
        return Ok(None);
    }
    let text = match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err(Refusal::Unwelcome(style, "message debe ser un texto".to_owned())),
    };
    if text.chars().count() > TEXT_CHARS_MAX {
        let detail = format!("message debe tener como máximo {TEXT_CHARS_MAX} caracteres");
        return Err(Refusal::Unwelcome(style, detail));
    }
    Ok(Some(text))
}

fn file(fields: &Map<String, Value>) -> Result<Option<Box<Attachment>>, Refusal> {
    let Some(given) = fields.get("attachment").filter(|given| !given.is_null()) else { return Ok(None) };
    let read = attachment::read(given).map_err(|wrong| {
        Refusal::Unwelcome(Style::AgentChat, format!("attachment.{} {}", wrong.field, wrong.spanish))
    });
    Ok(Some(Box::new(read?)))
}

fn client_id(fields: &Map<String, Value>) -> Result<Option<Value>, Refusal> {
    Ok(id(fields, "client_id")?.and_then(|_| fields.get("client_id").cloned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(frame: &Value, command: Command) {
        assert_eq!(parse(&frame.to_string()), Ok(command), "{frame}");
    }

    fn refuse(frame: &Value, refusal: &Refusal) {
        assert_eq!(parse(&frame.to_string()).as_ref(), Err(refusal), "{frame}");
    }

    fn write(style: Style, claimed_sender: Option<&str>) -> Write {
        let claimed_sender = claimed_sender.map(str::to_owned);
        let (chat, text) = ("c1".to_owned(), "hola".to_owned());
        Write { style, chat, text, file: None, claimed_sender, client_id: None }
    }

    #[test]
    fn ben_17_whatever_comes_from_the_chatbot_goes_to_the_flow() {
        let text = |text: &str| Command::ToBot { text: Some(text.to_owned()), client_id: None };
        check(&json!({ "source": "chatbot", "message": "123" }), text("123"));
        check(&json!({ "source": "chatbot", "event": "chat_message", "message": 7 }), text("7"));
        refuse(&json!({ "source": "chatbot", "event": "typing" }), &Refusal::Incomplete(Style::Chat));
    }

    #[test]
    fn ben_23_an_agent_attaches_a_file_with_or_without_a_text() {
        let frame = |attachment: Value| json!({ "event": "agent_chat_message", "chat_id": "c1", "attachment": attachment });
        let link = json!({ "url": "https://example.com/a.jpg" });
        let file = Some(Box::new(attachment::read(&link).unwrap()));
        let alone = Write { text: String::new(), file, ..write(Style::AgentChat, None) };
        check(&frame(link), Command::Write(alone));
        let wrong = "attachment.id debe ser el id de un archivo subido".to_owned();
        refuse(&frame(json!({ "id": "7" })), &Refusal::Unwelcome(Style::AgentChat, wrong));
        refuse(&frame(Value::Null), &Refusal::Incomplete(Style::AgentChat));
    }

    #[test]
    fn ben_18_the_flow_begins_with_chatbot_init_or_init() {
        for event in ["chatbot_init", "init"] {
            check(&json!({ "event": event }), Command::ToBot { text: None, client_id: None });
            check(
                &json!({ "event": event, "source": "chatbot" }),
                Command::ToBot { text: None, client_id: None },
            );
        }
    }

    #[test]
    fn ben_19_a_message_of_a_chat() {
        check(
            &json!({ "event": "chat_message", "chat_id": "c1", "sender_id": 7, "sender_type": "USER",
                     "message": "hola", "status": "sent" }),
            Command::Write(write(Style::Chat, Some("7"))),
        );
        let named = Write { client_id: Some(json!("n1")), ..write(Style::Chat, Some("u1")) };
        check(
            &json!({ "event": "chat_message", "chat_id": "c1", "sender_id": "u1", "message": "hola",
                     "client_id": "n1" }),
            Command::Write(named),
        );
    }

    #[test]
    fn ben_20_a_message_without_chat_sender_or_text_is_incomplete() {
        let whole = json!({ "event": "chat_message", "chat_id": "c1", "sender_id": "u1", "message": "hola" });
        for field in ["chat_id", "sender_id", "message"] {
            for nothing in [None, Some(json!(null)), Some(json!("")), Some(json!(0))] {
                let mut frame = whole.clone();
                match nothing {
                    Some(nothing) => frame[field] = nothing,
                    None => drop(frame.as_object_mut().unwrap().remove(field)),
                }
                refuse(&frame, &Refusal::Incomplete(Style::Chat));
            }
        }
    }

    #[test]
    fn ben_23_24_an_agents_message_needs_a_chat_and_a_text() {
        check(
            &json!({ "event": "agent_chat_message", "chat_id": "c1", "message": "hola" }),
            Command::Write(write(Style::AgentChat, None)),
        );
        for frame in [json!({ "chat_id": "c1" }), json!({ "message": "hola" }), json!({})] {
            let mut frame = frame;
            frame["event"] = json!("agent_chat_message");
            refuse(&frame, &Refusal::Incomplete(Style::AgentChat));
        }
    }

    #[test]
    fn ben_27_28_29_30_receipts_typing_and_closing() {
        let chat = || "c1".to_owned();
        check(
            &json!({ "event": "message_read", "chat_id": "c1", "message_id": "m1" }),
            Command::Read { chat: chat(), message: "m1".to_owned() },
        );
        check(&json!({ "event": "typing", "chat_id": "c1" }), Command::Typing { chat: chat(), typing: true });
        check(
            &json!({ "event": "stop_typing", "chat_id": "c1" }),
            Command::Typing { chat: chat(), typing: false },
        );
        check(&json!({ "event": "close_chat", "chat_id": "c1" }), Command::CloseChat { chat: Some(chat()) });
        check(&json!({ "event": "close_chat" }), Command::CloseChat { chat: None });
        check(&json!({ "event": "open_chat" }), Command::OpenChat);
        let token = "a.b.c".to_owned();
        check(&json!({ "event": "refresh_token", "token": "a.b.c" }), Command::RefreshToken { token });
    }

    #[test]
    fn ben_31_an_event_nobody_knows_is_no_error() {
        for frame in [json!({ "event": "dance" }), json!({ "event": 7 }), json!({})] {
            check(&frame, Command::Unknown);
        }
    }

    #[test]
    fn ben_32_what_is_no_json_object_cannot_be_processed() {
        for text in ["", "{", "[]", "7", "null", "\"chat_message\"", "\u{0}"] {
            assert_eq!(parse(text), Err(Refusal::Garbage), "{text:?}");
        }
    }

    #[test]
    fn what_is_too_long_or_of_another_type_is_refused_by_its_name() {
        let long = "x".repeat(TEXT_CHARS_MAX + 1);
        for (field, value) in [
            ("message", json!(long)),
            ("message", json!({})),
            ("chat_id", json!([])),
            ("sender_id", json!("x".repeat(ID_CHARS_MAX + 1))),
            ("client_id", json!({})),
        ] {
            let mut frame =
                json!({ "event": "chat_message", "chat_id": "c1", "sender_id": "u1", "message": "hola" });
            frame[field] = value;
            let refusal = parse(&frame.to_string()).unwrap_err();
            assert!(refusal.frame().contains(field), "{refusal:?} should name {field}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_frame_makes_it_panic_and_every_text_kept_is_bounded(
            event in "(chat_message|agent_chat_message|message_read|typing|close_chat|refresh_token|init|[a-z]{0,9})",
            field in "(chat_id|sender_id|message|message_id|client_id|token|source)",
            value in prop_oneof![
                Just(Value::Null),
                any::<bool>().prop_map(Value::from),
                any::<f64>().prop_map(Value::from),
                ".{0,5000}".prop_map(Value::from),
                Just(json!([[]])),
                Just(json!({ "a": 1 })),
            ],
        ) {
            let mut frame = json!({ "event": event, "chat_id": "c", "sender_id": "u", "message": "m" });
            frame[field] = value;
            if let Ok(Command::Write(write)) = parse(&frame.to_string()) {
                prop_assert!(write.text.chars().count() <= TEXT_CHARS_MAX);
                prop_assert!(write.chat.chars().count() <= ID_CHARS_MAX);
            }
        }
    }
}
