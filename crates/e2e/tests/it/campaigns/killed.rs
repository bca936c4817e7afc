//! The runner of a campaign of 10,000 is killed ten times.

use std::{collections::HashSet, time::Duration};

use chasqui_testkit::wait_for;
use serde_json::Value;

use crate::world::{Campaigns, Cluster, FrontDoor, Outside, contacts, greeting};

const RECIPIENTS: usize = 10_000;
const KILLS: usize = 10;
/// How long two cores may take for a stretch of it, with everything that runs beside it.
const PATIENCE: Duration = Duration::from_mins(4);

#[tokio::test(flavor = "multi_thread")]
async fn crm_20_ten_thousand_are_written_to_once_though_the_runner_dies_ten_times() {
    let cluster = Cluster::connected("campaign-killed", &[]).await;
    let (door, outside) = (FrontDoor::open(&cluster).await, Outside::of(&cluster));
    cluster.has_a_fast_number().await;
    outside.opens_every_window().await;
    outside.is_as_fast_as_whatsapp_allows().await;
    let campaigns = Campaigns::of(&door);
    let made = campaigns.uploads(&greeting("diez mil"), contacts(0, RECIPIENTS)).await;
    assert_eq!(made["report"]["accepted"], RECIPIENTS, "{made}");
    let id = made["campaign"]["id"].as_str().unwrap();
    assert_eq!(outside.stats().await["accepted"], 0, "nothing is sent before somebody says so");
    campaigns.does(id, "start").await;

    // Both in turn: whichever runs the campaign is among two kills that follow each other.
    for kill in 0..KILLS {
        let part = RECIPIENTS * (kill + 1) / (KILLS + 2);
        let claim = format!("{part} are sent");
        wait_for(PATIENCE, &claim, async || {
            (outside.stats().await["accepted"].as_u64()? >= part as u64).then_some(())
        })
        .await;
        let runner = cluster.runner_of(id).await;
        runner.kill().await;
        runner.start().await;
    }
    let ended = wait_for(PATIENCE, "the campaign is completed", async || {
        let campaign = campaigns.shows(id).await;
        (campaign["status"] == "completed").then_some(campaign)
    })
    .await;
    assert_eq!(ended["counts"]["failed"], 0, "{ended}");

    let stats = outside.stats().await;
    assert_eq!((&stats["accepted"], &stats["duplicates"]), (&RECIPIENTS.into(), &0.into()), "{stats}");
    let taken: Vec<Value> = outside.taken().await;
    let reached: HashSet<&str> = taken.iter().map(|message| message["contact"].as_str().unwrap()).collect();
    assert_eq!((taken.len(), reached.len()), (RECIPIENTS, RECIPIENTS), "each contact has its message once");
}
