//! Dialect `crm`, and the native one: `{type,data,seq}` as JSON text frames.

mod command;
mod state;
mod topic;

use chasqui_proto::v1::{self, Status};
use chasqui_websocket::Text;
use serde::Serialize;
use serde_json::{Value, json};

pub(crate) use command::{Command, TEXT_CHARS_MAX, cursor, parse};
pub(crate) use topic::{Topic, Topics};

pub(crate) use state::ChatView;

use self::state::{
    AnnouncementView, BotView, DraftView, PaymentView, PresenceView, TypingView, WhatsappView,
};
use crate::{
    dialect::{
        appointment::AppointmentView,
        view::{ConversationView, MessageView, StatsView, conversation_number, iso},
    },
    event::{Event, Fact, Mark},
    feed::Greeting,
};

/// A client that is sent away comes back after a time of its own choice up to this, milliseconds (CRM-13): all at once
/// they would be a storm.
const RECONNECT_MS_MAX: u32 = 5_000;

#[derive(Serialize)]
struct Frame<'a, D> {
    r#type: &'a str,
    data: D,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    /// Replaces that of the client's cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
}

#[derive(Serialize)]
struct NewMessage<'a> {
    message: MessageView<'a>,
    conversation: ConversationView<'a>,
}

fn frame(r#type: &str, data: impl Serialize, seq: Option<u64>) -> String {
    written(&Frame { r#type, data, seq, epoch: None })
}

fn written(frame: &Frame<'_, impl Serialize>) -> String {
    serde_json::to_string(frame).expect("views have no maps with keys that are not text")
}

/// CRM-01…09 and what the native dialect has beyond them: what is shown of an event.
pub(crate) fn encode(event: &Event) -> Option<String> {
    let topic = Topic::of(&event.fact).name();
    Some(match &event.fact {
        Fact::Message { message, status } => new_message(message, *status, event),
        Fact::Status(status) => status_updated(status, event.seq),
        Fact::Conversation(conversation) => {
            frame(topic, json!({ "conversation": ConversationView::new(conversation) }), None)
        }
        Fact::Stats(stats) => frame(topic, json!({ "stats": StatsView::new(stats) }), None),
        Fact::Chat(chat) => frame(topic, json!({ "chat": ChatView::new(chat) }), None),
        Fact::Session(session) => frame(topic, json!({ "whatsappState": WhatsappView::new(session) }), None),
        Fact::Bot(bot) => frame(topic, json!({ "botStatus": BotView::new(bot) }), None),
        Fact::Bulk(progress) => {
            let epoch = event.mark.as_deref().map(Mark::epoch);
            written(&Frame { r#type: topic, data: state::bulk(progress)?, seq: None, epoch })
        }
        Fact::Appointment(appointment) => {
            frame(topic, json!({ "appointment": AppointmentView::new(appointment) }), None)
        }
        Fact::Payment(payment) => frame(topic, json!({ "payment": PaymentView::new(payment) }), None),
        Fact::Typing(typing) => frame(topic, TypingView::new(typing), None),
        Fact::Draft(typing) => frame(topic, DraftView::new(typing)?, None),
        Fact::Announcement(announcement) => frame(topic, AnnouncementView::new(announcement)?, None),
        Fact::Presence(presence) => frame(topic, PresenceView::new(presence), None),
        Fact::Online(users) => frame(topic, json!({ "users": users }), None),
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
    let mut data = json!({
        "message_id": status.message_id,
        "conversation_id": conversation_number(&status.tenant, &status.conversation),
        "status": status.status().name(),
    });
    if let Some(error) = status.errors.first() {
        data["error"] = json!({ "code": error.code, "title": error.title, "details": reason(error) });
    }
    frame("message_status_updated", data, seq)
}

/// Why, as far as the provider says it.
fn reason(error: &v1::ProviderError) -> &str {
    [&error.details, &error.message, &error.title]
        .into_iter()
        .find(|text| !text.is_empty())
        .map_or("", String::as_str)
}

/// The first frame of a connection.
pub(crate) fn connected(greeting: &Greeting, node: &str, heartbeat_ms: u64, session: &str) -> Text {
    let data = json!({
        "epoch": greeting.cursor_epoch(),
        "seq": greeting.seq,
        "recovered": greeting.recovered,
        "fresh": greeting.fresh,
        "node": node,
        "heartbeat_ms": heartbeat_ms,
        "session": session,
        "reconnect_ms_max": RECONNECT_MS_MAX,
    });
    frame("connected", data, Some(greeting.seq)).into()
}

/// A sign of life, with the position the client may come back from.
pub(crate) fn heartbeat(seq: u64) -> Text {
    frame("heartbeat", json!({}), Some(seq)).into()
}

/// The answer to `ping`.
pub(crate) fn pong() -> Text {
    Text::from_static(r#"{"type":"pong","data":{}}"#)
}

/// What went wrong with the client's last frame, or with the connection.
pub(crate) fn error(code: &str, message: &str) -> Text {
    frame("error", json!({ "code": code, "message": message }), None).into()
}

/// A message of the client is durable.
pub(crate) fn message_accepted(client_id: Option<&Value>, message_id: &str, seq: u64) -> Text {
    frame("message_accepted", json!({ "client_id": client_id, "message_id": message_id, "seq": seq }), None)
        .into()
}

/// The answer to `subscribe`.
pub(crate) fn subscribed(topics: Topics) -> Text {
    frame("subscribed", json!({ "types": topics.names() }), None).into()
}

/// The token ends then, and the connection with it unless `refresh_token` comes.
pub(crate) fn token_expiring(expires_at_ms: i64) -> Text {
    frame("token_expiring", json!({ "expires_at": iso(expires_at_ms) }), None).into()
}

/// The answer to `refresh_token`.
pub(crate) fn token_refreshed(expires_at_ms: Option<i64>) -> Text {
    frame("token_refreshed", json!({ "expires_at": expires_at_ms.map(iso) }), None).into()
}

#[cfg(test)]
mod tests;
