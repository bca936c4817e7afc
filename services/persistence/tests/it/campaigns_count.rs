//! The counts of campaigns are what their rows say, whoever does what at the same time.

use std::collections::BTreeSet;

use anyhow::Result;
use chasqui_kit::{Code, request::RequestError};
use chasqui_proto::{
    service,
    v1::{self, Campaign, CampaignAction, CampaignStatus, Recipient, Status},
};
use futures::future::try_join_all;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use crate::{
    campaigns_world::{Desk, advance, change},
    world::{World, phone},
};

const CONTACTS: u32 = 120;
const ROUNDS: usize = 60;
/// How many statuses come in each round of a runner.
const REPORTS: usize = 20;

/// What people do to campaigns, the usual more often.
const ACTIONS: [CampaignAction; 12] = [
    CampaignAction::Start,
    CampaignAction::Pause,
    CampaignAction::Pause,
    CampaignAction::Resume,
    CampaignAction::Resume,
    CampaignAction::Retry,
    CampaignAction::Retry,
    CampaignAction::Retry,
    CampaignAction::Retry,
    CampaignAction::Retry,
    CampaignAction::Stop,
    CampaignAction::Resume,
];

/// What becomes of messages, in any order and number.
const STATUSES: [Status; 8] = [
    Status::Sending,
    Status::Accepted,
    Status::Sent,
    Status::Failed,
    Status::Failed,
    Status::Delivered,
    Status::Read,
    Status::Played,
];

/// Runs campaigns, as bulk does: queues some, publishes most of them, and hears what becomes of any of them at any time.
async fn run(desk: &Desk, campaigns: &[Campaign], mut chance: StdRng) -> Result<u64> {
    let (mut last, mut sent): (u64, Vec<(String, Recipient)>) = (0, Vec::new());
    for _ in 0..ROUNDS {
        let id = &campaigns.choose(&mut chance).expect("there are some").id;
        let (_, queued) = desk.advance(id, chance.random_range(0..20)).await?;
        for recipient in &queued {
            if chance.random_bool(0.95) {
                last = desk.publish(id, recipient).await?.max(last);
            }
        }
        sent.extend(queued.into_iter().map(|recipient| (id.clone(), recipient)));
        for _ in 0..REPORTS {
            let Some((id, recipient)) = sent.choose(&mut chance) else { break };
            let status = STATUSES.choose(&mut chance).expect("there are some");
            last = desk.report(id, recipient, *status).await?.max(last);
        }
    }
    Ok(last)
}

/// Changes campaigns, and who gets them, without a plan. What does not fit how a campaign stands is refused in words.
async fn meddle(world: &World, campaigns: &[Campaign], mut chance: StdRng) -> Result<u64> {
    for _ in 0..ROUNDS {
        let campaign = campaigns.choose(&mut chance).expect("there are some");
        let conversation = phone(chance.random_range(0..CONTACTS));
        if chance.random_bool(0.1) {
            let question = v1::PutOptOut { tenant: "default".into(), conversation };
            world.ask(service::OPT_OUTS_PUT, question).await?;
            continue;
        }
        let action = *ACTIONS.choose(&mut chance).expect("there are some");
        let asked = v1::ChangeCampaign { ownership: 1, ..change(&campaign.id, action) };
        match world.ask(service::CAMPAIGNS_CHANGE, asked).await {
            Ok(_) => {}
            Err(RequestError::Refused { code: Code::Conflict, message })
                if message.starts_with("status: ") => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(0)
}

#[tokio::test]
async fn counts_are_what_the_rows_say_whoever_does_what_at_the_same_time() -> Result<()> {
    let mut desk = Desk::open().await?;
    desk.world.config.batch_max = 23;
    desk.world.config.batch_interval_ms = 0;
    let others = [desk.world.replica().await?, desk.world.replica().await?];
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let mut campaigns = Vec::new();
    for _ in 0..3 {
        campaigns.push(desk.running(0..CONTACTS).await?);
    }
    let runners = (0..4).map(|_| chance.random()).map(StdRng::seed_from_u64).collect::<Vec<_>>();
    let meddlers = (0..2).map(|_| chance.random()).map(StdRng::seed_from_u64).collect::<Vec<_>>();
    let running = try_join_all(runners.into_iter().map(|chance| run(&desk, &campaigns, chance)));
    let meddling = try_join_all(meddlers.into_iter().map(|chance| meddle(&desk.world, &campaigns, chance)));
    let (last, _) = tokio::try_join!(running, meddling)?;
    desk.world.stored(last.into_iter().max().unwrap_or_default()).await;
    let mut states = BTreeSet::new();
    for campaign in &campaigns {
        let rows = desk.counts_are_right(&campaign.id).await?;
        assert_eq!(rows.values().sum::<i64>(), i64::from(CONTACTS));
        states.extend(rows.into_keys());
    }
    assert!(states.len() > 3, "much happened: {states:?}");
    // Whatever they stand at, they get to their end.
    for campaign in &campaigns {
        let cancelled = desk.change(&campaign.id, CampaignAction::Cancel).await;
        assert!(cancelled.is_ok() || desk.get(&campaign.id).await?.status() == CampaignStatus::Completed);
        desk.world.ask(service::CAMPAIGNS_ADVANCE, advance(&campaign.id, 1)).await?;
        let rows = desk.counts_are_right(&campaign.id).await?;
        assert!(!rows.contains_key("pending"), "{rows:?}");
    }
    assert!(desk.world.dead_letters().await?.is_empty(), "nothing was given up");
    desk.replica.stop().await;
    for replica in others {
        replica.stop().await;
    }
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    let deadlocks: i64 = sqlx::query_scalar(deadlocks).fetch_one(&desk.world.pool).await?;
    assert_eq!(deadlocks, 0);
    Ok(())
}
