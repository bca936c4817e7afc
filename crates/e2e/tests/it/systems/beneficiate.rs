//! Beneficiate: users and agents in chats, with receipts, typing and who is online.

use serde_json::{Value, json};

use crate::world::{Cluster, FrontDoor, FrontEnd};

/// A user of the front end on its own connection; an agent where the directory has one of it.
async fn front_end(cluster: &Cluster, door: &FrontDoor, user: &str) -> FrontEnd {
    let token = cluster.tool(&["token", "--user", user]).await;
    let options = json!({ "user": user }).to_string();
    let mut client = FrontEnd::open("chat.mjs", &[&door.web_socket(), &token, &options]);
    assert_eq!(client.says("open").await["protocol"], "echo-protocol", "BEN-03");
    client
}

fn named(name: &str) -> impl Fn(&Value) -> bool {
    move |line: &Value| line["name"] == name
}

async fn frame(client: &mut FrontEnd, name: &str) -> Value {
    client.finds("event", named(name)).await["frame"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_10_to_30_a_user_and_an_agent_hold_a_chat_across_nodes() {
    let cluster = Cluster::shared().await;
    let door = FrontDoor::open(&cluster).await;
    let (user_id, agent_user) = ("beneficiario-1", "asesor-1");
    cluster.tool(&["admin", "user", "put", agent_user, "--name", "Asesor"]).await;
    cluster.tool(&["admin", "agent", "put", "a-1", "--user", agent_user]).await;
    let mut agent = agent_of(&cluster, &door, agent_user).await;
    let mut user = front_end(&cluster, &door, user_id).await;
    frame(&mut user, "active_chats").await;
    let is_me = |line: &Value| line["name"] == "user_connected" && line["frame"]["user_id"] == user_id;
    agent.finds("event", is_me).await;

    // BEN-19: the first words open the chat; persistence gives it to the agent who is there.
    user.does(&json!({ "write": "necesito ayuda", "chat": user_id }));
    let at_agent = frame(&mut agent, "chat_message").await;
    assert_eq!((&at_agent["message"], &at_agent["sender_type"]), (&json!("necesito ayuda"), &json!("USER")));
    assert_eq!(at_agent["sender_id"], user_id);
    let chat = at_agent["chat_id"].clone();
    assert_eq!(frame(&mut user, "chat_message").await["message"], "necesito ayuda", "BEN-25: the sender too");

    // BEN-23, BEN-25: whose words they are says the connection.
    agent.does(&json!({ "answer": "¿en qué puedo ayudarte?", "chat": chat }));
    for client in [&mut user, &mut agent] {
        let is_answer = |line: &Value| {
            line["frame"]["message"] == "¿en qué puedo ayudarte?" && named("chat_message")(line)
        };
        let answer = client.finds("event", is_answer).await;
        assert_eq!(answer["frame"]["sender_type"], "AGENT");
    }

    // BEN-27, BEN-44: the receipt travels back. BEN-28, BEN-29.
    let message = at_agent["message_id"].clone();
    agent.does(&json!({ "read": message, "chat": chat }));
    assert_eq!(frame(&mut user, "message_read").await["message_id"], message);
    agent.does(&json!({ "typing": true, "chat": chat }));
    assert_eq!(frame(&mut user, "typing").await["chat_id"], chat);
    agent.does(&json!({ "typing": false, "chat": chat }));
    frame(&mut user, "stop_typing").await;

    // The network breaks under the user: what is written meanwhile is shown when it is back.
    user.does(&json!({ "do": "break" }));
    user.says("close").await;
    agent.does(&json!({ "answer": "¿sigues ahí?", "chat": chat }));
    user.finds("event", |line| line["frame"]["message"] == "¿sigues ahí?").await;

    // BEN-30, BEN-14.
    agent.does(&json!({ "close_chat": chat }));
    assert_eq!(frame(&mut user, "chat_closed").await["chat"]["id"], chat);
    user.does(&json!({ "do": "disconnect" }));
    let is_gone = |line: &Value| line["name"] == "user_disconnected" && line["frame"]["user_id"] == user_id;
    agent.finds("event", is_gone).await;
}

/// Comes in once every node has heard that the user is an agent: before that it is a regular user.
async fn agent_of(cluster: &Cluster, door: &FrontDoor, user: &str) -> FrontEnd {
    loop {
        let mut client = front_end(cluster, door, user).await;
        // An agent is told so before it is told of its chats.
        let first = client.says("event").await;
        if first["name"] == "agent_connected" {
            return client;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_04_ben_20_ben_32_what_is_wrong_is_told_in_the_words_of_before() {
    let cluster = Cluster::shared().await;
    let door = FrontDoor::open(&cluster).await;
    let stranger = tokio_tungstenite::connect_async(door.web_socket()).await;
    let refused = stranger.unwrap_err().to_string();
    assert!(refused.contains("401"), "BEN-04: no header, no socket: {refused}");
    let mut user = front_end(&cluster, &door, "beneficiario-2").await;
    for (command, error) in [
        (
            json!({ "frame": { "event": "chat_message", "chat_id": "1" } }),
            "Datos incompletos para enviar el mensaje",
        ),
        (json!({ "text": "{" }), "Error al procesar el mensaje"),
    ] {
        user.does(&command);
        assert_eq!(user.says("error").await["frame"], json!({ "error": error }));
    }
    user.does(&json!({ "frame": { "event": "agent_chat_message" } }));
    assert_eq!(frame(&mut user, "error").await["message"], "Se requieren chat_id y message", "BEN-24");
    user.does(&json!({ "frame": { "event": "dance" } }));
    user.does(&json!({ "frame": { "event": "open_chat" } }));
    assert!(frame(&mut user, "chat_opened").await["chat"]["id"].is_string(), "BEN-31: and it goes on");
}
