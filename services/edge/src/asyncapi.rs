//! What goes over the edge's sockets, for programs: `AsyncAPI`. What a node says is shown by what the dialects' own
//! encoders make of one sample of each fact, so it cannot differ from what clients get.

mod sample;

use serde_json::{Map, Value, json};

use crate::{
    dialect::{Dialect, chat, crm, device, widget},
    event::{Event, Fact},
    feed::Greeting,
};

/// Where a socket is opened, and what goes over it.
struct Socket {
    id: &'static str,
    address: &'static str,
    summary: &'static str,
    description: &'static str,
    /// What the node says, in the frames that it sends.
    said: Vec<String>,
    /// What a client may say.
    heard: &'static [&'static str],
}

const CRM_COMMANDS: &[&str] = &[
    r#"{"type":"connect","data":{"token":"a.b.c","since":{"epoch":"18ea78d5a29d3ad5-815","seq":4711},"session":"s.1"}}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"send_message","data":{"conversation_id":"5491100000001","text":"hola","client_id":"c1"}}"#,
    r#"{"type":"send_message","data":{"conversation_id":"5491100000001","text":"hola","attachment":{"id":"018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a11"}}}"#,
    r#"{"type":"mark_read","data":{"conversation_id":"5491100000001"}}"#,
    r#"{"type":"typing","data":{"conversation_id":"5491100000001","typing":true}}"#,
    r#"{"type":"subscribe","data":{"types":["new_message"]}}"#,
    r#"{"type":"refresh_token","data":{"token":"a.b.c"}}"#,
];

const CHAT_COMMANDS: &[&str] = &[
    r#"{"event":"chat_message","chat_id":"u1","sender_id":"u1","message":"hola","client_id":"c1"}"#,
    r#"{"event":"agent_chat_message","chat_id":"0d9a4a5e-0000-4000-8000-000000000001","message":"hola"}"#,
    r#"{"event":"agent_chat_message","chat_id":"0d9a4a5e-0000-4000-8000-000000000001","attachment":{"id":"018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a11"}}"#,
    r#"{"event":"message_read","chat_id":"u1","message_id":"0d9a4a5e-0000-4000-8000-000000000001"}"#,
    r#"{"event":"typing","chat_id":"u1"}"#,
    r#"{"event":"stop_typing","chat_id":"u1"}"#,
    r#"{"event":"open_chat"}"#,
    r#"{"event":"close_chat","chat_id":"u1"}"#,
    r#"{"event":"chatbot_init"}"#,
    r#"{"event":"chatbot_message","source":"chatbot","message":"12345678"}"#,
    r#"{"event":"refresh_token","token":"a.b.c"}"#,
];

const WIDGET_COMMANDS: &[&str] =
    &[r#"42["user-message",{"text":"hola"}]"#, r#"42["refresh-token",{"token":"a.b.c"}]"#];

const DEVICE_COMMANDS: &[&str] = &[
    r#"42["join",{"token":"a.b.c"}]"#,
    r#"42["get-qr",{"token":"a.b.c"}]"#,
    r#"42["send-message",{"token":"a.b.c","conversationId":"5491100000001@s.whatsapp.net","textContent":"hola","attachments":[{"id":"018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a11"}]}]"#,
];

/// The document.
pub(crate) fn document() -> Value {
    let (mut channels, mut operations) = (Map::new(), Map::new());
    for socket in sockets() {
        let id = socket.id;
        let said = socket.said.iter().map(|frame| (frame.as_str(), "node"));
        let heard = socket.heard.iter().map(|frame| (*frame, "client"));
        let messages: Map<String, Value> =
            said.chain(heard).filter_map(|(frame, who)| message_of(frame, who)).collect();
        for (who, action) in [("node", "send"), ("client", "receive")] {
            let of_who = messages.iter().filter(|(_, message)| message["x-said-by"] == who);
            let references: Vec<Value> = of_who
                .map(|(name, _)| json!({ "$ref": format!("#/channels/{id}/messages/{name}") }))
                .collect();
            let channel = json!({ "$ref": format!("#/channels/{id}") });
            let operation = json!({ "action": action, "channel": channel, "messages": references });
            operations.insert(format!("{id}-{action}"), operation);
        }
        let channel = json!({
            "address": socket.address,
            "summary": socket.summary,
            "description": socket.description,
            "servers": [{ "$ref": "#/servers/edge" }],
            "messages": messages,
        });
        channels.insert(id.to_owned(), channel);
    }
    json!({
        "servers": { "edge": { "host": "localhost:3001", "protocol": "ws", "description": "Any edge node" } },
        "channels": channels,
        "operations": operations,
    })
}

fn sockets() -> [Socket; 4] {
    let greeting = Greeting {
        epoch: "18ea78d5a29d3ad5".to_owned(),
        seq: 4_711,
        recovered: true,
        fresh: false,
        told: Some(811),
    };
    let client_id = json!("c1");
    [
        Socket {
            id: "crm",
            address: "/ws",
            summary: "Staff of a tenant (dialect crm); the frames of /sse and /api/events too",
            description: "A JSON WebSocket. The token stands in a subprotocol, in ?token= or in the first frame.",
            said: [
                vec![
                    crm::connected(&greeting, "edge-1", 25_000, "s.1").to_string(),
                    crm::heartbeat(4_711).to_string(),
                    crm::pong().to_string(),
                    crm::error("invalid_input", "type must be a string").to_string(),
                    crm::message_accepted(Some(&client_id), sample::ID, 4_711).to_string(),
                    crm::token_expiring(sample::AT_MS).to_string(),
                    crm::token_refreshed(Some(sample::AT_MS)).to_string(),
                ],
                shown(Dialect::Crm),
            ]
            .concat(),
            heard: CRM_COMMANDS,
        },
        Socket {
            id: "chat",
            address: "/",
            summary: "Users and agents (dialect chat)",
            description: "A JSON WebSocket with the subprotocol echo-protocol and the token beside it.",
            said: [
                vec![
                    chat::online_users(&["u1".to_owned()]).to_string(),
                    chat::message_accepted(&client_id, sample::ID, 4_711).to_string(),
                    chat::token_expiring(sample::AT_MS).to_string(),
                    chat::token_refreshed(Some(sample::AT_MS)).to_string(),
                ],
                shown(Dialect::Chat),
                shown(Dialect::ChatNotice),
            ]
            .concat(),
            heard: CHAT_COMMANDS,
        },
        Socket {
            id: "widget",
            address: "/socket.io/?userPhone={phone}",
            summary: "The contact's web widget (dialect widget)",
            description: "Socket.IO 5 over Engine.IO 4; the token in auth.token or ?token=.",
            said: [
                vec![
                    widget::session(&greeting, "s.1").to_string(),
                    widget::token_expiring(sample::AT_MS).to_string(),
                    widget::token_refreshed(Some(sample::AT_MS)).to_string(),
                ],
                shown(Dialect::Widget),
            ]
            .concat(),
            heard: WIDGET_COMMANDS,
        },
        Socket {
            id: "device",
            address: "/socket.io/",
            summary: "The owner of a WhatsApp number (dialect device)",
            description: "Socket.IO 5 over Engine.IO 4; each event carries its token.",
            said: [
                vec![
                    device::message_sent("5491100000001@s.whatsapp.net", sample::ID).to_string(),
                    device::error("Falta el parámetro token").to_string(),
                ],
                shown(Dialect::Device),
            ]
            .concat(),
            heard: DEVICE_COMMANDS,
        },
    ]
}

/// What a dialect makes of every kind of fact.
fn shown(dialect: Dialect) -> Vec<String> {
    let event = |fact| match fact {
        Fact::Bulk(progress) => Event::of_campaign(*progress, sample::mark()),
        fact => Event::of_store("", 4_711, fact),
    };
    sample::facts().into_iter().filter_map(|fact| dialect.encode(&event(fact))).collect()
}

/// A frame's name, and what is said of it.
fn message_of(frame: &str, said_by: &str) -> Option<(String, Value)> {
    let content: Value = serde_json::from_str(frame.trim_start_matches("42")).ok()?;
    // Socket.IO: the name, then the arguments.
    let (name, example) = match &content {
        Value::Array(items) => (items.first()?.as_str()?, items.get(1).cloned().unwrap_or_default()),
        Value::Object(fields) => {
            let name = fields.get("type").or_else(|| fields.get("event")).and_then(Value::as_str);
            (name.unwrap_or("error"), content.clone())
        }
        _ => return None,
    };
    let message = json!({
        "name": name,
        "contentType": "application/json",
        "x-said-by": said_by,
        "payload": schema_of(&example),
        "examples": [{ "payload": example }],
    });
    Some((if said_by == "node" { name.to_owned() } else { format!("{name}-by-client") }, message))
}

/// The shape of an example.
fn schema_of(example: &Value) -> Value {
    match example {
        Value::Null => json!({}),
        Value::Bool(_) => json!({ "type": "boolean" }),
        Value::Number(_) => json!({ "type": "number" }),
        Value::String(_) => json!({ "type": "string" }),
        Value::Array(items) => {
            json!({ "type": "array", "items": items.first().map_or_else(|| json!({}), schema_of) })
        }
        Value::Object(fields) => {
            let fields: Map<String, Value> =
                fields.iter().map(|(name, value)| (name.clone(), schema_of(value))).collect();
            json!({ "type": "object", "properties": fields })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_is_documented_is_understood() {
        for text in CRM_COMMANDS {
            assert!(crm::parse(text).is_ok(), "{text}: {:?}", crm::parse(text));
        }
        for text in CHAT_COMMANDS {
            assert!(!matches!(chat::parse(text), Err(_) | Ok(chat::Command::Unknown)), "{text}");
        }
        for text in WIDGET_COMMANDS.iter().chain(DEVICE_COMMANDS) {
            assert!(message_of(text, "client").is_some(), "{text}");
        }
    }

    #[test]
    fn every_topic_of_the_native_dialect_is_documented() {
        let document = document();
        for name in [
            "connected",
            "new_message",
            "message_status_updated",
            "conversation_updated",
            "stats_updated",
            "bot_status_changed",
            "whatsapp_status_changed",
            "bulk_message_progress",
            "bulk_message_completed",
            "bulk_message_error",
            "chat_updated",
            "appointment_updated",
            "payment_updated",
            "typing_changed",
            "message_draft",
            "presence_changed",
            "online_users",
            "announcement",
        ] {
            let message = &document["channels"]["crm"]["messages"][name];
            assert_eq!(message["examples"][0]["payload"]["type"], name);
            assert_eq!(message["payload"]["type"], "object");
        }
        assert!(document["channels"]["widget"]["messages"]["bot-response"].is_object());
        assert!(document["channels"]["widget"]["messages"]["bot-draft"].is_object());
        for name in ["chatbot_message", "chatbot_draft", "appointment_updated"] {
            assert!(document["channels"]["chat"]["messages"][name].is_object(), "{name}");
        }
        assert_eq!(document["channels"]["device"]["messages"]["qr-code"]["payload"]["type"], "string");
        assert!(document["channels"]["chat"]["messages"]["chat_message"].is_object());
    }
}
