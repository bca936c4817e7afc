use anyhow::Result;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{
    receiver::Receiver,
    simulator::{SOON, Simulator},
};

#[tokio::test]
async fn a_message_of_a_phone_arrives_as_a_signed_webhook() -> Result<()> {
    let (receiver, url) = Receiver::start(&[]).await?;
    let simulator = Simulator::start(url).await?;
    let (status, answer) =
        simulator.post("/phones/5491100000001/messages", json!({ "text": "hola" })).await?;
    assert_eq!((status, &answer["webhook_status"]), (200, &json!(200)));
    let inbox = receiver.inbox();
    let value = &inbox[0]["entry"][0]["changes"][0]["value"];
    assert_eq!(value["messages"][0]["id"], answer["id"]);
    assert_eq!(value["messages"][0]["text"]["body"], "hola");
    assert_eq!(value["contacts"][0]["wa_id"], "5491100000001");
    simulator.stop().await
}

#[tokio::test]
async fn a_status_and_a_repeated_webhook_arrive() -> Result<()> {
    let (receiver, url) = Receiver::start(&[]).await?;
    let simulator = Simulator::start(url).await?;
    let path = "/phones/5491100000001/statuses?duplicate=true";
    let (_, answer) = simulator.post(path, json!({ "id": "wamid.A", "status": "read" })).await?;
    assert_eq!((&answer["id"], &answer["webhook_status"]), (&json!("wamid.A"), &json!(200)));
    let inbox = receiver.inbox();
    assert_eq!((inbox.len(), &inbox[0]), (2, &inbox[1]));
    assert_eq!(inbox[0]["entry"][0]["changes"][0]["value"]["statuses"][0]["status"], "read");
    simulator.stop().await
}

#[tokio::test]
async fn a_refused_webhook_is_sent_again_until_it_is_taken() -> Result<()> {
    let refusals = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::NO_CONTENT, StatusCode::BAD_GATEWAY];
    let (receiver, url) = Receiver::start(&refusals).await?;
    let simulator = Simulator::start(url).await?;
    let (_, answer) = simulator.post("/phones/5491100000001/messages", json!({ "type": "sticker" })).await?;
    assert_eq!(answer["webhook_status"], 503);
    chasqui_testkit::wait_for(SOON, "the fourth try is taken", async || {
        (receiver.inbox().len() == 4).then_some(())
    })
    .await;
    let inbox = receiver.inbox();
    assert!(inbox.iter().all(|webhook| *webhook == inbox[0]), "every try sends the same bytes");
    simulator.stop().await
}

#[tokio::test]
async fn a_receiver_that_is_away_is_told_to_the_caller() -> Result<()> {
    let simulator = Simulator::start("http://127.0.0.1:1/".to_owned()).await?;
    let (status, answer) =
        simulator.post("/phones/5491100000001/messages", json!({ "text": "hola" })).await?;
    assert_eq!((status, &answer["webhook_status"]), (200, &Value::Null));
    assert!(answer["error"].is_string());
    simulator.stop().await
}

#[tokio::test]
async fn what_no_phone_could_do_is_refused() -> Result<()> {
    let (receiver, url) = Receiver::start(&[]).await?;
    let simulator = Simulator::start(url).await?;
    assert_eq!(simulator.post("/phones/nobody/messages", json!({ "text": "hola" })).await?.0, 400);
    assert_eq!(simulator.post("/phones/5491100000001/messages", json!([])).await?.0, 400);
    assert!(receiver.inbox().is_empty());
    let response = simulator.client.get(format!("{}/", simulator.url)).send().await?;
    let description: Value = response.json().await?;
    assert!(description["offers"].is_object());
    simulator.stop().await
}
