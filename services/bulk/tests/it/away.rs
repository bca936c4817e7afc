//! When the broker or persistence is away.

use anyhow::Result;
use chasqui_proto::v1::{CampaignPlan, CampaignStatus};
use chasqui_testkit::wait_for;

use crate::world::{SOON, World, plan};

#[tokio::test(flavor = "multi_thread")]
async fn without_persistence_a_campaign_waits_and_goes_on_by_itself() -> Result<()> {
    let mut world = World::start().await?;
    world.runs_as(CampaignPlan { rate_per_minute: 6_000, ..plan() }, 300);
    let replica = world.replica("one").await?;
    world.sends(20).await;
    world.closes_office().await?;
    let metrics = crate::world::metrics();
    wait_for(SOON, "it is known that persistence is away", async || {
        metrics.render().contains("chasqui_bulk_waits_total{cause=\"persistence\"}").then_some(())
    })
    .await;
    assert!(replica.health.is_ready(), "a replica that waits for another service works");
    assert!(world.sent() < 300);
    world.opens_office().await?;
    world.is(CampaignStatus::Completed).await;
    world.each_once(300);
    replica.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_costs_nobody_a_message_and_nobody_gets_two() -> Result<()> {
    let world = World::start().await?;
    world.runs_as(CampaignPlan { rate_per_minute: 12_000, ..plan() }, 900);
    let replica = world.replica("one").await?;
    for part in 1..=2 {
        world.sends(200 * part).await;
        world.nats.stop().await;
        wait_for(SOON, "the replica says that it has no broker", async || {
            (!replica.health.is_ready()).then_some(())
        })
        .await;
        world.nats.restart().await?;
        wait_for(SOON, "it is ready again", async || replica.health.is_ready().then_some(())).await;
    }
    world.is(CampaignStatus::Completed).await;
    world.each_once(900);
    replica.stop().await
}
