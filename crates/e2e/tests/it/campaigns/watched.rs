//! Dashboards watch a campaign, on whatever node they are.

use serde_json::{Value, json};

use crate::world::{Campaigns, Cluster, Dialect, FrontDoor, Native, Outside, contacts, greeting, name_of};

const RECIPIENTS: usize = 400;

/// How many were sent, as CRM-07 says it.
fn sent(frame: &Value) -> Option<u64> {
    (name_of(frame) == "bulk_message_progress").then(|| frame["data"]["progress"]["sent"].as_u64()).flatten()
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_07_crm_08_crm_20_a_campaign_is_watched_live_on_every_node_and_from_the_middle() {
    let cluster = Cluster::connected("campaign-watched", &[]).await;
    let (door, outside) = (FrontDoor::open(&cluster).await, Outside::of(&cluster));
    outside.opens_every_window().await;
    let campaigns = Campaigns::of(&door);
    let mut definition = greeting("vista");
    definition["rate_per_minute"] = json!(2_400);
    definition["start"] = json!(true);
    let early = Native::open(&cluster, 0, Dialect::Crm, &cluster.token).await;
    let mut file = contacts(400_000, RECIPIENTS);
    file.push_str("5491100400000,otra vez\n12,corto\n5491100400999,\n");
    let made = campaigns.uploads(&definition, file).await;
    let report = &made["report"];
    assert_eq!(
        [&report["rows"], &report["accepted"], &report["duplicates"], &report["invalid"]],
        [403, RECIPIENTS, 1, 2].map(Value::from).each_ref(),
        "{made}"
    );
    let lines: Vec<&Value> =
        report["problems"].as_array().unwrap().iter().map(|problem| &problem["line"]).collect();
    assert_eq!(lines, [402, 403, 404].map(Value::from).each_ref());
    let id = made["campaign"]["id"].as_str().unwrap().to_owned();

    early.sees("a tenth is sent", |frame| sent(frame).filter(|sent| *sent >= 40)).await;
    // Whoever comes now, on another node, is told at once where it stands.
    let late = Native::open(&cluster, 1, Dialect::Crm, &cluster.token).await;
    let first = late.sees("the state of the middle", sent).await;
    assert!(first >= 40, "{first}");
    let shown = early.sees("a progress", |frame| sent(frame).map(|_| frame["data"].clone())).await;
    assert_eq!(shown["progress"]["total"], RECIPIENTS, "{shown}");
    assert!(shown["progress"]["currentConversation"].is_string(), "{shown}");

    for watcher in [&early, &late] {
        let completed = watcher
            .sees("it is completed", |frame| {
                (name_of(frame) == "bulk_message_completed").then(|| frame["data"].clone())
            })
            .await;
        assert_eq!((&completed["successCount"], &completed["errorCount"]), (&RECIPIENTS.into(), &0.into()));
        assert_eq!(completed["campaign"], *id);
        let counts: Vec<u64> = watcher.everything().iter().filter_map(sent).collect();
        assert!(counts.is_sorted(), "progress goes forward only: {counts:?}");
    }
    // What becomes of its messages later is no second end.
    campaigns
        .becomes(&id, "is read by everybody", |campaign| {
            (campaign["counts"]["read"] == RECIPIENTS).then_some(())
        })
        .await;
    let fresh = Native::open(&cluster, 2, Dialect::Crm, &cluster.token).await;
    fresh.says(&json!({ "type": "ping" }));
    fresh.sees("an answer", |frame| (name_of(frame) == "pong").then_some(())).await;
    assert_eq!(early.frames("bulk_message_completed").len(), 1);
    assert!(fresh.frames("bulk_message_completed").is_empty(), "what ended before is no news");
    let results = campaigns.text(&format!("/{id}/results.csv")).await;
    assert_eq!(results.lines().count(), RECIPIENTS + 1, "a line for each, and what the columns are");
    assert_eq!(results.lines().filter(|line| line.contains(",read,")).count(), RECIPIENTS);
}
