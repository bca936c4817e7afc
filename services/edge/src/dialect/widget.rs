//! Dialect `widget`: the contact's web chat over Socket.IO.

use chasqui_proto::v1::{self, Direction};
use chasqui_websocket::Text;
use serde::Serialize;
use serde_json::json;

use crate::{
    dialect::view::{MediaView, iso, widget_sender},
    event::{Event, Fact},
    feed::Greeting,
    hub::Cursor,
    socketio::{encode_event, with_offset},
};

/// KON-12, with the message's id and position behind what the original had.
#[derive(Serialize)]
struct BotResponse<'a> {
    text: &'a str,
    sender: &'static str,
    timestamp: String,
    id: &'a str,
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<MediaView<'a>>,
}

/// What the contact is shown of an event.
pub(crate) fn encode(event: &Event) -> Option<String> {
    match &event.fact {
        Fact::Message { message, .. } => bot_response(message, event.seq),
        Fact::Draft(typing) => bot_draft(typing),
        _ => None,
    }
}

/// `bot-draft`: a piece of what a bot is writing, ahead of its `bot-response` with the same id.
fn bot_draft(typing: &v1::Typing) -> Option<String> {
    let draft = typing.draft.as_ref()?;
    let piece = json!({ "id": draft.message_id, "index": draft.index, "delta": draft.delta });
    Some(encode_event("bot-draft", &piece).expect("text and numbers are JSON").to_string())
}

/// `bot-response` for every message to the contact; what the contact wrote is on its screen already.
fn bot_response(message: &v1::Message, seq: Option<u64>) -> Option<String> {
    if message.direction() != Direction::Out {
        return None;
    }
    let response = BotResponse {
        text: &message.text,
        sender: widget_sender(message),
        timestamp: iso(message.occurred_at_ms),
        id: &message.id,
        seq,
        media: message.media.as_ref().map(MediaView::new),
    };
    Some(encode_event("bot-response", &response).expect("text and numbers are JSON").to_string())
}

/// `session`: where the client is, to come back to with `auth.since` and `auth.session`, or by Socket.IO's own recovery.
pub(crate) fn session(greeting: &Greeting, ticket: &str) -> Text {
    let session = json!({
        "epoch": greeting.epoch,
        "seq": greeting.seq,
        "recovered": greeting.recovered,
        "session": ticket,
    });
    let event = encode_event("session", &session).expect("text and numbers are JSON");
    with_offset(&event, &Cursor { epoch: greeting.epoch.clone(), seq: greeting.seq }.to_string())
}

/// `token_expiring`: the token ends then, and the connection with it unless `refresh-token` comes.
pub(crate) fn token_expiring(expires_at_ms: i64) -> Text {
    token_event("token_expiring", Some(expires_at_ms))
}

/// `token_refreshed`: the connection goes on.
pub(crate) fn token_refreshed(expires_at_ms: Option<i64>) -> Text {
    token_event("token_refreshed", expires_at_ms)
}

fn token_event(name: &str, expires_at_ms: Option<i64>) -> Text {
    encode_event(name, &json!({ "expires_at": expires_at_ms.map(iso) })).expect("text is JSON")
}

/// KON-16: what the contact typed.
pub(crate) fn user_message(text: &str) -> Result<String, String> {
    let text = text.trim();
    let chars_max = super::crm::TEXT_CHARS_MAX;
    if text.is_empty() {
        return Err("text must not be empty".to_owned());
    }
    if text.chars().count() > chars_max {
        return Err(format!("text must have at most {chars_max} characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::Status;
    use serde_json::Value;

    use super::*;

    fn event(direction: Direction) -> Event {
        let message = v1::Message {
            id: "m1".to_owned(),
            direction: direction.into(),
            sender_type: v1::SenderType::Ai.into(),
            text: "hola".to_owned(),
            occurred_at_ms: 1_700_000_000_000,
            ..v1::Message::default()
        };
        Event::of_store("", 9, Fact::Message { message: Box::new(message), status: Status::Unspecified })
    }

    #[test]
    fn kon_12_a_reply_is_a_bot_response_with_text_sender_and_timestamp() {
        let frame = encode(&event(Direction::Out)).unwrap();
        let (name, data): (String, Value) = serde_json::from_str(frame.strip_prefix("42").unwrap()).unwrap();
        assert_eq!(name, "bot-response");
        assert_eq!(
            data,
            json!({ "text": "hola", "sender": "bot", "timestamp": "2023-11-14T22:13:20.000Z", "id": "m1", "seq": 9 })
        );
    }

    #[test]
    fn a_draft_is_shown_under_the_id_of_its_message_and_typing_is_not() {
        let draft = v1::Draft { message_id: "m1".to_owned(), index: 0, delta: "ho".to_owned() };
        let typing = |draft| Box::new(v1::Typing { draft, typing: true, ..v1::Typing::default() });
        let frame = encode(&Event::of_state(Fact::Draft(typing(Some(draft))))).unwrap();
        assert_eq!(frame, r#"42["bot-draft",{"delta":"ho","id":"m1","index":0}]"#);
        assert_eq!(encode(&Event::of_state(Fact::Typing(typing(None)))), None);
    }

    #[test]
    fn kon_15_the_contact_is_not_shown_its_own_words() {
        assert_eq!(encode(&event(Direction::In)), None);
    }

    #[test]
    fn kon_16_empty_and_endless_texts_are_refused_by_name() {
        assert_eq!(user_message(" hi "), Ok("hi".to_owned()));
        assert!(user_message("  ").unwrap_err().contains("text"));
        assert!(user_message(&"x".repeat(4_097)).unwrap_err().contains("4096"));
    }
}
