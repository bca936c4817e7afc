use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    receiver::Receiver,
    simulator::{CONTACT, NUMBER, Simulator, TOKEN, answer, outcome, template, text},
};

#[tokio::test]
async fn a_message_is_taken_and_its_statuses_follow() -> Result<()> {
    let (receiver, url) = Receiver::start(&[]).await?;
    let simulator = Simulator::start(url).await?;
    simulator.post("/phones/5491100000001/messages", json!({ "text": "hola" })).await?;
    let mut body = text("+54 911 0000-0001");
    body["biz_opaque_callback_data"] = "ours".into();
    let (status, taken) = answer(simulator.ask(&body)).await?;
    assert_eq!(
        (status, &taken["contacts"][0]),
        (200, &json!({ "input": "+54 911 0000-0001", "wa_id": CONTACT }))
    );
    let id = outcome(&taken)?.unwrap();
    assert_eq!(receiver.told(&id, 3).await, ["sent", "delivered", "read"]);
    let statuses = receiver.statuses(&id);
    assert!(statuses.iter().all(|status| status["biz_opaque_callback_data"] == "ours"));
    assert!(statuses.iter().all(|status| status["recipient_id"] == CONTACT));
    assert_eq!(statuses[0]["pricing"]["category"], "service");
    assert!(statuses[0]["conversation"]["id"].is_string(), "v23.0 still has it");

    let taken = simulator.get(&format!("/graph/messages?to={CONTACT}&number={NUMBER}")).await?;
    assert_eq!((&taken[0]["id"], &taken[0]["status"]), (&json!(id), &json!("read")));
    assert_eq!(taken[0]["biz_opaque_callback_data"], "ours");
    assert_eq!(taken[0]["body"], body);
    assert!(taken[0]["time_ms"].is_number());
    assert_eq!(simulator.get("/graph/messages?to=5491100000002").await?, json!([]));
    assert_eq!(simulator.delete("/graph/messages").await?["removed"], 2, "the phone's and ours");
    assert_eq!(simulator.get("/graph/stats").await?["accepted"], 0);
    simulator.stop().await
}

#[tokio::test]
async fn statuses_come_unordered_twice_or_not_at_all_as_asked_for() -> Result<()> {
    let (receiver, url) = Receiver::start(&[]).await?;
    let simulator = Simulator::start(url).await?;
    simulator.set(json!({ "window": "off", "unordered": true, "statuses": ["sent", "delivered"] })).await?;
    let id = simulator.send("5491100000001").await?.unwrap();
    assert_eq!(receiver.told(&id, 2).await, ["delivered", "sent"]);
    simulator.set(json!({ "unordered": false, "duplicates": true, "statuses": ["sent"] })).await?;
    let id = simulator.send("5491100000002").await?.unwrap();
    assert_eq!(receiver.told(&id, 2).await, ["sent", "sent"]);
    simulator.set(json!({ "duplicates": false, "statuses": [] })).await?;
    let silent = simulator.send("5491100000003").await?.unwrap();
    simulator.set(json!({ "statuses": ["sent"] })).await?;
    let after = simulator.send("5491100000004").await?.unwrap();
    receiver.told(&after, 1).await;
    assert!(receiver.statuses(&silent).is_empty());
    simulator.stop().await
}

#[tokio::test]
async fn what_meta_refuses_is_refused_in_its_words() -> Result<()> {
    let simulator = Simulator::alone(json!({})).await?;
    let url = format!("{}/v23.0/{NUMBER}/messages", simulator.url);
    let wrong = answer(simulator.client.post(&url).bearer_auth("wrong").json(&text(CONTACT))).await?;
    assert_eq!((wrong.0, &wrong.1["error"]["code"]), (401, &json!(190)));
    let none = answer(simulator.client.post(&url).json(&text(CONTACT))).await?;
    assert_eq!((none.0, &none.1["error"]["type"]), (401, &json!("OAuthException")));

    let mut both = text(CONTACT);
    (both["type"], both["image"]) = ("image".into(), json!({ "id": "7", "link": "https://a" }));
    let mut unknown = text(CONTACT);
    (unknown["type"], unknown["image"]) = ("image".into(), json!({ "id": "7000000000000001" }));
    for (body, code) in [
        (json!({ "to": CONTACT }), 131_008),
        (json!({ "messaging_product": "whatsapp", "text": { "body": "x" } }), 100),
        (text("nobody"), 131_009),
        (both, 100),
        (unknown, 100),
    ] {
        let (status, refused) = answer(simulator.ask(&body)).await?;
        assert_eq!((status, &refused["error"]["code"]), (400, &json!(code)), "{body}");
        assert!(refused["error"]["message"].as_str().unwrap().starts_with(&format!("(#{code})")));
        assert!(
            refused["error"]["error_data"]["details"].is_string()
                && refused["error"]["fbtrace_id"].is_string()
        );
    }
    let garbage = simulator.client.post(&url).bearer_auth(TOKEN).body("{");
    assert_eq!(answer(garbage).await?.1["error"]["code"], 100);
    let unversioned =
        simulator.client.post(format!("{}/23/{NUMBER}/messages", simulator.url)).bearer_auth(TOKEN);
    assert_eq!(answer(unversioned.json(&text(CONTACT))).await?.1["error"]["code"], 2_500);
    let stats = simulator.get("/graph/stats").await?;
    assert_eq!((&stats["accepted"], &stats["refused"]["131009"]), (&json!(0), &json!(1)));
    simulator.stop().await
}

#[tokio::test]
async fn a_number_says_who_it_is() -> Result<()> {
    let simulator = Simulator::alone(json!({})).await?;
    let show = async |id: &str| {
        answer(
            simulator
                .client
                .get(format!("{}/v23.0/{id}?fields=verified_name", simulator.url))
                .bearer_auth(TOKEN),
        )
        .await
    };
    let (status, number) = show(NUMBER).await?;
    assert_eq!(
        (status, &number["id"], &number["throughput"]["level"]),
        (200, &json!(NUMBER), &json!("STANDARD"))
    );
    let (status, missing) = show("7000000000000001").await?;
    assert_eq!((status, &missing["error"]["error_subcode"]), (400, &json!(33)));
    simulator.stop().await
}

#[tokio::test]
async fn outside_24_hours_only_templates_are_taken() -> Result<()> {
    let (receiver, url) = Receiver::start(&[]).await?;
    let simulator = Simulator::start(url).await?;
    assert_eq!(simulator.send(CONTACT).await?, Err(131_047));
    let sent = answer(simulator.ask(&template(CONTACT))).await?.1;
    assert_eq!(receiver.told(&outcome(&sent)?.unwrap(), 3).await.len(), 3);
    simulator.set(json!({ "window": "fail", "pair_pause_ms": 1 })).await?;
    let failed = simulator.send("5491100000002").await?.unwrap();
    assert_eq!(receiver.told(&failed, 1).await, ["failed"]);
    assert_eq!(receiver.statuses(&failed)[0]["errors"][0]["code"], 131_047);
    simulator.set(json!({ "window": "refuse" })).await?;
    simulator.post("/phones/5491100000001/messages", json!({ "text": "hola" })).await?;
    assert!(simulator.send(CONTACT).await?.is_ok(), "the contact wrote");
    let other = answer(simulator.ask_as("100000000000002", &text(CONTACT))).await?.1;
    assert_eq!(outcome(&other)?, Err(131_047), "it wrote to another number");
    simulator
        .post("/phones/5491100000001/messages?phone_number_id=100000000000002", json!({ "text": "x" }))
        .await?;
    let other = answer(simulator.ask_as("100000000000002", &text(CONTACT))).await?.1;
    assert!(outcome(&other)?.is_ok());
    let stats: Value = simulator.get("/graph/stats").await?;
    assert_eq!((&stats["window_violations"], &stats["refused"]["131047"]), (&json!(3), &json!(2)));
    simulator.stop().await
}
