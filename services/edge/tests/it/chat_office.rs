//! A cluster of two nodes in which users and agents talk, with the native WebSocket client.

use chasqui_proto::{Tenant, subject, v1};
use prost::Message as _;
use serde_json::{Value, json};

use crate::chat_desk::{Desk, chat_id, enrol};
use crate::world::{Client, Node, World, jwt};

pub(crate) const ACTIVE: v1::AgentStatus = v1::AgentStatus::Active;

/// A cluster of two nodes, an agent `a1` (user `u9`) who is given every chat, and persistence's part.
pub(crate) struct Office {
    pub(crate) world: World,
    pub(crate) desk: Desk,
    pub(crate) one: Node,
    pub(crate) two: Node,
}

impl Office {
    pub(crate) async fn open() -> Self {
        let world = World::start().await;
        let desk = Desk::open(&world).await;
        enrol(&world, "default", "a1", "u9", ACTIVE).await;
        enrol(&world, "default", "a2", "u8", ACTIVE).await;
        enrol(&world, "default", "a3", "u7", v1::AgentStatus::Inactive).await;
        enrol(&world, "acme", "a1", "u9", ACTIVE).await;
        desk.is_free("a1", "u9");
        let (one, two) = (Node::start(&world, "one", &[]).await, Node::start(&world, "two", &[]).await);
        Self { world, desk, one, two }
    }

    /// A user on the first node, past its first frames.
    pub(crate) async fn user(&self, user: &str) -> Client {
        let mut client = connect(&self.one, user, "default").await;
        assert_eq!(event(&mut client).await["event"], "active_chats");
        client
    }

    /// An agent on the second node, past its first frames.
    pub(crate) async fn agent(&self, user: &str) -> Client {
        let mut client = connect(&self.two, user, "default").await;
        assert_eq!(event(&mut client).await["event"], "agent_connected");
        assert_eq!(event(&mut client).await["event"], "active_chats");
        client
    }

    /// A user and its agent, in an open chat.
    pub(crate) async fn chat(&self) -> (Client, Client) {
        let (mut user, mut agent) = (self.user("u1").await, self.agent("u9").await);
        user.say(&json!({ "event": "open_chat" })).await;
        for client in [&mut user, &mut agent] {
            assert_eq!(event(client).await["event"], "chat_assigned");
        }
        (user, agent)
    }

    pub(crate) async fn announce(&self, tenant: &str, name: &str) {
        let tenant: Tenant = tenant.parse().unwrap();
        let announcement = v1::Announcement {
            tenant: tenant.to_string(),
            event: name.to_owned(),
            ..v1::Announcement::default()
        };
        let subject = subject::announcements_made(&tenant).as_str().to_owned();
        self.world.bus.client().publish(subject, announcement.encode_to_vec().into()).await.unwrap();
    }
}

pub(crate) async fn connect(node: &Node, user: &str, tenant: &str) -> Client {
    connect_at(node, user, tenant, "/").await
}

/// BEN-02: as the front ends do.
pub(crate) async fn connect_at(node: &Node, user: &str, tenant: &str, path: &str) -> Client {
    let token = jwt(&json!({ "id": user, "tenant": tenant, "name": "Contact" }));
    let url = format!("ws://{}{path}", node.address);
    let (client, chosen) = Client::open_with_protocols(&url, &format!("echo-protocol, {token}")).await;
    assert_eq!(chosen.as_deref(), Some("echo-protocol"), "BEN-03");
    client
}

/// The next frame that does not say who is there.
pub(crate) async fn event(client: &mut Client) -> Value {
    loop {
        let frame = client.frame().await;
        if !["online_users", "user_connected", "user_disconnected"].iter().any(|name| frame["event"] == *name)
        {
            return frame;
        }
    }
}

pub(crate) async fn expect(client: &mut Client, name: &str) -> Value {
    let frame = event(client).await;
    assert_eq!(frame["event"], name, "{frame}");
    frame
}

pub(crate) async fn write(client: &mut Client, user: &str, text: &str) {
    client
        .say(&json!({
            "event": "chat_message", "chat_id": chat_id("default", user), "sender_id": user,
            "sender_type": "USER", "message": text, "status": "sent",
        }))
        .await;
}

pub(crate) async fn answer(client: &mut Client, user: &str, text: &str) {
    let frame =
        json!({ "event": "agent_chat_message", "chat_id": chat_id("default", user), "message": text });
    client.say(&frame).await;
}
