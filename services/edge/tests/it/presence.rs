//! Who is online, as users see it on three nodes, one of which dies.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cable::Cable;
use crate::world::{Client, Node, World, jwt};

/// A user in dialect `chat`.
async fn connect(node: &Node, user: &str) -> Client {
    let token = jwt(&json!({ "id": user }));
    Client::open(&format!("ws://{}/?token={token}", node.address)).await
}

/// The next frame of one of these events.
async fn next(client: &mut Client, events: &[&str]) -> Value {
    loop {
        let frame = client.frame().await;
        if events.iter().any(|event| frame["event"] == *event) {
            return frame;
        }
    }
}

/// Reads until a list has exactly these users.
async fn sees(client: &mut Client, users: &[&str]) {
    while next(client, &["online_users"]).await["users"] != json!(users) {}
}

/// The next user that came or went.
async fn comes_or_goes(client: &mut Client) -> (Value, Value) {
    let frame = next(client, &["user_connected", "user_disconnected"]).await;
    (frame["event"].clone(), frame["user_id"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_13_14_every_node_shows_who_is_online_and_a_dead_nodes_users_are_gone_within_ten_seconds() {
    let world = World::start().await;
    let cable = Cable::to(world.nats.port()).await;
    let (one, three) = (Node::start(&world, "one", &[]).await, Node::start(&world, "three", &[]).await);
    let two = Node::start_behind(&cable, &world, "two").await;
    let (mut first, mut third) = (connect(&one, "u1").await, connect(&three, "u3").await);
    let (mut doomed, _tab) = (connect(&two, "u2").await, connect(&two, "u1").await);
    for client in [&mut first, &mut doomed, &mut third] {
        sees(client, &["u1", "u2", "u3"]).await;
    }
    // A member of staff is there, but no part of the list; nor is it of another tenant's.
    let _staff = one.staff("acme", None).await;
    let begin = Instant::now();
    cable.cut();
    for client in [&mut first, &mut third] {
        sees(client, &["u1", "u3"]).await;
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    // It was only cut off: when it is back, so are its users.
    cable.mend();
    sees(&mut third, &["u1", "u2", "u3"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_14_a_user_with_tabs_on_two_nodes_is_online_until_both_are_closed() {
    let world = World::start().await;
    let (one, two) = (Node::start(&world, "one", &[]).await, Node::start(&world, "two", &[]).await);
    let mut watcher = connect(&two, "watcher").await;
    sees(&mut watcher, &["watcher"]).await;
    let (first, second) = (connect(&one, "u1").await, connect(&two, "u1").await);
    let came = |user: &str| (json!("user_connected"), json!(user));
    assert_eq!(comes_or_goes(&mut watcher).await, came("u1"));
    drop(first);
    let other = connect(&one, "u2").await;
    assert_eq!(comes_or_goes(&mut watcher).await, came("u2"), "u1 has not gone");
    drop(second);
    assert_eq!(comes_or_goes(&mut watcher).await, (json!("user_disconnected"), json!("u1")));
    drop(other);
    sees(&mut watcher, &["watcher"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_tells_the_others_at_once_that_its_users_are_gone() {
    let world = World::start().await;
    let one = Node::start(&world, "one", &[]).await;
    let two = Node::start(&world, "two", &[("drain_ms", "100")]).await;
    let mut watcher = connect(&one, "watcher").await;
    let _client = connect(&two, "u1").await;
    sees(&mut watcher, &["u1", "watcher"]).await;
    let begin = Instant::now();
    two.stop().await;
    sees(&mut watcher, &["watcher"]).await;
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_11_who_comes_later_begins_with_the_whole_list() {
    let world = World::start().await;
    let (one, two) = (Node::start(&world, "one", &[]).await, Node::start(&world, "two", &[]).await);
    let mut watcher = connect(&two, "watcher").await;
    let _others = [connect(&one, "u1").await, connect(&one, "u2").await];
    sees(&mut watcher, &["u1", "u2", "watcher"]).await;
    let mut late = connect(&two, "u3").await;
    assert_eq!(
        next(&mut late, &["online_users"]).await["users"],
        json!(["u1", "u2", "u3", "watcher"]),
        "in the very first list"
    );
}
