//! What is wrong, what is repeated, and what the owner of the number does.

use anyhow::Result;
use chasqui_kit::{Bus, Code, Coded, bus::NatsConfig, serve::Responder};
use chasqui_proto::{
    MessageId, service,
    v1::{MessageRead, ReadMessage},
};
use chasqui_testkit::wait_for;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::door::{Door, text};
use crate::world::{API_KEY, NUMBER, SOON, answer};

#[tokio::test]
async fn what_is_wrong_is_told_in_whatsapps_words_and_not_stored() -> Result<()> {
    let door = Door::start().await?;
    let with = |key: &str, value: Value| {
        let mut body = text("hola");
        body[key] = value;
        body
    };
    for (body, code, details) in [
        (with("messaging_product", Value::Null), 131_008, "messaging_product is needed"),
        (with("messaging_product", json!("sms")), 131_009, "messaging_product must be whatsapp"),
        (
            with("recipient_type", json!("group")),
            131_009,
            "recipient_type must be individual: groups cannot be written to",
        ),
        (with("text", json!({ "body": "" })), 131_008, "text.body is needed"),
        (
            with("text", json!({ "body": "ñ".repeat(4_097) })),
            131_009,
            "text.body must have 1 to 4096 characters",
        ),
        (with("text", json!([])), 100, "text must be an object"),
        (with("type", json!("image")), 131_008, "image is needed"),
        (with("status", json!("typing")), 131_009, "status must be read"),
        (with("status", json!("read")), 131_008, "message_id is needed"),
        (json!([]), 100, "the body is not a JSON object"),
    ] {
        let refusal = Door::refusal(door.message(&body)).await?;
        assert_eq!(refusal, (400, code, None, details.to_owned()), "{body}");
    }
    let poll = Door::refusal(door.message(&with("type", json!("poll")))).await?;
    assert_eq!((poll.0, poll.1), (400, 131_051));
    let refusal = Door::refusal(door.message(&text("hola")).body("{")).await?;
    assert_eq!((refusal.0, refusal.1), (400, 100));
    let long = Door::refusal(door.message(&text(&"x".repeat(300 * 1024)))).await?;
    assert_eq!(long, (400, 100, None, "the body must not be larger than 262144 bytes".to_owned()));
    for key in [String::new(), "k".repeat(256)] {
        let refusal = Door::refusal(door.message(&text("hola")).header("Idempotency-Key", key)).await?;
        assert_eq!((refusal.0, refusal.1), (400, 100));
    }
    assert!(door.world.stored().await?.is_empty());
    door.world.stop().await
}

#[tokio::test]
async fn a_call_repeated_under_its_key_is_one_message() -> Result<()> {
    let door = Door::start().await?;
    let send = async |key: &str| -> Result<Value> {
        let request = door.message(&text("hola")).header("Idempotency-Key", key);
        Ok(answer(request.send().await?.error_for_status()?).await?.1)
    };
    let (one, again, two) = (send("one").await?, send("one").await?, send("two").await?);
    assert_eq!(one, again);
    assert_ne!(one, two);
    let another = door.message(&text("adiós")).header("Idempotency-Key", "one");
    let details = "Idempotency-Key: it was used for another message";
    assert_eq!(Door::refusal(another).await?, (400, 100, None, details.to_owned()));
    assert_eq!(door.world.stored().await?.len(), 2);
    door.world.stop().await
}

#[tokio::test]
async fn nothing_is_accepted_that_is_not_stored() -> Result<()> {
    let door = Door::start().await?;
    door.world.nats.kill();
    let response = door.message(&text("hola")).send().await?;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let read = json!({ "messaging_product": "whatsapp", "status": "read", "message_id": "wamid.A" });
    for body in [text("hola"), read] {
        let (status, code, ..) = Door::refusal(door.message(&body)).await?;
        assert_eq!((status, code), (503, 2));
    }
    door.world.nats.restart().await?;
    wait_for(SOON, "messages are taken again", async || {
        let response = door.message(&text("hola")).send().await.ok()?;
        response.status().is_success().then_some(())
    })
    .await;
    assert_eq!(door.world.stored().await?.len(), 1);
    door.world.stop().await
}

/// What a stand-in for the owner of numbers answers.
#[derive(Debug, thiserror::Error)]
#[error("the provider refused")]
struct Refused;

impl Coded for Refused {
    fn code(&self) -> Code {
        Code::InvalidInput
    }
}

#[tokio::test]
async fn a_message_is_marked_read_by_the_owner_of_the_number() -> Result<()> {
    let door = Door::start().await?;
    let read = |id: &str| json!({ "messaging_product": "whatsapp", "status": "read", "message_id": id });
    let nobody = Door::refusal(door.message(&read("wamid.A"))).await?;
    assert_eq!((nobody.0, nobody.1), (503, 2), "nobody owns the number");
    let config = NatsConfig { url: door.world.nats.url(), ..NatsConfig::default() };
    let (bus, stop) = (Bus::connect("whatsapp", &config).await?, CancellationToken::new());
    let responder = Responder::start(&bus, service::WHATSAPP, "a stand-in", stop.clone()).await?;
    let (asked, mut questions) = mpsc::unbounded_channel();
    let take = move |question: ReadMessage, _| {
        let is_known = question.provider_message_id != "wamid.unknown";
        asked.send(question).expect("the test is there");
        async move { is_known.then(MessageRead::default).ok_or(Refused) }
    };
    responder.endpoint(service::WHATSAPP_READ, take).await?;
    bus.barrier().await?;
    let success = (200, json!({ "success": true }));
    assert_eq!(answer(door.message(&read("wamid.A")).send().await?).await?, success);
    let mut typing = read("wamid.B");
    typing["typing_indicator"] = json!({ "type": "text" });
    assert_eq!(answer(door.message(&typing).send().await?).await?, success);
    let question = |id: &str, typing| ReadMessage {
        tenant: "default".into(),
        session: NUMBER.into(),
        provider_message_id: id.into(),
        typing,
    };
    assert_eq!(questions.recv().await, Some(question("wamid.A", false)));
    assert_eq!(questions.recv().await, Some(question("wamid.B", true)));
    let refusal = Door::refusal(door.message(&read("wamid.unknown"))).await?;
    assert_eq!(refusal, (400, 100, None, "the provider refused".to_owned()));
    typing["typing_indicator"] = json!({ "type": "voice" });
    let refusal = Door::refusal(door.message(&typing)).await?;
    assert_eq!(refusal, (400, 131_009, None, "typing_indicator.type must be text".to_owned()));
    let ours = Door::refusal(door.message(&read(&MessageId::now().to_wamid()))).await?;
    assert_eq!((ours.0, ours.1), (400, 131_009));
    assert!(door.world.stored().await?.is_empty());
    stop.cancel();
    responder.stopped().await;
    door.world.stop().await
}

#[tokio::test]
async fn any_version_is_answered_and_other_paths_are_as_unknown_as_before() -> Result<()> {
    let door = Door::start().await?;
    for version in ["v1.0", "v21.0", "v99.12"] {
        let path = format!("/{version}/{NUMBER}/messages");
        assert_eq!(door.post(&path, API_KEY).json(&text("hola")).send().await?.status(), 200);
    }
    for path in ["/videos/7", "/v21/7", "/v21.0.1/7", "/vx.y/7/messages"] {
        for request in [door.world.get(path), door.world.post(path)] {
            let (status, body) = answer(request.send().await?).await?;
            assert_eq!(status, 404, "{path}");
            assert!(body["error"].as_str().is_some_and(|error| error.ends_with(path)), "{body}");
        }
    }
    assert_eq!(door.world.get("/v21.0").send().await?.status(), 404);
    let get = door.world.get(&format!("/v21.0/{NUMBER}/messages")).bearer_auth(API_KEY);
    let (status, code, subcode, _) = Door::refusal(get).await?;
    assert_eq!((status, code, subcode), (400, 100, Some(33)));
    door.world.stop().await
}
