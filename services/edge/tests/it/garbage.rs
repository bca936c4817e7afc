//! Clients that send what nobody should: the node answers in their dialect and goes on.

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::world::{Client, Node, World, jwt};

/// How many frames each dialect is sent.
const FRAMES: usize = 100_000;
/// How many are sent before their answers are read.
const BATCH: usize = 500;
/// No limit of the rate is meant here.
const SETTINGS: [(&str, &str); 2] =
    [("frames_per_second_max", "10000000"), ("tenant_frames_per_second_max", "10000000")];

/// A frame that is right, with some of its characters changed, lost or doubled; or one that never was.
fn mutated(random: &mut StdRng, whole: &[&str]) -> String {
    let mut text: Vec<char> = whole[random.random_range(0..whole.len())].chars().collect();
    if random.random_ratio(1, 5) {
        text = (0..random.random_range(0..60)).map(|_| random.random::<char>()).collect();
    }
    for _ in 0..random.random_range(0..4) {
        if text.is_empty() {
            break;
        }
        let at = random.random_range(0..text.len());
        match random.random_range(0..4) {
            0 => text[at] = random.random(),
            1 => drop(text.remove(at)),
            2 => text.truncate(at),
            _ => text.insert(at, ['"', '{', '[', '\\', '9'][random.random_range(0..5)]),
        }
    }
    text.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_bad_frames_are_each_answered_in_dialect_crm() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &SETTINGS).await;
    let mut client = node.staff("default", None).await;
    client.frame().await;
    let mut random = StdRng::seed_from_u64(7);
    let whole = [
        r#"{"type":"connect","data":{"token":"t","since":{"epoch":"e","seq":5}}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"subscribe","data":{"types":["new_message","stats_updated"]}}"#,
        r#"{"type":"refresh_token","data":{"token":"a.b.c"}}"#,
        r#"{"type":"send_message","data":{"conversation_id":7,"text":"","client_id":"c"}}"#,
        r#"{"type":"typing","data":{"conversation_id":-7,"typing":true}}"#,
    ];
    for _ in 0..FRAMES / BATCH {
        for _ in 0..BATCH {
            client.say_text(&mutated(&mut random, &whole)).await;
        }
        for _ in 0..BATCH {
            let answer = client.frame().await;
            let kind = answer["type"].as_str().unwrap();
            assert!(["error", "pong", "subscribed"].contains(&kind), "{answer}");
            assert!(kind != "error" || !answer["data"]["message"].as_str().unwrap().is_empty(), "{answer}");
        }
    }
    client.say(&json!({ "type": "ping" })).await;
    assert_eq!(client.frame().await["type"], "pong", "one answer a frame");
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_32_a_hundred_thousand_bad_frames_are_answered_in_dialect_chat() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &SETTINGS).await;
    let token = jwt(&json!({ "id": "u1" }));
    let url = format!("ws://{}/", node.address);
    let (mut client, _) = Client::open_with_protocols(&url, &format!("echo-protocol, {token}")).await;
    let mut random = StdRng::seed_from_u64(8);
    let whole = [
        r#"{"event":"chat_message","chat_id":"","sender_id":"u1","sender_type":"USER","message":"m"}"#,
        r#"{"event":"agent_chat_message","chat_id":5,"message":""}"#,
        r#"{"event":"dance","source":"nobody"}"#,
        r#"{"event":"refresh_token","token":"a.b.c"}"#,
    ];
    let refused = |frame: &Value| frame["error"] == "Error al procesar el mensaje";
    for _ in 0..FRAMES / BATCH {
        let mut garbage = 0;
        for _ in 0..BATCH {
            let text = mutated(&mut random, &whole);
            garbage += usize::from(serde_json::from_str::<Value>(&text).is_err());
            client.say_text(&text).await;
        }
        while garbage > 0 {
            garbage -= usize::from(refused(&client.frame().await));
        }
    }
}
