//! How fast a client on Socket.IO may send, whatever it sends and whoever it is.

use serde_json::{Value, json};
use tokio::time::{Duration, Instant, timeout_at};

use crate::world::{Client, DEADLINE, Node, World, jwt};

const NUMBER: &str = "5491100000001";
/// Two of them at once, and then one a second.
const SLOW: &[(&str, &str)] = &[("widget_anonymous", "true"), ("frames_per_second_max", "1")];

async fn open(node: &Node, query: &str) -> Client {
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket{query}", node.address);
    let mut client = Client::open(&url).await;
    assert!(client.packet().await.starts_with('0'));
    client
}

/// A stranger who was let in, which is the first of its packets.
async fn stranger(node: &Node) -> Client {
    let mut client = open(node, "").await;
    client.say_text("40").await;
    assert!(client.packet().await.starts_with("40"));
    client
}

/// Says the same ten times a second until the server closes; the code.
async fn floods(client: Client, packet: &str) -> u16 {
    let (mut saying, mut hearing) = client.split();
    let flood = async {
        let mut beat = tokio::time::interval(Duration::from_millis(100));
        loop {
            beat.tick().await;
            if !saying.say(packet).await {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        code = hearing.close_code() => code,
        () = flood => unreachable!("it goes on until the server closes"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_on_too_fast_is_closed_whatever_it_says() {
    let world = World::start().await;
    let node = Node::start(&world, "one", SLOW).await;
    let begun = Instant::now();
    let codes = tokio::join!(
        async { floods(stranger(&node).await, r#"42["unknown"]"#).await },
        async { floods(stranger(&node).await, r#"42["join",{"token":"bad"}]"#).await },
        async { floods(stranger(&node).await, r#"427["user-message",{"text":"hola"}]"#).await },
        async { floods(stranger(&node).await, r"43[]").await },
        async { floods(open(&node, "").await, r#"40{"token":"bad"}"#).await },
        async { floods(open(&node, "").await, "40/nowhere,").await },
    );
    assert_eq!(codes, (4505, 4505, 4505, 4505, 4505, 4505));
    assert!(begun.elapsed() >= Duration::from_secs(10), "nobody is closed for a burst");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_too_fast_is_told_so_in_its_own_dialect() {
    let world = World::start().await;
    let node = Node::start(&world, "one", SLOW).await;
    let mut client = stranger(&node).await;
    client.say_text(r#"42["unknown"]"#).await;
    client.say_text(r#"427["user-message",{"text":"hola"}]"#).await;
    let answer: Value = serde_json::from_str(client.packet().await.strip_prefix("437").unwrap()).unwrap();
    assert_eq!((&answer[0]["success"], &answer[0]["code"]), (&json!(false), &json!("rate_limited")));
    client.say_text(&format!(r#"42["join",{{"token":"{}"}}]"#, jwt(&json!({ "id": "u1" })))).await;
    assert!(client.packet().await.contains("Demasiados mensajes"));
    let mut refused = open(&node, "").await;
    for _ in 0..2 {
        refused.say_text("40/nowhere,").await;
        assert!(refused.packet().await.contains("Invalid namespace"));
    }
    refused.say_text("40").await;
    let refusal = refused.packet().await;
    assert!(refusal.starts_with("44") && refusal.contains("rate_limited"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_use_up_nothing_of_a_tenant() {
    let world = World::start().await;
    let settings = [("widget_anonymous", "true"), ("tenant_frames_per_second_max", "1")];
    let node = Node::start(&world, "one", &settings).await;
    let mut stranger = stranger(&node).await;
    for index in 0..40 {
        stranger.say_text(r#"42["unknown"]"#).await;
        stranger.say_text(r#"42["join",{"token":"bad"}]"#).await;
        stranger.say_text(&format!(r#"42{index}["user-message",{{"text":"hola"}}]"#)).await;
        while !stranger.packet().await.starts_with("43") {}
    }
    let mut contact = open(&node, &format!("&userPhone={NUMBER}")).await;
    contact.say_text("40").await;
    for id in [1, 2] {
        contact.say_text(&format!(r#"42{id}["user-message",{{"text":"hola"}}]"#)).await;
        let deadline = Instant::now() + DEADLINE;
        let accepted = async { while !contact.packet().await.contains(r#""success":true"#) {} };
        timeout_at(deadline, accepted).await.expect("the tenant's rate is its own");
    }
}
