//! People take over from the bot, and give back.

use serde_json::{Value, json};

use super::WELCOME;
use crate::world::{Cluster, FrontDoor, FrontEnd, Outside, text_of};

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_person_gets_one_and_has_the_bot_again_afterwards() {
    let cluster = Cluster::shared().await;
    let (door, outside, contact) = (FrontDoor::open(&cluster).await, Outside::of(&cluster), "5491100000537");
    cluster.tool(&["admin", "user", "put", "asesor-5", "--name", "Asesor"]).await;
    cluster.tool(&["admin", "agent", "put", "a-5", "--user", "asesor-5"]).await;
    outside.writes(contact, json!({ "text": "hola" })).await;
    cluster.stored(0, contact, 1).await;
    cluster.bot_has_handled(contact).await;
    cluster.steer(contact, json!({ "ai_active": true })).await;
    outside.writes(contact, json!({ "text": "cita" })).await;
    assert_eq!(text_of(&outside.phone_has(contact, 1).await[0]), WELCOME);

    // In the middle of the flow the contact has enough of it.
    outside.writes(contact, json!({ "text": "quiero hablar con un agente" })).await;
    outside.phone_has(contact, 2).await;
    let chat = cluster.chat_of(contact).await;
    assert_eq!(chat.reason, "keyword");

    // An agent takes it, answers, and the bot is silent meanwhile.
    let token = cluster.tool(&["token", "--user", "asesor-5"]).await;
    let mut agent =
        FrontEnd::open("chat.mjs", &[&door.web_socket(), &token, &json!({ "user": "asesor-5" }).to_string()]);
    agent.says("open").await;
    cluster.take(contact, "a-5").await;
    agent.does(&json!({ "answer": "¿en qué le ayudo?", "chat": chat.id }));
    assert_eq!(text_of(&outside.phone_has(contact, 3).await[2]), "¿en qué le ayudo?");
    outside.writes(contact, json!({ "text": "cita" })).await;
    agent.finds("event", |line: &Value| line["frame"]["message"] == "cita").await;

    // Released, the bot begins anew.
    cluster.release(contact).await;
    outside.writes(contact, json!({ "text": "cita" })).await;
    let shown = outside.phone_has(contact, 4).await;
    assert_eq!(text_of(&shown[3]), WELCOME);
    assert_eq!(shown.len(), 4, "what was written to the agent is not answered by the bot as well");
}
