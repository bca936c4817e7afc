//! Condorito CRM: messages, conversations and counters live, and REST for when the socket is away.

use serde_json::{Value, json};

use crate::world::{Cluster, FrontDoor, FrontEnd, Meta, http};

fn shows(frame: &Value, text: &str) -> bool {
    frame["data"]["message"]["text_content"] == text
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_17_a_message_from_whatsapp_is_shown_then_its_conversation_then_the_counters() {
    let cluster = Cluster::shared().await;
    let (meta, door) = (Meta::new(&cluster), FrontDoor::open(&cluster).await);
    let (phone, text) = ("5491100000421", "hola, soy un contacto nuevo");
    let mut crm = FrontEnd::open("condorito.mjs", &[&door.crm_url(&cluster.token)]);
    assert_eq!(crm.says("state").await["state"], "connecting", "CRM-11");
    assert_eq!(crm.says("state").await["state"], "connected");
    crm.says("connected").await;
    meta.text(phone, text).await;
    let shown = crm.finds("new_message", |frame| shows(frame, text)).await;
    let conversation = &shown["data"]["conversation"];
    assert!(conversation["id"].is_u64(), "CRM-10: a conversation has a number");
    let id = conversation["id"].clone();
    let of = |frame: &Value| frame["data"]["conversation"]["id"] == id;
    let updated = crm.finds("conversation_updated", of).await;
    assert_eq!(updated["data"]["conversation"]["unread_count"], 1, "CRM-03");
    crm.finds("stats_updated", |frame| frame["data"]["stats"]["messages_in"].as_u64() > Some(0)).await;

    // CRM-18: shown in the open chat, read; what a component sends goes to the contact.
    crm.does(&json!({ "send": { "type": "mark_read", "data": { "conversation_id": id } } }));
    crm.finds("conversation_updated", |frame| {
        of(frame) && frame["data"]["conversation"]["unread_count"] == 0
    })
    .await;
    let answer = json!({ "conversation_id": id, "text": "buen día", "client_id": "c1" });
    crm.does(&json!({ "send": { "type": "send_message", "data": answer } }));
    assert_eq!(crm.says("message_accepted").await["data"]["client_id"], "c1");
    crm.finds("new_message", |frame| shows(frame, "buen día")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_13_crm_14_the_service_comes_back_by_itself_and_rest_has_what_it_missed() {
    let cluster = Cluster::shared().await;
    let (meta, door) = (Meta::new(&cluster), FrontDoor::open(&cluster).await);
    let (phone, text) = ("5491100000422", "mientras el CRM no estaba");
    let mut crm = FrontEnd::open("condorito.mjs", &[&door.crm_url(&cluster.token)]);
    crm.says("connected").await;
    crm.does(&json!({ "do": "break" }));
    crm.finds("state", |frame| frame["state"] == "disconnected").await;
    meta.text(phone, text).await;
    crm.finds("state", |frame| frame["state"] == "connected").await;
    cluster.stored(0, phone, 1).await;
    let polled = http()
        .get(format!("{}/api/conversations/{phone}/messages", door.http()))
        .bearer_auth(&cluster.token)
        .send()
        .await
        .unwrap();
    let polled: Value = polled.json().await.unwrap();
    assert_eq!(polled["messages"][0]["text_content"], text);
    meta.text(phone, "y otra vez en vivo").await;
    crm.finds("new_message", |frame| shows(frame, "y otra vez en vivo")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_22_errors_are_told_and_the_connection_stays() {
    let cluster = Cluster::shared().await;
    let door = FrontDoor::open(&cluster).await;
    let mut crm = FrontEnd::open("condorito.mjs", &[&door.crm_url(&cluster.token)]);
    crm.says("connected").await;
    for (frame, names) in [
        (json!({ "type": "send_message", "data": { "text": "x" } }), "conversation_id"),
        (json!({ "type": "dance" }), "dance"),
        (json!([1]), "type"),
    ] {
        crm.does(&json!({ "send": frame }));
        let error = crm.says("error").await;
        assert!(error["data"]["message"].as_str().unwrap().contains(names), "{error}");
    }
    crm.does(&json!({ "send": { "type": "ping" } }));
    crm.says("pong").await;
    // A token that proves nothing: the state is derivable, and the service is told why.
    let mut stranger = FrontEnd::open("condorito.mjs", &[&door.crm_url("x")]);
    assert_eq!(stranger.says("error").await["data"]["code"], "unauthorized");
    stranger.finds("state", |frame| frame["state"] == "disconnected").await;
}
