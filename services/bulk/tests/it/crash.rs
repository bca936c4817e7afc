//! Runners that die, lose their lease, or are stopped, and what the next one makes of what they leave behind.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chasqui_proto::{
    stream::{LEASES, campaign_lease},
    v1::{CampaignPlan, CampaignStatus, RecipientState},
};
use chasqui_testkit::wait_for;

use crate::world::{ID, SOON, World, metrics, plan, tenant};

/// How long a campaign may be without a runner.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_dies_is_followed_within_ten_seconds_and_nobody_gets_a_second_message() -> Result<()> {
    let world = World::start().await?;
    world.outside.look(|seen| seen.per_second = Some(50));
    world.runs(600);
    let one = world.replica("one").await?;
    world.sends(50).await;
    let _two = world.replica("two").await?;
    one.kill().await;
    let died = Instant::now();
    let claims = world.office.look(ID, |kept| kept.claims.len());
    wait_for(SOON, "the campaign is asked for again", async || {
        world.office.look(ID, |kept| (kept.claims.len() > claims).then_some(()))
    })
    .await;
    println!("taken over after {:?}", died.elapsed());
    assert!(died.elapsed() < TAKEN_OVER_WITHIN, "after {:?}", died.elapsed());
    assert_eq!(world.runner().await?.as_deref(), Some("two"));
    world.outside.look(|seen| seen.per_second = None);
    world.is(CampaignStatus::Completed).await;
    world.each_once(600);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_get_one_message_each_though_ten_runners_die() -> Result<()> {
    const COUNT: u32 = 10_000;
    const KILLS: usize = 10;
    let world = World::start().await?;
    world.outside.look(|seen| seen.per_second = Some(2_000));
    world.runs_as(CampaignPlan { rate_per_minute: 60_000, ..plan() }, COUNT);
    let mut replica = world.replica("replica-0").await?;
    for kill in 1..=KILLS {
        world.sends(COUNT as usize * kill / (KILLS + 2)).await;
        replica.kill().await;
        // The broker ends the lease in 6 s; a test of ten deaths does not wait for that.
        let leases = world.bus.jetstream().get_key_value(LEASES.name).await?;
        leases.delete(campaign_lease(&tenant(), ID.parse()?)).await?;
        replica = world.replica(&format!("replica-{kill}")).await?;
    }
    world.is(CampaignStatus::Completed).await;
    world.each_once(COUNT as usize);
    assert_eq!(world.outside.look(|seen| seen.repeated), 0, "the stream has each message once");
    assert!(metrics().render().contains("chasqui_bulk_takeovers_total"));
    let told = world.told();
    let ends = told.iter().filter(|told| told.progress.status() == CampaignStatus::Completed);
    assert_eq!(ends.filter(|told| !told.progress.after_end).count(), 1);
    replica.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_given_out_and_not_written_to_is_written_to_first() -> Result<()> {
    let world = World::start().await?;
    world.runs(10);
    // A runner got these and died before it published anything; one of the messages is stored all the same.
    world.office.look(ID, |kept| {
        kept.hand_out(3);
        let stored = kept.recipients[&3].message_id.clone();
        kept.store(&stored);
    });
    let _replica = world.replica("one").await?;
    world.sends(9).await;
    let first = world
        .outside
        .look(|seen| seen.sent.iter().take(2).map(|message| message.text.clone()).collect::<Vec<_>>());
    assert_eq!(first, ["Hola Contacto 0", "Hola Contacto 2"]);
    world.office.look(ID, |kept| kept.raise(3, RecipientState::Delivered, None));
    let campaign = world.is(CampaignStatus::Completed).await;
    assert_eq!(campaign.counts.unwrap().delivered, 1);
    assert_eq!(world.sent(), 9, "the stored one is not published again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_given_out_before_a_pause_is_written_to_after_it() -> Result<()> {
    let world = World::start().await?;
    world.runs(10);
    world.office.look(ID, |kept| {
        kept.hand_out(3);
        kept.turn(CampaignStatus::Paused);
    });
    let _replica = world.replica("one").await?;
    world.is(CampaignStatus::Paused).await;
    assert_eq!(world.sent(), 0);
    world.office.look(ID, |kept| kept.turn(CampaignStatus::Running));
    world.is(CampaignStatus::Completed).await;
    world.each_once(10);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_given_out_in_a_lost_answer_is_written_to() -> Result<()> {
    let world = World::start().await?;
    world.runs(300);
    world.office.look(ID, |kept| kept.answers_lost = 2);
    let _replica = world.replica("one").await?;
    world.is(CampaignStatus::Completed).await;
    world.each_once(300);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_lost_its_lease_publishes_nothing_more() -> Result<()> {
    let world = World::start().await?;
    world.runs_as(CampaignPlan { rate_per_minute: 3_000, ..plan() }, 2_000);
    let one = world.replica("one").await?;
    world.sends(50).await;
    // Somebody else holds it, and does nothing.
    let leases = world.bus.jetstream().get_key_value(LEASES.name).await?;
    let key = campaign_lease(&tenant(), ID.parse()?);
    leases.put(&key, "other claim".into()).await?;
    let quiet = Duration::from_secs(2);
    wait_for(SOON, "nothing more is asked for", async || {
        world.office.look(ID, |kept| (kept.asked_at?.elapsed() > quiet).then_some(()))
    })
    .await;
    let sent = world.sent();
    assert!(sent < 2_000, "it went on to the end");
    assert_eq!(world.runner().await?.as_deref(), Some("other"));
    one.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_stopped_finishes_what_it_has_and_gives_its_campaigns_back() -> Result<()> {
    let world = World::start().await?;
    world.runs_as(CampaignPlan { rate_per_minute: 6_000, ..plan() }, 400);
    let one = world.replica("one").await?;
    world.sends(20).await;
    one.stop().await?;
    assert_eq!(world.runner().await?, None, "the lease is given back");
    wait_for(SOON, "everything that was given out is sent", async || {
        world.office.look(ID, |kept| kept.queued.is_empty().then_some(()))
    })
    .await;
    assert!(world.sent() < 400);
    let claims = world.office.look(ID, |kept| kept.claims.len());
    let began = Instant::now();
    let _two = world.replica("two").await?;
    wait_for(SOON, "another goes on", async || {
        world.office.look(ID, |kept| (kept.claims.len() > claims).then_some(()))
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    world.is(CampaignStatus::Completed).await;
    world.each_once(400);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_runner_left_of_a_cancelled_campaign_is_not_sent() -> Result<()> {
    let world = World::start().await?;
    world.runs(10);
    world.office.look(ID, |kept| {
        kept.hand_out(4);
        kept.turn(CampaignStatus::Cancelled);
    });
    let _replica = world.replica("one").await?;
    let campaign = world.is(CampaignStatus::Cancelled).await;
    let campaign = if campaign.counts.context("counts")?.queued == 0 {
        campaign
    } else {
        wait_for(SOON, "they have failed", async || {
            let campaign = world.office.look(ID, |kept| kept.campaign.clone());
            (campaign.counts?.queued == 0).then_some(campaign)
        })
        .await
    };
    let counts = campaign.counts.context("counts")?;
    assert_eq!((counts.failed, counts.cancelled), (4, 6));
    assert_eq!(campaign.failures[0].title, "expired");
    assert_eq!((world.sent(), world.outside.look(|seen| seen.expired.len())), (0, 4));
    Ok(())
}
