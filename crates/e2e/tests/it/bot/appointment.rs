//! The appointment flow, as contacts walk through it.

use reqwest::Method;
use serde_json::{Value, json};

use super::{WALK, WELCOME};
use crate::world::{Cluster, FrontDoor, FrontEnd, Outside, http, text_of};

/// The appointments made in the conversation of a contact.
async fn appointments(door: &FrontDoor, token: &str, contact: &str) -> Vec<Value> {
    let url = format!("{}/api/appointments?conversation={contact}", door.http());
    let page: Value = http().get(url).bearer_auth(token).send().await.unwrap().json().await.unwrap();
    page["appointments"].as_array().unwrap_or_else(|| panic!("no list: {page}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_34_to_39_a_user_makes_an_appointment_in_the_chat_and_is_told_when_it_changes() {
    let cluster = Cluster::shared().await;
    let door = FrontDoor::open(&cluster).await;
    let (user_id, options) = ("beneficiario-34", json!({ "user": "beneficiario-34" }).to_string());
    let token = cluster.tool(&["token", "--user", user_id]).await;
    let mut user = FrontEnd::open("chat.mjs", &[&door.web_socket(), &token, &options]);
    user.says("open").await;

    // BEN-35: the words and the sender are the original's.
    user.does(&json!({ "bot": null }));
    let welcome = bot_says(&mut user).await;
    assert_eq!((&welcome["message"], &welcome["sender_type"]), (&json!(WELCOME), &json!("BOT")));

    for (step, says) in WALK.iter().enumerate() {
        // BEN-39: a connection that is lost in the middle, and one that comes back to another node, lose nothing.
        if step == 3 {
            user.does(&json!({ "do": "break" }));
            user.says("close").await;
            user.says("open").await;
        }
        user.does(&json!({ "bot": says }));
        bot_says(&mut user).await;
    }
    let is_updated = |line: &Value| line["name"] == "appointment_updated";
    let made = user.finds("event", is_updated).await["frame"]["appointment"].clone();
    assert_eq!((&made["status"], &made["patient_document"]), (&json!("pending"), &json!(WALK[0])));
    assert_eq!(made["description"], WALK[5]);
    assert_eq!(appointments(&door, &cluster.token, user_id).await.len(), 1);

    // BEN-41
    let url = format!("{}/api/appointments/{}", door.http(), made["id"].as_str().unwrap());
    let change = json!({ "status": "confirmed", "scheduled_at": "2027-01-15T14:30:00Z" });
    let changed = http().request(Method::PATCH, &url).bearer_auth(&cluster.token).json(&change).send().await;
    assert_eq!(changed.unwrap().status(), 200);
    let is_confirmed =
        |line: &Value| is_updated(line) && line["frame"]["appointment"]["status"] == "confirmed";
    let shown = user.finds("event", is_confirmed).await["frame"]["appointment"].clone();
    assert!(
        shown["scheduled_at"].as_str().is_some_and(|at| at.starts_with("2027-01-15T14:30:00")),
        "{shown}"
    );
}

/// The next thing that the bot says to a user.
async fn bot_says(user: &mut FrontEnd) -> Value {
    user.finds("event", |line| line["name"] == "chatbot_message").await["frame"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_36_wab_33_a_contact_of_whatsapp_walks_the_same_flow_where_the_bot_was_told_to_answer() {
    let cluster = Cluster::shared().await;
    let (door, outside, contact) = (FrontDoor::open(&cluster).await, Outside::of(&cluster), "5491100000536");
    // Nobody built in answers in this deployment, until the conversation says so.
    outside.writes(contact, json!({ "text": "hola" })).await;
    cluster.stored(0, contact, 1).await;
    cluster.bot_has_handled(contact).await;
    cluster.steer(contact, json!({ "ai_active": true })).await;

    let mut received = 0;
    let mut said = Vec::new();
    for says in ["cita"].iter().chain(&WALK) {
        outside.writes(contact, json!({ "text": says })).await;
        received += 1;
        let messages = outside.phone_has(contact, received).await;
        said.push(text_of(&messages[received - 1]).to_owned());
    }
    assert_eq!(said[0], WELCOME);
    let made = appointments(&door, &cluster.token, contact).await;
    assert_eq!((made.len(), &made[0]["status"]), (1, &json!("pending")));

    // Told to keep out, it does.
    cluster.steer(contact, json!({ "no_ac_ai": true })).await;
    outside.writes(contact, json!({ "text": "cita" })).await;
    cluster.stored(0, contact, 2 + 2 * received).await;
    cluster.bot_has_handled(contact).await;
    assert_eq!(outside.phone_has(contact, received).await.len(), received);
}
