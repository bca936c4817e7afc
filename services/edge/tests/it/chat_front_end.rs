//! The front ends' own client on both sides of a chat, one node of its own each.

use std::collections::VecDeque;

use chasqui_proto::v1;
use chasqui_testkit::Program;
use serde_json::{Value, json};

use crate::chat_desk::{Desk, chat_id, enrol};
use crate::world::{DEADLINE, Node, World, jwt};

struct FrontEnd {
    program: Program,
    /// What it said and nobody asked about yet.
    said: VecDeque<Value>,
}

impl FrontEnd {
    fn open(node: &Node, user: &str) -> Self {
        let (url, token) = (format!("ws://{}", node.address), jwt(&json!({ "id": user })));
        let options = json!({ "user": user }).to_string();
        let program = Program::node("chat.mjs", &[&url, &token, &options]).unwrap();
        Self { program, said: VecDeque::new() }
    }

    fn tell(&mut self, command: &Value) {
        self.program.write_line(&command.to_string());
    }

    /// The next thing that is of this kind, and has this name where a name is given.
    async fn hears(&mut self, is: &str, name: Option<&str>) -> Value {
        let wanted = |said: &Value| said["is"] == is && name.is_none_or(|name| said["name"] == name);
        loop {
            if let Some(index) = self.said.iter().position(wanted) {
                return self.said.remove(index).unwrap();
            }
            self.said.push_back(self.program.json(DEADLINE, is).await);
        }
    }

    async fn shows(&mut self, event: &str) -> Value {
        self.hears("event", Some(event)).await["frame"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_02_to_33_front_ends_that_know_nothing_of_us_hold_a_conversation() {
    let world = World::start().await;
    let desk = Desk::open(&world).await;
    enrol(&world, "default", "a1", "u9", v1::AgentStatus::Active).await;
    desk.is_free("a1", "u9");
    let (one, two) = (Node::start(&world, "one", &[]).await, Node::start(&world, "two", &[]).await);
    let (mut user, mut agent) = (FrontEnd::open(&one, "u1"), FrontEnd::open(&two, "u9"));
    assert_eq!(user.hears("open", None).await["protocol"], "echo-protocol");
    agent.shows("agent_connected").await;
    for client in [&mut user, &mut agent] {
        client.shows("active_chats").await;
        client.shows("online_users").await;
    }
    let chat = chat_id("default", "u1");
    user.tell(&json!({ "open_chat": true }));
    assert_eq!(agent.shows("chat_assigned").await["chat"]["id"], json!(chat));
    user.tell(&json!({ "write": "hola", "chat": chat }));
    let message = agent.shows("new_message").await;
    assert_eq!(message["message"], "hola");
    agent.tell(&json!({ "read": message["message_id"], "chat": chat }));
    assert_eq!(user.shows("message_read").await["message_id"], message["message_id"]);
    agent.tell(&json!({ "typing": true, "chat": chat }));
    user.shows("typing").await;
    agent.tell(&json!({ "answer": "buenas", "chat": chat }));
    assert_eq!(user.shows("new_message").await["message"], "buenas");
    user.shows("stop_typing").await;
    user.tell(&json!({ "text": "{" }));
    assert_eq!(user.hears("error", None).await["frame"]["error"], "Error al procesar el mensaje");
    user.tell(&json!({ "do": "break" }));
    user.hears("close", None).await;
    agent.tell(&json!({ "answer": "¿sigue ahí?", "chat": chat }));
    // Back without a cursor, nothing lost; what it did not confirm before the break it is shown once more.
    while user.shows("new_message").await["message"] != "¿sigue ahí?" {}
    agent.tell(&json!({ "close_chat": chat }));
    assert_eq!(user.shows("chat_closed").await["chat"]["closed_by"], "u9");
}
