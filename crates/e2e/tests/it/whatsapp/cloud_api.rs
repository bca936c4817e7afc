//! A bot that was written for Meta's own interface works against ours: signed webhooks in, the Graph API out.

use chasqui_testkit::first_free_port;
use serde_json::json;

use crate::world::{Cluster, FrontDoor, FrontEnd, NUMBER, Outside, http, text_of};

const CONTACT: &str = "5491100000481";
const SECRET: &str = "the-bots-app-secret";

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_api_bot_needs_only_another_base_url() {
    let cluster = Cluster::connected("cloud-api", &[]).await;
    let (door, outside) = (FrontDoor::open(&cluster).await, Outside::of(&cluster));
    let port = first_free_port(9_100).unwrap().to_string();
    let environment = [
        ("PORT", port.as_str()),
        ("GRAPH_URL", &door.http()),
        ("ACCESS_TOKEN", Cluster::api_key()),
        ("PHONE_NUMBER_ID", NUMBER),
        ("APP_SECRET", SECRET),
    ];
    let mut bot = FrontEnd::bot("cloud-bot.mjs", &environment);
    bot.says("listening").await;
    let registers = http()
        .post(format!("{}/api/whatsapp/register-listener", door.http()))
        .header("x-api-key", Cluster::api_key())
        .json(&json!({
            "url": format!("http://127.0.0.1:{port}/webhook"),
            "format": "cloud_api",
            "secret": SECRET,
            "events": ["message.received", "message.status"],
        }));
    let answer = registers.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());

    let wamid = outside.writes(CONTACT, json!({ "text": "hola" })).await;
    let heard = bot.says("message").await;
    assert_eq!(heard["message"]["id"], wamid);
    assert_eq!(heard["value"]["metadata"]["phone_number_id"], NUMBER);
    let sent = bot.says("sent").await;
    assert_eq!(sent["status"], 200, "{sent}");
    let received = outside.phone_has(CONTACT, 1).await;
    assert_eq!(text_of(&received[0]), "Eco: hola");
    assert_eq!(received[0]["body"]["context"]["message_id"], wamid, "it answers that message");
    let id = &sent["answer"]["messages"][0]["id"];
    for status in ["sent", "delivered", "read"] {
        bot.finds("status", |line| line["status"]["id"] == *id && line["status"]["status"] == status).await;
    }

    // An interactive message, as Meta takes it, with data that comes back in each status.
    let buttons = json!([
        { "type": "reply", "reply": { "id": "si", "title": "Sí" } },
        { "type": "reply", "reply": { "id": "no", "title": "No" } },
    ]);
    bot.does(&json!({ "send": {
        "to": CONTACT, "type": "interactive", "biz_opaque_callback_data": "encuesta-7",
        "interactive": { "type": "button", "body": { "text": "¿Volvería?" }, "action": { "buttons": buttons } },
    } }));
    let id = bot.says("sent").await["answer"]["messages"][0]["id"].clone();
    let read =
        bot.finds("status", |line| line["status"]["id"] == id && line["status"]["status"] == "read").await;
    assert_eq!(read["status"]["biz_opaque_callback_data"], "encuesta-7");
    let shown = &outside.phone_has(CONTACT, 2).await[1]["body"];
    assert_eq!(shown["interactive"]["action"]["buttons"], buttons);

    // What is wrong is told as Meta tells it.
    bot.does(&json!({ "send": { "to": CONTACT, "type": "text", "text": {} } }));
    let refused = bot.says("sent").await;
    assert_eq!(refused["status"], 400);
    assert_eq!(refused["answer"]["error"]["type"], "OAuthException", "{refused}");
}
