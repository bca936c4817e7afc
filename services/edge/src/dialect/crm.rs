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

use self::state::{
    AnnouncementView, AppointmentView, BotView, ChatView, PaymentView, PresenceView, TypingView, WhatsappView,
};
use crate::{
    dialect::view::{ConversationView, MessageView, StatsView, conversation_number, iso},
    event::{Event, Fact},
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
        Fact::Bulk(progress) => frame(topic, state::bulk(progress), None),
        Fact::Appointment(appointment) => {
            frame(topic, json!({ "appointment": AppointmentView::new(appointment) }), None)
        }
        Fact::Payment(payment) => frame(topic, json!({ "payment": PaymentView::new(payment) }), None),
        Fact::Typing(typing) => frame(topic, TypingView::new(typing), None),
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
        "epoch": greeting.epoch,
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
mod tests {
    use std::sync::Arc;

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
    fn a_failure_says_why() {
        let error = v1::ProviderError {
            code: 131_026,
            title: "Message undeliverable".to_owned(),
            message: "Message undeliverable".to_owned(),
            details: "The contact has no WhatsApp".to_owned(),
        };
        let status = v1::MessageStatus {
            status: Status::Failed.into(),
            errors: vec![error],
            ..v1::MessageStatus::default()
        };
        let shown = decoded(&Event::of_store("", 44, Fact::Status(Box::new(status))));
        let error = json!({ "code": 131_026, "title": "Message undeliverable", "details": "The contact has no WhatsApp" });
        assert_eq!(shown["data"]["error"], error);
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
    fn crm_05_to_09_states_are_shown_as_dashboards_know_them() {
        let check = |fact: Fact, kind: &str, data: Value| {
            let shown = decoded(&Event::of_state(fact));
            assert_eq!(shown, json!({ "type": kind, "data": data }));
        };
        let at_ms = 1_700_000_000_000;
        let at = "2023-11-14T22:13:20.000Z";
        let bot = v1::BotStatus {
            state: v1::BotState::Degraded.into(),
            queued: 3,
            answer_time_mean_ms: 800,
            reason: "no model".to_owned(),
            updated_at_ms: at_ms,
            ..v1::BotStatus::default()
        };
        let shown = json!({ "botStatus": { "state": "degraded", "queued": 3, "answer_time_mean_ms": 800,
            "model": null, "reason": "no model", "updated_at": at } });
        check(Fact::Bot(Box::new(bot)), "bot_status_changed", shown);
        let session = v1::Session {
            id: "main".to_owned(),
            status: v1::SessionStatus::Connected.into(),
            phone: "5491100000009".to_owned(),
            updated_at_ms: at_ms,
            ..v1::Session::default()
        };
        let shown = json!({ "whatsappState": { "session": "main", "status": "connected", "connected": true,
            "qr": null, "qr_expires_at": null, "reason": null, "phone": "5491100000009", "updated_at": at } });
        check(Fact::Session(Box::new(session)), "whatsapp_status_changed", shown);
        let bulk = |status: v1::CampaignStatus| {
            Fact::Bulk(Box::new(v1::BulkProgress {
                campaign: "c1".to_owned(),
                status: status.into(),
                sent: 7,
                total: 10,
                failed: 1,
                current_conversation: "5491100000001".to_owned(),
                error: "the number is blocked".to_owned(),
                ..v1::BulkProgress::default()
            }))
        };
        let progress = json!({ "progress": { "sent": 7, "total": 10, "currentConversation": "5491100000001" },
            "campaign": "c1", "status": "running", "failed": 1 });
        check(bulk(v1::CampaignStatus::Running), "bulk_message_progress", progress);
        let completed =
            json!({ "successCount": 7, "errorCount": 1, "campaign": "c1", "status": "completed" });
        check(bulk(v1::CampaignStatus::Completed), "bulk_message_completed", completed);
        let failed = json!({ "error": "the number is blocked", "campaign": "c1" });
        check(bulk(v1::CampaignStatus::Failed), "bulk_message_error", failed);
    }

    #[test]
    fn crm_25_every_feature_has_its_event() {
        let number = 1_508_543_608_044_010_u64;
        let tenant = || "default".to_owned();
        let token = || "5491100000001".to_owned();
        let typing = v1::Typing {
            tenant: tenant(),
            conversation: token(),
            user_id: "agent-1".to_owned(),
            sender_type: v1::SenderType::Agent.into(),
            typing: true,
            ..v1::Typing::default()
        };
        let shown = decoded(&Event::of_state(Fact::Typing(Box::new(typing))));
        assert_eq!(shown["data"]["conversation_id"], number);
        assert_eq!((&shown["type"], &shown["data"]["typing"]), (&json!("typing_changed"), &json!(true)));
        let gone = v1::Presence {
            user_id: "u1".to_owned(),
            kind: v1::PersonKind::User.into(),
            ..v1::Presence::default()
        };
        let shown = decoded(&Event::of_state(Fact::Presence(Box::new(gone))));
        let expected = json!({ "user_id": "u1", "kind": "user", "agent_id": null, "online": false });
        assert_eq!((&shown["type"], &shown["data"]), (&json!("presence_changed"), &expected));
        let chat = v1::Chat {
            tenant: tenant(),
            conversation: token(),
            status: v1::ChatStatus::Waiting.into(),
            ..v1::Chat::default()
        };
        let shown = decoded(&Event::of_state(Fact::Chat(Box::new(chat))));
        assert_eq!(
            (&shown["type"], &shown["data"]["chat"]["status"]),
            (&json!("chat_updated"), &json!("waiting"))
        );
        assert_eq!(shown["data"]["chat"]["agent_id"], Value::Null);
        let said = |data: &[u8]| {
            let announcement = v1::Announcement {
                event: "news".to_owned(),
                data: data.to_vec().into(),
                ..v1::Announcement::default()
            };
            encode(&Event::of_state(Fact::Announcement(Box::new(announcement))))
        };
        let shown: Value = serde_json::from_str(&said(br#"{"x":1}"#).unwrap()).unwrap();
        assert_eq!(shown["data"]["data"], json!({ "x": 1 }));
        assert_eq!(said(b"no JSON"), None, "it would break the frame");
    }
}
