//! What a client of this dialect is shown.

use chasqui_proto::{
    ConversationToken,
    v1::{self, ChatStatus, Direction, MessageType, SenderType, Status},
};
use chasqui_websocket::Text;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::is_from_bot;
use crate::{
    dialect::{
        appointment::AppointmentView,
        view::{MediaView, chat_id, iso, iso_unless_zero},
    },
    feed::Greeting,
};

/// What a bot without a name is called.
const BOT: &str = "bot";

fn text(frame: &impl Serialize) -> String {
    serde_json::to_string(frame).expect("frames have no maps with keys that are not text")
}

/// The contact's id as its front end knows it.
fn user_of(conversation: &str) -> String {
    conversation.parse().map_or_else(|_| String::new(), |token: ConversationToken| token.alias().value)
}

/// BEN-21, BEN-25: a message, to everyone of its chat.
#[derive(Serialize)]
struct ChatMessage<'a> {
    event: &'static str,
    chat_id: String,
    message_id: &'a str,
    message: &'a str,
    sender_id: String,
    sender_type: &'static str,
    status: &'static str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<MediaView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
}

impl<'a> ChatMessage<'a> {
    fn new(event: &'static str, message: &'a v1::Message, status: Status, seq: Option<u64>) -> Self {
        let kind = message.r#type();
        Self {
            event,
            chat_id: chat_id(&message.tenant, &message.conversation),
            message_id: &message.id,
            message: &message.text,
            sender_id: sender_id(message),
            sender_type: sender_type(message),
            status: if status == Status::Unspecified { Status::Sent.name() } else { status.name() },
            created_at: iso(message.occurred_at_ms),
            message_type: (kind != MessageType::Text).then(|| kind.name()),
            media: message.media.as_ref().map(MediaView::new),
            seq,
        }
    }
}

fn sender_id(message: &v1::Message) -> String {
    match message.direction() {
        _ if !message.sender_id.is_empty() => message.sender_id.clone(),
        Direction::Out => BOT.to_owned(),
        Direction::In | Direction::Unspecified => user_of(&message.conversation),
    }
}

fn sender_type(message: &v1::Message) -> &'static str {
    match message.direction() {
        _ if is_from_bot(message) => "BOT",
        Direction::Out if message.sender_type() == SenderType::Agent => "AGENT",
        _ => "USER",
    }
}

pub(super) fn chat_message(message: &v1::Message, status: Status, seq: Option<u64>) -> String {
    text(&ChatMessage::new("chat_message", message, status, seq))
}

/// BEN-21: the one it was written to is told of it as well.
pub(super) fn new_message(message: &v1::Message, status: Status, seq: Option<u64>) -> String {
    text(&ChatMessage::new("new_message", message, status, seq))
}

/// BEN-35: what a bot says to the user.
pub(super) fn chatbot_message(message: &v1::Message, seq: Option<u64>) -> String {
    let mut frame = json!({
        "event": "chatbot_message",
        "message": message.text,
        "sender_type": "BOT",
        "message_id": message.id,
        "chat_id": chat_id(&message.tenant, &message.conversation),
        "created_at": iso(message.occurred_at_ms),
        "seq": seq,
    });
    if let Some(media) = &message.media {
        frame["media"] = json!(MediaView::new(media));
    }
    text(&frame)
}

/// Who has read: its front end's id, or the contact where a provider tells.
pub(crate) fn reader_of(status: &v1::MessageStatus) -> String {
    if status.reader_id.is_empty() { user_of(&status.conversation) } else { status.reader_id.clone() }
}

/// BEN-27
pub(super) fn message_read(status: &v1::MessageStatus, seq: Option<u64>) -> String {
    text(&json!({
        "event": "message_read",
        "chat_id": chat_id(&status.tenant, &status.conversation),
        "message_id": status.message_id,
        "reader_id": reader_of(status),
        "read_at": iso(status.occurred_at_ms),
        "seq": seq,
    }))
}

/// A chat as it stands.
#[derive(Serialize)]
struct ChatView<'a> {
    id: &'a str,
    user_id: &'a str,
    user_name: &'a str,
    agent_id: Option<&'a str>,
    agent_user_id: Option<&'a str>,
    status: &'static str,
    episode: u32,
    opened_at: Option<String>,
    assigned_at: Option<String>,
    closed_at: Option<String>,
    closed_by: Option<&'a str>,
    reason: Option<&'a str>,
}

impl<'a> ChatView<'a> {
    fn new(chat: &'a v1::Chat) -> Self {
        let given = |text: &'a str| (!text.is_empty()).then_some(text);
        Self {
            id: &chat.id,
            user_id: &chat.user_id,
            user_name: &chat.user_name,
            agent_id: given(&chat.agent_id),
            agent_user_id: given(&chat.agent_user_id),
            status: chat.status().name(),
            episode: chat.episode,
            opened_at: iso_unless_zero(chat.opened_at_ms),
            assigned_at: iso_unless_zero(chat.assigned_at_ms),
            closed_at: iso_unless_zero(chat.closed_at_ms),
            closed_by: given(&chat.closed_by),
            reason: given(&chat.reason),
        }
    }
}

/// BEN-30: a chat waits for an agent, has one, or is closed.
pub(super) fn chat_changed(chat: &v1::Chat) -> String {
    let event = match chat.status() {
        ChatStatus::Assigned => "chat_assigned",
        ChatStatus::Closed => "chat_closed",
        ChatStatus::Waiting | ChatStatus::Unspecified => "chat_opened",
    };
    text(&json!({ "event": event, "chat": ChatView::new(chat) }))
}

/// BEN-28, BEN-29
pub(super) fn typing(typing: &v1::Typing) -> String {
    let user_id = if typing.user_id.is_empty() { BOT } else { &typing.user_id };
    text(&json!({
        "event": if typing.typing { "typing" } else { "stop_typing" },
        "chat_id": chat_id(&typing.tenant, &typing.conversation),
        "user_id": user_id,
    }))
}

/// A piece of what a bot is writing, ahead of its `chatbot_message`.
pub(super) fn chatbot_draft(typing: &v1::Typing) -> Option<String> {
    let draft = typing.draft.as_ref()?;
    Some(text(&json!({
        "event": "chatbot_draft",
        "message_id": draft.message_id,
        "chat_id": chat_id(&typing.tenant, &typing.conversation),
        "index": draft.index,
        "delta": draft.delta,
    })))
}

/// BEN-13, BEN-14
pub(super) fn presence(presence: &v1::Presence) -> String {
    let event = if presence.connections.is_empty() { "user_disconnected" } else { "user_connected" };
    text(&json!({ "event": event, "user_id": presence.user_id }))
}

/// BEN-41
pub(super) fn appointment_updated(appointment: &v1::Appointment) -> String {
    text(&json!({ "event": "appointment_updated", "appointment": AppointmentView::new(appointment) }))
}

/// BEN-43
pub(super) fn payment_succeeded(payment: &v1::Payment) -> String {
    text(&json!({
        "event": "payment_succeeded",
        "reference": payment.reference,
        "status": payment.status,
        "plan": payment.plan,
    }))
}

/// BEN-42: under its own name; the fields of an object stand beside it, anything else in `data`.
pub(super) fn announcement(announcement: &v1::Announcement) -> Option<String> {
    if announcement.event.is_empty() {
        return None;
    }
    let mut frame = match serde_json::from_slice(&announcement.data) {
        Ok(Value::Object(fields)) => fields,
        Ok(Value::Null) | Err(_) => Map::new(),
        Ok(other) => Map::from_iter([("data".to_owned(), other)]),
    };
    frame.insert("event".to_owned(), announcement.event.as_str().into());
    Some(text(&frame))
}

/// An agent, as it is told about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) name: String,
    /// `ACTIVE`; others are connected as users.
    pub(crate) status: &'static str,
}

/// BEN-10
pub(crate) fn agent_connected(agent: &Agent) -> Text {
    text(&json!({ "event": "agent_connected", "agent": agent })).into()
}

/// BEN-11, BEN-12; with the place the connection begins at and its ticket, for clients that come back with `since` and
/// `session`.
pub(crate) fn active_chats<'a>(
    chats: impl Iterator<Item = &'a v1::Chat>,
    greeting: &Greeting,
    session: &str,
) -> Text {
    let chats: Vec<ChatView<'_>> = chats.map(ChatView::new).collect();
    text(&json!({
        "event": "active_chats",
        "chats": chats,
        "epoch": greeting.epoch,
        "seq": greeting.seq,
        "recovered": greeting.recovered,
        "session": session,
    }))
    .into()
}

/// BEN-11, BEN-13
pub(crate) fn online_users(users: &[String]) -> Text {
    online(users).into()
}

pub(super) fn online(users: &[String]) -> String {
    text(&json!({ "event": "online_users", "users": users }))
}

/// The token ends then, and the connection with it unless the client sends another.
pub(crate) fn token_expiring(expires_at_ms: i64) -> Text {
    text(&json!({ "event": "token_expiring", "expires_at": iso(expires_at_ms) })).into()
}

/// The connection goes on with the new token.
pub(crate) fn token_refreshed(expires_at_ms: Option<i64>) -> Text {
    text(&json!({ "event": "token_refreshed", "expires_at": expires_at_ms.map(iso) })).into()
}

/// A chat as it stands, in answer to who asked for it.
pub(crate) fn chat(chat: &v1::Chat) -> Text {
    chat_changed(chat).into()
}

/// A message of the client is stored; only where the client named it.
pub(crate) fn message_accepted(client_id: &Value, message_id: &str, seq: u64) -> Text {
    text(
        &json!({ "event": "message_accepted", "client_id": client_id, "message_id": message_id, "seq": seq }),
    )
    .into()
}

#[cfg(test)]
mod tests;
