//! The shared WhatsApp client: one service has the number, bots listen and answer over HTTP.

use chasqui_testkit::{first_free_port, wait_for};
use serde_json::{Value, json};

use crate::world::{Cluster, DEADLINE, FrontDoor, FrontEnd, Outside, http, text_of};

const CONTACT: &str = "5491100000451";

async fn get(door: &FrontDoor, path: &str) -> Value {
    let request = http().get(format!("{}{path}", door.http())).header("x-api-key", Cluster::api_key());
    request.send().await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn shc_12_to_15_a_bot_listens_and_answers_though_everything_was_restarted() {
    let settings = [("CHASQUI__WEBHOOKS__RETRY_SCHEDULE_SECS", "0,1,1,1")];
    let cluster = Cluster::connected("shared-client", &settings).await;
    let (door, outside) = (FrontDoor::open(&cluster).await, Outside::of(&cluster));
    let port = first_free_port(9_000).unwrap().to_string();
    let bot_url = format!("http://127.0.0.1:{port}");
    let environment = [
        ("PORT", port.as_str()),
        ("MASSIVE_SENDER_URL", &door.http()),
        ("RESPONDER_CALLBACK_URL", &format!("{bot_url}/api/message-received")),
        ("WHATSAPP_API_KEY", Cluster::api_key()),
    ];
    let mut bot = FrontEnd::bot("bot-responder.mjs", &environment);
    bot.says("registered").await;
    bot.does(&json!({ "do": "register" }));
    assert_eq!(bot.says("registered").await["answer"]["success"], true, "SHC-21: again is the same");
    let connected = json!({ "connected": true, "state": "CONNECTED", "listeners": 1 });
    wait_for(DEADLINE, "SHC-04: the number is connected and has a listener", async || {
        (get(&door, "/api/whatsapp/status").await == connected).then_some(())
    })
    .await;
    let status: Value =
        http().get(format!("{bot_url}/api/status")).send().await.unwrap().json().await.unwrap();
    let expected =
        json!({ "bot": "WhatsApp Bot Responder", "status": "running", "whatsapp": connected.clone() });
    assert_eq!(status, expected, "SHC-15");
    assert_eq!(get(&door, "/haby/api/wapp-session/status").await["connected"], true, "SHC-05");

    outside.writes(CONTACT, json!({ "text": "hola" })).await;
    let heard = bot.says("message").await["message"].clone();
    assert_eq!(
        (&heard["from"], &heard["body"]),
        (&json!(format!("{CONTACT}@c.us")), &json!("hola")),
        "SHC-13"
    );
    assert_eq!(bot.says("sent").await["status"], 200, "SHC-14");
    assert_eq!(text_of(&outside.phone_has(CONTACT, 1).await[0]), "Respuesta a: hola");

    // SHC-21, SHC-33: whoever holds something is restarted, in any order; the bot notices nothing.
    for process in cluster.webhooks.iter().chain(&cluster.whatsapps).chain(&cluster.ingests) {
        process.stop().await;
        process.start().await;
        process.is_ready(true).await;
    }
    // SHC-32: the bot stumbles twice; the message is brought again.
    bot.does(&json!({ "do": "fail", "times": 2 }));
    outside.writes(CONTACT, json!({ "text": "¿seguís ahí?" })).await;
    assert_eq!(bot.says("message").await["message"]["body"], "¿seguís ahí?");
    assert_eq!(bot.says("sent").await["status"], 200);
    let received = outside.phone_has(CONTACT, 2).await;
    let texts: Vec<&str> = received.iter().map(text_of).collect();
    assert_eq!(texts, ["Respuesta a: hola", "Respuesta a: ¿seguís ahí?"], "each once");

    // SHC-07: a number in every spelling.
    for (count, to) in ["5491100000451", "5491100000451@c.us", "+54 911 0000-0451"].into_iter().enumerate() {
        bot.does(&json!({ "send": "directo", "to": to }));
        assert_eq!(bot.says("sent").await["status"], 200, "{to}");
        outside.phone_has(CONTACT, 3 + count).await;
    }

    let leaves = http()
        .post(format!("{}/api/whatsapp/unregister-listener", door.http()))
        .header("x-api-key", Cluster::api_key())
        .json(&json!({ "url": format!("{bot_url}/api/message-received") }));
    assert_eq!(leaves.send().await.unwrap().status(), 200, "SHC-02");
    wait_for(DEADLINE, "the listener is gone", async || {
        (get(&door, "/api/whatsapp/status").await["listeners"] == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shc_24_without_the_key_nothing_is_sent_and_nobody_listens() {
    let cluster = Cluster::shared().await;
    let door = FrontDoor::open(&cluster).await;
    for (path, body) in [
        ("send", json!({ "to": CONTACT, "message": "hola" })),
        ("register-listener", json!({ "url": "http://127.0.0.1:9/" })),
    ] {
        let request = http().post(format!("{}/api/whatsapp/{path}", door.http())).json(&body);
        for request in [request.try_clone().unwrap(), request.header("x-api-key", "another")] {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 401, "{path}");
            assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "error": "Unauthorized" }));
        }
    }
}
