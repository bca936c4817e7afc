//! The contact's web chat, with the real `socket.io-client`, and the bot on the other side.

use chasqui_testkit::wait_for;
use serde_json::{Value, json};

use crate::world::{Cluster, DEADLINE, Meta, Staff, Widget, http};

fn forwarded() -> (u16, Value) {
    (200, json!({ "success": true, "message": "Mensaje reenviado al cliente." }))
}

fn not_connected() -> (u16, Value) {
    (404, json!({ "success": false, "message": "El cliente no está conectado por WebSocket." }))
}

/// Waits until a reply counts as shown: the client's next pong proves it.
async fn is_delivered(cluster: &Cluster, phone: &str, text: &str) {
    wait_for(DEADLINE, &format!("{text:?} counts as delivered"), async || {
        let messages = cluster.messages(0, phone).await;
        let message = messages.iter().find(|message| message["text_content"] == text)?;
        (message["status"] == "delivered").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_10_and_12_a_bots_reply_reaches_the_widget_on_any_node_over_every_transport() {
    let cluster = Cluster::shared().await;
    let meta = Meta::new(&cluster);
    let transports =
        [json!({}), json!({ "transports": ["websocket"] }), json!({ "transports": ["polling"] })];
    for (edge, options) in transports.into_iter().enumerate() {
        let phone = format!("549110000030{edge}");
        let mut widget = Widget::open_with(&cluster, edge, &phone, options.clone()).await;
        if options == json!({}) {
            assert_eq!(widget.hears("upgrade").await["transport"], "websocket");
        }
        let text = format!("¿En qué puedo ayudarte? 🦙 {edge}");
        assert_eq!(meta.bot_reply(&phone, &text).await, forwarded(), "{options}");
        let reply = widget.reply().await;
        assert_eq!((&reply["text"], &reply["sender"]), (&json!(text), &json!("bot")), "{options}");
        let timestamp = reply["timestamp"].as_str().expect("KON-12: a string");
        assert!(timestamp.contains('T') && timestamp.ends_with('Z'), "ISO 8601: {timestamp}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_11_what_nobody_sees_is_404_and_shown_on_the_next_connection_and_on_no_further_one() {
    let cluster = Cluster::shared().await;
    let (meta, phone) = (Meta::new(&cluster), "5491100000311");
    assert_eq!(meta.bot_reply(phone, "uno").await, not_connected());
    assert_eq!(meta.bot_reply(phone, "dos").await, not_connected());
    let mut first = Widget::open(&cluster, 0, phone).await;
    assert_eq!([first.reply_text().await, first.reply_text().await], ["uno", "dos"]);
    is_delivered(&cluster, phone, "uno").await;
    is_delivered(&cluster, phone, "dos").await;
    first.leave().await;
    wait_for(DEADLINE, "nobody holds the contact's socket any more", async || {
        (meta.bot_reply(phone, "tres").await == not_connected()).then_some(())
    })
    .await;
    let mut second = Widget::open(&cluster, 1, phone).await;
    assert_eq!(second.reply_text().await, "tres", "and nothing that was shown before");
    assert_eq!(meta.bot_reply(phone, "cuatro").await, forwarded());
    loop {
        // The question above may have been asked, and its text stored, more than once.
        match second.reply_text().await.as_str() {
            "tres" => {}
            other => break assert_eq!(other, "cuatro"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_06_every_tab_of_the_contact_shows_the_reply_once() {
    let cluster = Cluster::shared().await;
    let (meta, phone) = (Meta::new(&cluster), "5491100000321");
    let mut tabs = [Widget::open(&cluster, 0, phone).await, Widget::open(&cluster, 2, phone).await];
    assert_eq!(meta.bot_reply(phone, "para las dos").await, forwarded());
    assert_eq!(meta.bot_reply(phone, "fin").await, forwarded());
    for tab in &mut tabs {
        assert_eq!([tab.reply_text().await, tab.reply_text().await], ["para las dos", "fin"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_08_and_09_a_reply_without_its_parameters_or_its_key_is_refused_as_before() {
    let cluster = Cluster::shared().await;
    let meta = Meta::new(&cluster);
    let missing = json!({ "error": "Faltan los parámetros targetUserWhatsAppNumber o messageText" });
    for body in [
        json!({}),
        json!({ "targetUserWhatsAppNumber": "5491100000331" }),
        json!({ "targetUserWhatsAppNumber": "", "messageText": "hola" }),
        json!({ "targetUserWhatsAppNumber": "5491100000331", "messageText": "" }),
    ] {
        assert_eq!(meta.bot_says(&body).await, (400, missing.clone()), "{body}");
    }
    // KON-23: it was open to everybody.
    let url = cluster.ingests[0].url("/api/bot-reply");
    let answer = http().post(url).header("x-api-key", "wrong").send().await.unwrap();
    assert_eq!(answer.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_16_what_the_contact_types_is_at_staff_on_another_node_and_stored() {
    let cluster = Cluster::shared().await;
    let (staff, phone) = (Staff::open(&cluster, 2).await, "5491100000341");
    let mut widget = Widget::open(&cluster, 0, phone).await;
    let text = "escribo desde la página ñ 🦙";
    let answer = widget.types(text).await;
    assert_eq!(answer["success"], true, "{answer}");
    let shown = staff.messages_until(text).await;
    let shown = shown.iter().find(|shown| shown.text == text).expect("it was waited for");
    assert_eq!((shown.phone.as_str(), &json!(shown.id)), (phone, &answer["id"]));
    let stored = cluster.stored(1, phone, 1).await;
    assert_eq!(stored[0]["id"], answer["id"]);
}
