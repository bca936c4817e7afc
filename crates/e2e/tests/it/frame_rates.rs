//! A front end that says too much.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::interval;

use crate::world::{Cluster, Dialect, Native, name_of};

const TENANT: &str = "habladores";
/// Four times what a connection may say.
const EVERY: Duration = Duration::from_millis(50);

fn is_told(frame: &Value) -> Option<()> {
    let words = frame["error"].as_str().or(frame["data"]["code"].as_str()).unwrap_or_default();
    (words == "rate_limited" || words.contains("frames")).then_some(())
}

/// Never rests until the node has had enough; the code it is closed with.
async fn talks(talker: &Native, frame: &Value) -> u16 {
    let mut pace = interval(EVERY);
    tokio::select! {
        code = talker.ends() => code,
        () = async { loop { pace.tick().await; talker.says(frame); } } => unreachable!("it never stops"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_28_who_says_too_much_is_told_rate_limited_then_closed_with_4505_and_others_are_served() {
    let slow = [("CHASQUI__EDGE__FRAMES_PER_SECOND_MAX", "5")];
    let cluster = Cluster::breakable_with("frame-rates", &slow).await;
    let token = |user: &str| Cluster::token_of_staff(user, TENANT);
    let quiet = Native::open(&cluster, 0, Dialect::Crm, &token("callado")).await;
    let ping = json!({ "type": "ping" });
    let talkers = [
        ("hablador-1", Dialect::Crm, ping.clone()),
        ("hablador-2", Dialect::Chat, json!({ "event": "nobody knows this" })),
    ];
    join_all(talkers.map(async |(user, dialect, frame)| {
        let talker = Native::open(&cluster, 0, dialect, &token(user)).await;
        let (code, ()) = tokio::join!(
            talks(&talker, &frame),
            talker.sees("a talker is told that it says too much", is_told)
        );
        assert_eq!(code, 4505, "{user}");
    }))
    .await;
    quiet.says(&ping);
    quiet.sees("the quiet one is served", |frame| (name_of(frame) == "pong").then_some(())).await;
}
