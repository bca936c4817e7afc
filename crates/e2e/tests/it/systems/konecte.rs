//! Konecte: the bot's replies in the web widget of a contact.

use chasqui_testkit::wait_for;
use serde_json::json;

use crate::world::{Cluster, DEADLINE, FrontDoor, FrontEnd, Meta, http};

#[tokio::test(flavor = "multi_thread")]
async fn kon_13_the_widget_shows_replies_whatever_node_its_requests_land_on() {
    let cluster = Cluster::shared().await;
    let (meta, door) = (Meta::new(&cluster), FrontDoor::open(&cluster).await);
    let (phone, other) = ("5491100000401", "5491100000402");
    // Default transports: polling first, each request on another node, then the upgrade, on another one again.
    let mut page = FrontEnd::open("konecte.mjs", &[&door.http(), phone]);
    page.says("connect").await;
    for number in 0..5 {
        let text = format!("respuesta {number} 🦙");
        let (status, answer) = meta.bot_reply(phone, &text).await;
        assert_eq!((status, &answer["success"]), (200, &json!(true)), "KON-10");
        let shown = page.says("message").await;
        assert_eq!((&shown["text"], &shown["sender"]), (&json!(text), &json!("bot")), "KON-12");
        assert!(
            shown["at"].as_i64().is_some_and(|at| at > 1_700_000_000_000),
            "new Date(timestamp) is a moment"
        );
    }

    // KON-16: what the contact types is the conversation's newest message.
    page.does(&json!({ "write": "quiero un turno" }));
    let stored = cluster.stored(1, phone, 6).await;
    let typed = stored.iter().find(|message| message["text_content"] == "quiero un turno").unwrap();
    assert_eq!((&typed["direction"], &typed["sender_type"]), (&json!("in"), &json!("user")));

    // What is written while the network is broken is shown once it is back, once.
    page.does(&json!({ "do": "break" }));
    page.says("disconnect").await;
    meta.store_bot_reply(phone, "mientras no estabas").await;
    assert_eq!(page.says("message").await["text"], "mientras no estabas");
    meta.store_bot_reply(phone, "y ahora").await;
    assert_eq!(page.says("message").await["text"], "y ahora");

    // The page is shown for another contact: it gets that one's replies and no others.
    page.does(&json!({ "phone": other }));
    page.says("connect").await;
    wait_for(DEADLINE, "the first contact has left", async || {
        (meta.bot_reply(phone, "para nadie").await.0 == 404).then_some(())
    })
    .await;
    meta.store_bot_reply(other, "para el otro").await;
    assert_eq!(page.says("message").await["text"], "para el otro");
    page.does(&json!({ "do": "unmount" }));
    page.says("disconnect").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_18_kon_20_the_rest_of_the_base_url_is_as_before() {
    let cluster = Cluster::shared().await;
    let door = FrontDoor::open(&cluster).await;
    let bot = |body: serde_json::Value| {
        http()
            .post(format!("{}/api/bot-reply", door.http()))
            .header("x-api-key", Cluster::api_key())
            .json(&body)
    };
    let missing = bot(json!({ "messageText": "hola" })).send().await.unwrap();
    assert_eq!(missing.status(), 400);
    let answer: serde_json::Value = missing.json().await.unwrap();
    assert_eq!(answer["error"], "Faltan los parámetros targetUserWhatsAppNumber o messageText");
    let nobody = bot(json!({ "targetUserWhatsAppNumber": "5491100000409", "messageText": "hola" }));
    assert_eq!(nobody.send().await.unwrap().status(), 404);
    // KON-20: a path of somebody else is not swallowed.
    assert_eq!(http().get(format!("{}/api/users", door.http())).send().await.unwrap().status(), 404);
}
