//! Dialect `device`: the owner of a WhatsApp number over Socket.IO. Several payloads are bare strings, as its front
//! ends expect them.

use chasqui_proto::v1::{self, SessionStatus};
use chasqui_websocket::Text;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    dialect::{
        attachment::{self, Attachment, Wrong},
        crm::TEXT_CHARS_MAX,
        view::iso_unless_zero,
    },
    event::{Event, Fact},
    socketio::encode_event,
};

/// The most files of one message.
const ATTACHMENTS_MAX: usize = 10;
/// WAB-20: an event without any payload.
const CHATS_UPDATED: &str = r#"42["chats-updated"]"#;

/// What is shown of an event: what became of the session, and that the list of chats is another one.
pub(crate) fn encode(event: &Event) -> Option<String> {
    match &event.fact {
        Fact::Session(session) => session_frame(session).map(|frame| frame.to_string()),
        // The stored state, not the message: the list that the front end loads next has it already.
        Fact::Conversation(_) => Some(CHATS_UPDATED.to_owned()),
        _ => None,
    }
}

/// WAB-17…19: a session as it stands; `None` while there is nothing to tell.
pub(crate) fn session_frame(session: &v1::Session) -> Option<Text> {
    let (name, payload) = match session.status() {
        SessionStatus::ScanQr if !session.qr.is_empty() => ("qr-code", json!(session.qr)),
        SessionStatus::Connected => ("session-ready", json!({ "success": true })),
        SessionStatus::LoggedOut | SessionStatus::Stopped | SessionStatus::Failed => {
            ("session-closed", json!({ "reason": closing_reason(session) }))
        }
        _ => return None,
    };
    Some(encode_event(name, &payload).expect("text is JSON"))
}

fn closing_reason(session: &v1::Session) -> &str {
    if session.reason.is_empty() { session.status().name() } else { &session.reason }
}

/// WAB-21: the message is durable. `conversation` is as the client wrote it.
pub(crate) fn message_sent(conversation: &str, message_id: &str) -> Text {
    let payload = json!({ "success": true, "conversationId": conversation, "messageId": message_id });
    encode_event("message-sent", &payload).expect("text is JSON")
}

/// WAB-22: what went wrong, as a bare string.
pub(crate) fn error(message: &str) -> Text {
    encode_event("error", &message).expect("text is JSON")
}

/// A message the owner sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sending {
    /// The conversation as the client names it: the contact's `<digits>@s.whatsapp.net`.
    pub(crate) conversation: String,
    pub(crate) text: String,
    pub(crate) attachments: Vec<Attachment>,
}

/// WAB-16, as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SendMessage {
    conversation_id: String,
    text_content: String,
    attachments: Vec<serde_json::Value>,
}

impl SendMessage {
    /// What is to be sent; the error says what is missing, in the words of the front end's language.
    pub(crate) fn check(self) -> Result<Sending, String> {
        let text = self.text_content.trim();
        if self.conversation_id.trim().is_empty() || text.is_empty() && self.attachments.is_empty() {
            return Err("Faltan los parámetros conversationId o textContent".to_owned());
        }
        if self.attachments.len() > ATTACHMENTS_MAX {
            return Err(format!("attachments admite hasta {ATTACHMENTS_MAX} archivos"));
        }
        let attachments = self.attachments.iter().enumerate().map(|(at, given)| {
            let wrong = |wrong: Wrong| format!("attachments[{at}].{} {}", wrong.field, wrong.spanish);
            attachment::read(given).map_err(wrong)
        });
        let attachments = attachments.collect::<Result<_, _>>()?;
        if text.chars().count() > TEXT_CHARS_MAX {
            return Err(format!("textContent admite hasta {TEXT_CHARS_MAX} caracteres"));
        }
        Ok(Sending {
            conversation: self.conversation_id.trim().to_owned(),
            text: text.to_owned(),
            attachments,
        })
    }
}

/// WAB-11: one of the owner's conversations.
#[derive(Debug, Serialize, ToSchema)]
#[schema(description = "One of the account's conversations.")]
pub(crate) struct DeviceConversation<'a> {
    id: &'a str,
    external_id: String,
    contact_name: &'a str,
    contact_photo_url: Option<&'a str>,
    started_at: Option<String>,
    unread_count: u32,
    last_message_at: Option<String>,
}

impl<'a> DeviceConversation<'a> {
    pub(crate) fn new(conversation: &'a v1::Conversation) -> Self {
        let contact = conversation.contact.as_ref();
        let token = conversation.token.parse::<chasqui_proto::ConversationToken>();
        Self {
            id: &conversation.id,
            external_id: token
                .map(|token| chasqui_proto::address::external_id(&token.alias()))
                .unwrap_or_default(),
            contact_name: contact.map_or("", |contact| &contact.name),
            contact_photo_url: contact
                .map(|contact| contact.photo_url.as_str())
                .filter(|url| !url.is_empty()),
            started_at: iso_unless_zero(conversation.started_at_ms),
            unread_count: conversation.unread_count,
            last_message_at: iso_unless_zero(conversation.last_message_at_ms),
        }
    }
}

/// WAB-12: one message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(description = "A message as the account's front end knows it.")]
pub(crate) struct DeviceMessage<'a> {
    id: &'a str,
    sender_type: &'static str,
    message_type: &'static str,
    text_content: &'a str,
    /// Where its file is shown, for a while.
    media_url: Option<&'a str>,
    created_at: Option<String>,
    /// `in` or `out`: what `sender_type` does not say.
    direction: &'static str,
}

impl<'a> DeviceMessage<'a> {
    pub(crate) fn new(message: &'a v1::Message) -> Self {
        Self {
            id: &message.id,
            sender_type: sender_type(message.sender_type()),
            message_type: message_type(message.r#type()),
            text_content: &message.text,
            media_url: message.media.as_ref().map(|media| media.url.as_str()).filter(|url| !url.is_empty()),
            created_at: iso_unless_zero(message.occurred_at_ms),
            direction: message.direction().name(),
        }
    }
}

/// WAB-25: its front ends know three kinds of sender; people of the account are `system`.
fn sender_type(sender: v1::SenderType) -> &'static str {
    match sender {
        v1::SenderType::User => "user",
        v1::SenderType::Ai => "ai",
        v1::SenderType::Agent | v1::SenderType::System | v1::SenderType::Unspecified => "system",
    }
}

/// WAB-25: its front ends know five types; of anything else they show the text that stands for it.
fn message_type(kind: v1::MessageType) -> &'static str {
    use v1::MessageType::{Audio, Document, Image, Sticker, Video};
    match kind {
        Image | Sticker => "image",
        Audio => "audio",
        Video => "video",
        Document => "document",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn session(status: SessionStatus, reason: &str) -> v1::Session {
        v1::Session {
            status: status.into(),
            qr: "data:image/png;base64,iVBORw0KGgo=".to_owned(),
            reason: reason.to_owned(),
            ..v1::Session::default()
        }
    }

    fn shown(session: &v1::Session) -> Option<Value> {
        session_frame(session).map(|frame| serde_json::from_str(&frame[2..]).unwrap())
    }

    #[test]
    fn wab_17_a_qr_code_is_a_bare_string() {
        let frame = shown(&session(SessionStatus::ScanQr, ""));
        assert_eq!(frame, Some(json!(["qr-code", "data:image/png;base64,iVBORw0KGgo="])));
    }

    #[test]
    fn wab_18_wab_19_a_session_tells_when_it_is_ready_and_why_it_closed() {
        let ready = shown(&session(SessionStatus::Connected, ""));
        assert_eq!(ready, Some(json!(["session-ready", { "success": true }])));
        for (status, reason, told) in [
            (SessionStatus::LoggedOut, "", "logged_out"),
            (SessionStatus::LoggedOut, "logged_out", "logged_out"),
            (SessionStatus::Failed, "timeout", "timeout"),
            (SessionStatus::Stopped, "", "stopped"),
        ] {
            assert_eq!(shown(&session(status, reason)), Some(json!(["session-closed", { "reason": told }])));
        }
        assert_eq!(shown(&session(SessionStatus::Starting, "")), None);
        assert_eq!(shown(&session(SessionStatus::Reconnecting, "")), None);
    }

    #[test]
    fn wab_20_chats_updated_has_no_payload() {
        let event = Event::of_state(Fact::Conversation(Box::default()));
        assert_eq!(encode(&event).unwrap(), r#"42["chats-updated"]"#);
    }

    #[test]
    fn wab_21_wab_22_answers_have_the_shapes_of_the_original() {
        let sent: Value =
            serde_json::from_str(&message_sent("5491100000001@s.whatsapp.net", "m1")[2..]).unwrap();
        assert_eq!(sent[0], "message-sent");
        assert_eq!(sent[1]["success"], true);
        assert_eq!(sent[1]["conversationId"], "5491100000001@s.whatsapp.net");
        assert_eq!(&*error("Conversación no encontrada"), r#"42["error","Conversación no encontrada"]"#);
    }

    #[test]
    fn wab_16_what_is_missing_is_named() {
        let check = |value: Value| serde_json::from_value::<SendMessage>(value).unwrap().check();
        let whole = json!({ "token": "t", "conversationId": "5491100000001@s.whatsapp.net", "textContent": " hola ",
            "attachments": [] });
        let sending = check(whole).unwrap();
        assert_eq!(
            (sending.conversation.as_str(), sending.text.as_str()),
            ("5491100000001@s.whatsapp.net", "hola")
        );
        for (value, names) in [
            (json!({ "textContent": "hola" }), "conversationId"),
            (json!({ "conversationId": "1", "textContent": "  " }), "textContent"),
            (json!({ "conversationId": "1", "textContent": "x".repeat(4_097) }), "4096"),
            (json!({ "conversationId": "1", "attachments": [{}] }), "attachments[0].id"),
            (
                json!({ "conversationId": "1", "attachments": vec![json!({}); 11] }),
                "attachments admite hasta 10",
            ),
        ] {
            assert!(check(value).unwrap_err().contains(names), "{names}");
        }
    }

    #[test]
    fn wab_25_senders_and_types_stay_within_what_front_ends_know() {
        let message = v1::Message {
            sender_type: v1::SenderType::Agent.into(),
            r#type: v1::MessageType::Location.into(),
            direction: v1::Direction::Out.into(),
            occurred_at_ms: 1_700_000_000_000,
            ..v1::Message::default()
        };
        let shown = serde_json::to_value(DeviceMessage::new(&message)).unwrap();
        assert_eq!((&shown["sender_type"], &shown["message_type"]), (&json!("system"), &json!("text")));
        assert_eq!(shown["created_at"], "2023-11-14T22:13:20.000Z");
    }

    proptest! {
        #[test]
        fn reading_what_a_client_sends_never_panics(text in ".{0,200}") {
            if let Ok(message) = serde_json::from_str::<SendMessage>(&text) {
                let _ = message.check();
            }
        }
    }
}
