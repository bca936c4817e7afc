use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    receiver::Receiver,
    simulator::{CONTACT, SOON, Simulator, answer, text},
};

async fn befall(simulator: &Simulator, then: Value) -> Result<()> {
    let (status, added) =
        simulator.post("/graph/faults", json!({ "match": { "to": CONTACT }, "then": then })).await?;
    anyhow::ensure!(status == 200, "{added}");
    Ok(())
}

#[tokio::test]
async fn a_code_is_answered_as_often_as_asked_for() -> Result<()> {
    let simulator = Simulator::alone(json!({})).await?;
    befall(&simulator, json!({ "code": 131_049, "details": "enough", "times": 2 })).await?;
    assert!(simulator.send("5491100000002").await?.is_ok());
    let (status, refused) = answer(simulator.ask(&text(CONTACT))).await?;
    assert_eq!((status, &refused["error"]["error_data"]["details"]), (400, &json!("enough")));
    assert_eq!(simulator.send(CONTACT).await?, Err(131_049));
    assert!(simulator.send(CONTACT).await?.is_ok());
    let faults = simulator.get("/graph/faults").await?;
    assert_eq!((&faults["faults"][0]["applied"], &faults["faults"][0]["seen"]), (&json!(2), &json!(2)));

    befall(&simulator, json!({ "code": 130_429, "http": 503, "retry_after": 7 })).await?;
    let response = simulator.ask(&text(CONTACT)).send().await?;
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str()?), (503, "7"));
    assert_eq!(simulator.delete("/graph/faults").await?["removed"], 2);
    let (status, wrong) = simulator.post("/graph/faults", json!({ "then": "explode" })).await?;
    assert_eq!(status, 400);
    assert!(wrong["error"].as_str().unwrap().starts_with("then:"), "{wrong}");
    simulator.stop().await
}

/// How a request without an answer ends, and what was recorded of it.
async fn lost(then: Value) -> Result<(reqwest::Error, u64)> {
    let simulator = Simulator::alone(json!({})).await?;
    befall(&simulator, then).await?;
    let error = simulator.ask(&text(CONTACT)).timeout(Duration::from_millis(500)).send().await;
    let error = error.expect_err("an answer was to be lost");
    let accepted = simulator.get("/graph/stats").await?["accepted"].as_u64().unwrap_or_default();
    assert!(simulator.send(CONTACT).await?.is_ok(), "once");
    simulator.stop().await?;
    Ok((error, accepted))
}

#[tokio::test]
async fn an_answer_is_lost_after_or_before_the_message_was_taken() -> Result<()> {
    let (error, accepted) = lost(json!("timeout_after_write")).await?;
    assert!(error.is_timeout() && accepted == 1, "{error:?} {accepted}");
    let (error, accepted) = lost(json!("timeout_before")).await?;
    assert!(error.is_timeout() && accepted == 0, "{error:?} {accepted}");
    let (error, accepted) = lost(json!("reset")).await?;
    assert!(!error.is_timeout() && accepted == 0, "{error:?} {accepted}");
    Ok(())
}

#[tokio::test]
async fn a_proxy_answers_html_and_a_slow_answer_comes_late() -> Result<()> {
    let simulator = Simulator::alone(json!({})).await?;
    befall(&simulator, json!("http_500_html")).await?;
    let page = simulator.ask(&text(CONTACT)).send().await?;
    assert_eq!((page.status().as_u16(), page.headers()["content-type"].to_str()?), (500, "text/html"));
    befall(&simulator, json!({ "slow": 300 })).await?;
    let began = std::time::Instant::now();
    assert!(simulator.send(CONTACT).await?.is_ok());
    assert!(began.elapsed() >= Duration::from_millis(300));
    simulator.stop().await
}

#[tokio::test]
async fn a_message_that_was_taken_fails_later() -> Result<()> {
    let (receiver, url) = Receiver::start(&[]).await?;
    let simulator = Simulator::start(url).await?;
    simulator.set(json!({ "window": "off" })).await?;
    befall(&simulator, json!({ "async_failed": 131_026 })).await?;
    let id = simulator.send(CONTACT).await?.unwrap();
    assert_eq!(receiver.told(&id, 1).await, ["failed"]);
    assert_eq!(receiver.statuses(&id)[0]["errors"][0]["code"], 131_026);
    let shown = chasqui_testkit::wait_for(SOON, "it is recorded", async || {
        let shown = simulator.get("/graph/messages").await.ok()?;
        (shown[0]["status"] == "failed").then_some(shown)
    })
    .await;
    assert_eq!(shown[0]["id"], id);
    simulator.stop().await
}
