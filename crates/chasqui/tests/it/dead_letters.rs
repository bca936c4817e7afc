use async_nats::HeaderMap;
use chasqui_kit::Bus;
use chasqui_proto::{header, stream, subject};
use chasqui_testkit::NatsServer;
use serde_json::Value;

use super::{connect, output};

const ORIGINAL: &str = "messages.in.default.5491100000001";

async fn bury(bus: &Bus, id: &str, payload: &'static [u8]) {
    let mut headers = HeaderMap::new();
    headers.insert(header::DEAD_REASON, "invalid_input");
    headers.insert(header::DEAD_ATTEMPTS, "3");
    headers.insert(header::DEAD_SUBJECT, ORIGINAL);
    headers.insert(header::DEAD_STREAM, stream::MESSAGES.name);
    headers.insert(header::DEAD_SEQUENCE, "7");
    headers.insert(header::DEAD_FIRST_ERROR, "first");
    headers.insert(header::DEAD_LAST_ERROR, "it is no message");
    headers.insert(header::TYPE, "chasqui.v1.Message");
    let letter = subject::dead_letter("persistence", ORIGINAL);
    bus.publish_bytes(letter.as_str(), payload.into(), headers, id)
        .await
        .expect("the stream takes the letter");
}

async fn dlq(nats: &NatsServer, arguments: &[&str]) -> (i32, String, String) {
    output(&[&["dlq"], arguments].concat(), &[("NATS_URL", &nats.url())]).await
}

#[tokio::test]
async fn a_dead_letter_says_what_happened_and_is_replayed_as_it_was() {
    let nats = NatsServer::start().await.unwrap();
    let bus = connect(&nats).await;
    bury(&bus, "a", &[0xff, 0x01]).await;
    bury(&bus, "b", b"other").await;

    let (code, text, errors) = dlq(&nats, &["list"]).await;
    assert_eq!((code, text.lines().count()), (0, 2), "{text}{errors}");
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["seq"], 1);
    assert_eq!((&first["reason"], &first["attempts"]), (&"invalid_input".into(), &3.into()));
    assert_eq!(first["last_error"], "it is no message");

    let (_, text, _) = dlq(&nats, &["show", "1"]).await;
    let whole: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(whole["message"]["payload"]["base64"], "/wE=");
    assert_eq!(whole["stream_seq"], 7);

    let (code, text, errors) = dlq(&nats, &["replay", "1"]).await;
    assert_eq!(code, 0, "{errors}");
    assert!(text.contains(ORIGINAL), "{text}");
    let messages = bus.jetstream().get_stream(stream::MESSAGES.name).await.unwrap();
    let again = messages.get_last_raw_message_by_subject(ORIGINAL).await.unwrap();
    assert_eq!(again.payload.as_ref(), [0xff, 0x01]);
    assert_eq!(again.headers.get(header::TYPE).unwrap().as_str(), "chasqui.v1.Message");
    assert!(again.headers.get("Nats-Msg-Id").unwrap().as_str().starts_with("replay:1:"));
    assert!(again.headers.get(header::DEAD_REASON).is_none());

    let (_, text, _) = dlq(&nats, &["list"]).await;
    assert_eq!(text.lines().count(), 1, "the replayed letter is gone: {text}");
}

#[tokio::test]
async fn all_letters_can_be_replayed_and_one_thrown_away() {
    let nats = NatsServer::start().await.unwrap();
    let bus = connect(&nats).await;
    for id in ["a", "b", "c"] {
        bury(&bus, id, b"x").await;
    }
    assert_eq!(dlq(&nats, &["purge", "2"]).await.0, 0);
    let (code, _, errors) = dlq(&nats, &["show", "2"]).await;
    assert_eq!((code, errors.trim()), (1, "there is no letter 2"));
    let (code, text, errors) = dlq(&nats, &["replay", "--all"]).await;
    assert_eq!((code, text.lines().count()), (0, 2), "{text}{errors}");
    assert_eq!(dlq(&nats, &["list"]).await.1, "");
}
