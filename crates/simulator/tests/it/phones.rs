use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::{
    receiver::Receiver,
    simulator::{CONTACT, NUMBER, SOON, Simulator, answer},
};

const PHONE: &str = "/phones/5491100000001/messages";

#[tokio::test]
async fn a_phone_shows_what_it_got_and_sent_and_waits_for_the_next() -> Result<()> {
    let simulator = Simulator::alone(json!({})).await?;
    let (_, written) = simulator.post(PHONE, json!({ "text": "hola" })).await?;
    let sent = simulator.send(CONTACT).await?.unwrap();
    let shown = simulator.get(PHONE).await?;
    let first = &shown["messages"][0];
    assert_eq!(
        (&first["direction"], &first["id"], &first["number"]),
        (&json!("sent"), &written["id"], &json!(NUMBER))
    );
    assert_eq!(first["body"]["text"]["body"], "hola");
    let second = &shown["messages"][1];
    assert_eq!((&second["direction"], &second["id"]), (&json!("received"), &json!(sent)));
    assert_eq!(second["body"]["text"]["body"], "hola");

    let next = format!("{PHONE}?after={}&wait_ms=20000", shown["last"]);
    let began = Instant::now();
    let (waited, sent) = tokio::join!(simulator.get(&next), simulator.send(CONTACT));
    assert_eq!(waited?["messages"][0]["id"], sent?.unwrap());
    assert!(began.elapsed() < Duration::from_secs(10), "it came when the message did");
    let nothing = simulator.get("/phones/5491100000009/messages?wait_ms=50").await?;
    assert_eq!(nothing["messages"], json!([]));
    simulator.stop().await
}

#[tokio::test]
async fn a_business_reads_and_types_and_the_phone_shows_it() -> Result<()> {
    let simulator = Simulator::alone(json!({})).await?;
    let (_, written) = simulator.post(PHONE, json!({ "text": "hola" })).await?;
    let mark = json!({
        "messaging_product": "whatsapp", "status": "read", "message_id": written["id"],
        "typing_indicator": { "type": "text" },
    });
    assert_eq!(answer(simulator.ask(&mark)).await?.1, json!({ "success": true }));
    let shown = simulator.get(PHONE).await?;
    assert_eq!((&shown["messages"][0]["status"], &shown["typing"]), (&json!("read"), &json!([NUMBER])));
    simulator.send(CONTACT).await?.unwrap();
    assert_eq!(simulator.get(PHONE).await?["typing"], json!([]), "an answer ends it");
    let unknown = json!({ "messaging_product": "whatsapp", "status": "read", "message_id": "x" });
    assert_eq!(answer(simulator.ask(&unknown)).await?.1["error"]["code"], 131_009);
    simulator.stop().await
}

#[tokio::test]
async fn what_a_phone_reads_its_business_is_told() -> Result<()> {
    let (receiver, url) = Receiver::start(&[]).await?;
    let simulator = Simulator::start(url).await?;
    simulator.set(json!({ "window": "off", "statuses": ["delivered"] })).await?;
    let first = simulator.send(CONTACT).await?.unwrap();
    let second = simulator.send(CONTACT).await?.unwrap();
    receiver.told(&second, 1).await;
    let (_, one) = simulator.post("/phones/5491100000001/read", json!({ "id": first })).await?;
    assert_eq!(one["read"], json!([first]));
    assert_eq!(receiver.told(&first, 2).await, ["delivered", "read"]);
    chasqui_testkit::wait_for(SOON, "the rest is read", async || {
        let (_, rest) = simulator.post("/phones/5491100000001/read", json!({})).await.ok()?;
        (rest["read"] == json!([second])).then_some(())
    })
    .await;
    assert_eq!(receiver.told(&second, 2).await, ["delivered", "read"]);
    simulator.stop().await
}

#[tokio::test]
async fn a_phone_writes_to_the_number_it_is_told() -> Result<()> {
    let (receiver, url) = Receiver::start(&[]).await?;
    let simulator = Simulator::start(url).await?;
    simulator.post(PHONE, json!({ "text": "a", "phone_number_id": "100000000000002" })).await?;
    let webhook = receiver.inbox().pop().unwrap();
    let value = &webhook["entry"][0]["changes"][0]["value"];
    assert_eq!(value["metadata"]["phone_number_id"], "100000000000002");
    assert!(value["messages"][0]["phone_number_id"].is_null());
    assert_eq!(simulator.post(PHONE, json!({ "text": "a", "phone_number_id": "x" })).await?.0, 400);
    simulator.stop().await
}
