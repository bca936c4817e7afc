//! Presence over a real broker: three nodes, one of which dies.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod world;

use std::time::{Duration, Instant};

use chasqui_presence::{Change, Watcher};
use chasqui_proto::{
    subject::{self, NodeToken},
    v1,
};
use chasqui_testkit::wait_for;
use prost::Message;

use crate::world::{DEADLINE, Node, World, tenant};

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_agree_on_who_is_there_and_a_killed_nodes_people_are_gone_within_ten_seconds() {
    let world = World::start().await;
    let [one, two, three] = world.three().await;
    one.enter("u1");
    two.enter("u2");
    two.enter("u3");
    three.enter("u1");
    for node in [&one, &two, &three] {
        node.sees(&["u1", "u2", "u3"]).await;
    }
    let killed = Instant::now();
    drop(two);
    for node in [&one, &three] {
        node.sees(&["u1"]).await;
    }
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    assert!(killed.elapsed() > Duration::from_secs(5), "a node that said nothing is not called dead at once");
    let gone = |node: &Node| node.told().iter().filter(|(_, change)| *change == Change::Offline).count();
    assert_eq!((gone(&one), gone(&three)), (2, 2), "u1 was never away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_in_order_takes_its_people_with_it_at_once() {
    let world = World::start().await;
    let [one, two, _three] = world.three().await;
    one.enter("u1");
    two.enter("u2");
    one.sees(&["u1", "u2"]).await;
    let begin = Instant::now();
    two.stops().await;
    one.sees(&["u1"]).await;
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_14_a_user_with_tabs_on_two_nodes_is_there_until_the_last_is_closed() {
    let world = World::start().await;
    let [one, two, three] = world.three().await;
    // A node watches a tenant only while it has people there itself.
    three.enter("watcher");
    let (first, second) = (one.enter("u1"), two.enter("u1"));
    three.sees_connections("u1", 2).await;
    one.leave("u1", first);
    three.sees_connections("u1", 1).await;
    two.leave("u1", second);
    three.sees(&["watcher"]).await;
    let of_user = three.told().into_iter().filter(|(user, _)| user == "u1").map(|(_, change)| change);
    let expected = [Change::Online, Change::Connections, Change::Connections, Change::Offline];
    assert!(of_user.eq(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_while_the_broker_was_away_is_known_when_it_is_back_and_nobody_was_called_dead() {
    let world = World::start().await;
    let [one, two, three] = world.three().await;
    let leaving = two.enter("leaving");
    for (node, user) in [(&one, "u1"), (&two, "u2"), (&three, "u3")] {
        node.enter(user);
    }
    for node in [&one, &two, &three] {
        node.sees(&["leaving", "u1", "u2", "u3"]).await;
    }
    world.nats.kill();
    wait_for(DEADLINE, "the loss is noticed", async || (!one.is_connected()).then_some(())).await;
    two.leave("leaving", leaving);
    for index in 0..50 {
        three.enter(&format!("late-{index:02}"));
    }
    world.nats.restart().await.unwrap();
    let mut expected: Vec<String> = (0..50).map(|index| format!("late-{index:02}")).collect();
    expected.extend(["u1", "u2", "u3"].map(str::to_owned));
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    for node in [&one, &two, &three] {
        node.sees(&expected).await;
    }
    let offline: Vec<_> = one.told().into_iter().filter(|(_, change)| *change == Change::Offline).collect();
    assert_eq!(offline, [("leaving".to_owned(), Change::Offline)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_late_learns_of_thousands_by_pages() {
    let world = World::start().await;
    let [one, two, _three] = world.three().await;
    let users: Vec<String> = (0..3_000).map(|index| format!("u{index:04}")).collect();
    for user in &users {
        one.enter(user);
    }
    let begin = Instant::now();
    two.enter("u0000");
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    two.sees(&users).await;
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(two.people(), 1);
    // A page stays below what the broker carries, and the people need more than one.
    let subject = subject::edge_presence(&NodeToken::new("one"));
    let question = v1::ListPresence { tenant: tenant().to_string(), after: String::new() };
    let answer = world.bus.client().request(subject.as_str().to_owned(), question.encode_to_vec().into());
    let answer = answer.await.unwrap().payload;
    assert!(answer.len() <= 256 * 1024, "{}", answer.len());
    assert!(!v1::PresencePage::decode(answer).unwrap().next.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_of_all_tenants_sees_who_was_there_before_it_and_who_leaves() {
    let world = World::start().await;
    let [one, two, _three] = world.three().await;
    let connection = one.enter("u1");
    two.enter("u2");
    let watcher = Watcher::of_all(world.bus.clone(), std::sync::Arc::new(())).await.unwrap();
    let sees = async |expected: &[&str]| {
        wait_for(DEADLINE, "the watcher sees them", async || {
            let online = watcher.online(&tenant());
            online.iter().map(|(_, who)| &*who.user_id).eq(expected.iter().copied()).then_some(())
        })
        .await;
    };
    sees(&["u1", "u2"]).await;
    one.leave("u1", connection);
    sees(&["u2"]).await;
    two.stops().await;
    sees(&[]).await;
    watcher.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_bus_and_bad_questions_change_nothing() {
    let world = World::start().await;
    let [one, two, _three] = world.three().await;
    one.enter("u1");
    two.enter("u2");
    one.sees(&["u1", "u2"]).await;
    let person = "web_u1".parse().unwrap();
    let changed = subject::presence_changed(&tenant(), &person);
    let client = world.bus.client();
    for payload in [&b"\xff\xff\xff"[..], b"", b"\x0a\x01."] {
        client.publish(changed.as_str().to_owned(), payload.to_vec().into()).await.unwrap();
        let asked = subject::edge_presence(&NodeToken::new("one"));
        let answer = client.request(asked.as_str().to_owned(), payload.to_vec().into()).await.unwrap();
        assert_eq!(v1::PresencePage::decode(answer.payload).unwrap().incarnation, 0);
    }
    // What is said after the garbage is heard.
    two.enter("u3");
    one.sees(&["u1", "u2", "u3"]).await;
}
