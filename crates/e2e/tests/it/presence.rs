//! Who is there, across three edges, and what becomes of it when one of them dies.

use std::time::{Duration, Instant, UNIX_EPOCH};

use chasqui_testkit::wait_for;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::world::{Cluster, DEADLINE, Dialect, Native, name_of};

/// A killed node's people are gone for everybody else after this.
const GONE_AFTER: Duration = Duration::from_secs(10);
const TENANT: &str = "presencia";

async fn chat(cluster: &Cluster, edge: usize, user: &str) -> Native {
    Native::open(cluster, edge, Dialect::Chat, &Cluster::token_of(user, TENANT)).await
}

/// Waits until the newest list it was shown is this one.
async fn lists(front_end: &Native, users: &[&str]) {
    wait_for(DEADLINE, &format!("{users:?} are online"), async || {
        let newest = front_end.frames("online_users").pop()?;
        (newest["users"] == json!(users)).then_some(())
    })
    .await;
}

fn is_told(front_end: &Native, event: &str, user: &str) -> bool {
    front_end.frames(event).iter().any(|frame| frame["user_id"] == user)
}

/// When the directory says that a user came or went last, unix milliseconds.
async fn last_seen(cluster: &Cluster, user: &str) -> u128 {
    let shown = cluster.tool(&["admin", "--tenant", TENANT, "--json", "user", "get", user]).await;
    let entry: Value = serde_json::from_str(&shown).unwrap();
    entry["last_seen_at_ms"].as_u64().unwrap_or_else(|| panic!("no moment in {entry}")).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_13_ben_14_the_users_of_a_killed_node_are_gone_in_10_s_and_whose_other_tab_lives_is_not() {
    let cluster = Cluster::breakable("presence").await;
    let (alone, tab) = (chat(&cluster, 0, "user-a").await, chat(&cluster, 0, "user-b").await);
    let other_tab = chat(&cluster, 1, "user-b").await;
    let (third, fourth) = (chat(&cluster, 1, "user-c").await, chat(&cluster, 2, "user-d").await);
    let everybody = ["user-a", "user-b", "user-c", "user-d"];
    for front_end in [&alone, &tab, &other_tab, &third, &fourth] {
        lists(front_end, &everybody).await;
    }
    for front_end in [&alone, &tab] {
        front_end.is_the_last_time();
    }
    cluster.edges[0].kill().await;
    let (killed, killed_at) = (Instant::now(), UNIX_EPOCH.elapsed().unwrap().as_millis());
    for front_end in [&other_tab, &third, &fourth] {
        lists(front_end, &["user-b", "user-c", "user-d"]).await;
        assert!(is_told(front_end, "user_disconnected", "user-a"));
    }
    let gone_after = killed.elapsed();
    println!("the users of a killed node were gone after {gone_after:?}");
    assert!(gone_after <= GONE_AFTER, "the users of a killed node were there for {gone_after:?}");

    // Stored: when each was seen to come or go last.
    wait_for(DEADLINE, "it is stored that user-a is gone", async || {
        (last_seen(&cluster, "user-a").await > killed_at).then_some(())
    })
    .await;
    assert!(last_seen(&cluster, "user-b").await < killed_at, "user-b never went");
    for front_end in [&third, &fourth] {
        assert!(!is_told(front_end, "user_disconnected", "user-b"), "a tab of user-b's is open");
    }

    // The last tab closes; the other comes back, to the node that was dead.
    drop(other_tab);
    lists(&fourth, &["user-c", "user-d"]).await;
    cluster.edges[0].start().await;
    cluster.edges[0].is_ready(true).await;
    let back = chat(&cluster, 0, "user-a").await;
    for front_end in [&back, &third, &fourth] {
        lists(front_end, &["user-a", "user-c", "user-d"]).await;
    }
}

/// Six front ends of one user, in both dialects, two at each edge.
async fn six(cluster: &Cluster, user: &str) -> Vec<Native> {
    let token = Cluster::token_of_staff(user, TENANT);
    let mut front_ends = Vec::new();
    for number in 0..6 {
        let dialect = if number % 2 == 0 { Dialect::Chat } else { Dialect::Crm };
        // The sixth may be refused: nobody waits for it to be let in.
        front_ends.push(match number {
            5 => Native::begin(cluster, 2, dialect, &token),
            _ => Native::open(cluster, number % 3, dialect, &token).await,
        });
    }
    front_ends
}

/// Each of these is served: it is answered.
async fn are_served<'a>(front_ends: impl IntoIterator<Item = &'a Native>) {
    for front_end in front_ends {
        front_end.says_text("{".to_owned());
        let is_answer = |frame: &Value| {
            let is_error = frame.get("error").is_some() || name_of(frame) == "error";
            is_error.then_some(())
        };
        front_end.sees("an open connection is answered", is_answer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_30_of_six_connections_over_three_nodes_the_oldest_is_closed_with_4504() {
    let cluster = Cluster::shared().await;
    let front_ends = six(&cluster, "con-seis-pestanas").await;
    assert_eq!(front_ends[0].ends().await, 4504);
    are_served(&front_ends[1..]).await;
    for front_end in &front_ends[1..] {
        assert_eq!(front_end.closes(), [0u16; 0], "one goes, and no other");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_30_with_refuse_new_the_sixth_is_told_rate_limited_and_closed_with_4504() {
    let refusing = [("CHASQUI__EDGE__USER_CONNECTIONS_POLICY", "refuse_new")];
    let cluster = Cluster::breakable_with("refuse-new", &refusing).await;
    let front_ends = six(&cluster, "con-seis-pestanas").await;
    assert_eq!(front_ends[5].ends().await, 4504);
    let told = front_ends[5].frames("error").pop().expect("it is told why");
    assert_eq!(told["data"]["code"], "rate_limited");
    are_served(&front_ends[..5]).await;

    // A place that is given up is another one's.
    let mut front_ends = front_ends;
    front_ends.truncate(4);
    let token = Cluster::token_of_staff("con-seis-pestanas", TENANT);
    wait_for(DEADLINE, "a fifth is let in again", async || {
        let newcomer = Native::begin(&cluster, 1, Dialect::Crm, &token);
        let decided = wait_for(DEADLINE, "it is decided", async || {
            newcomer.edge().map(|_| true).or((!newcomer.closes().is_empty()).then_some(false))
        });
        decided.await.then_some(())
    })
    .await;

    // Six at once, on three nodes: all nodes come to the same five.
    let token = Cluster::token_of_staff("con-prisa", TENANT);
    let at_once: Vec<Native> =
        (0..6).map(|number| Native::begin(&cluster, number % 3, Dialect::Crm, &token)).collect();
    let closed = wait_for(DEADLINE, "one of six is refused", async || {
        at_once.iter().position(|front_end| front_end.closes().contains(&4504))
    })
    .await;
    let others = at_once.iter().enumerate().filter(|(number, _)| *number != closed);
    let others: Vec<&Native> = others.map(|(_, front_end)| front_end).collect();
    join_all(others.iter().map(|front_end| are_served([*front_end]))).await;
    assert!(others.iter().all(|front_end| front_end.closes().is_empty()), "more than one was refused");
}
