//! What everybody is told, and how often.

use std::time::{Duration, Instant};

use anyhow::Result;
use chasqui_kit::{TraceContext, publish::Fact};
use chasqui_proto::{
    stream::STATE,
    subject::{NodeToken, bulk_progress},
    v1::{BulkProgress, CampaignPlan, CampaignStatus, RecipientState},
};
use chasqui_testkit::wait_for;
use prost::Message as _;

use crate::world::{ID, SOON, World, kept, plan, tenant};

/// What stands in the stream for whoever comes later.
async fn stands(world: &World) -> Result<BulkProgress> {
    Ok(stands_at(world).await?.0)
}

/// The same, and where.
async fn stands_at(world: &World) -> Result<(BulkProgress, u64)> {
    let subject = bulk_progress(&tenant(), &NodeToken::new(ID));
    let stream = world.bus.jetstream().get_stream(STATE.name).await?;
    let found = stream.get_last_raw_message_by_subject(subject.as_str()).await?;
    Ok((BulkProgress::decode(found.payload)?, found.sequence))
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_20_progress_is_told_live_five_times_a_second_and_the_newest_in_the_end() -> Result<()> {
    let world = World::start().await?;
    world.outside.look(|seen| seen.per_second = Some(200));
    world.runs(600);
    let _replica = world.replica("one").await?;
    let campaign = world.is(CampaignStatus::Completed).await;
    let told = world.told();
    for five in told.windows(6) {
        let took = five[5].progress.updated_at_ms - five[0].progress.updated_at_ms;
        assert!(took >= 1_000, "six words within {took} ms");
    }
    assert!(told.len() >= 8, "{} words in three seconds", told.len());
    let sent: Vec<u32> = told.iter().map(|told| told.progress.sent).collect();
    assert!(sent.is_sorted(), "{sent:?}");
    assert!(told.iter().any(|told| told.progress.remaining_secs.is_some()));
    let middle = &told[told.len() / 2].progress;
    assert!((50.0..=300.0).contains(&middle.rate_per_second), "{}", middle.rate_per_second);
    assert!(middle.current_conversation.starts_with("54911"), "{middle:?}");
    let last = stands(&world).await?;
    assert_eq!((last.version, last.sent, last.total), (campaign.version, 600, 600));
    assert_eq!(last, told.last().unwrap().progress);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_lags_less_than_a_second_and_many_changes_at_once_are_one_word() -> Result<()> {
    let world = World::start().await?;
    world.runs_as(CampaignPlan { rate_per_minute: 1, ..plan() }, 500);
    let _replica = world.replica("one").await?;
    world.sends(1).await;
    world.office.look(ID, |kept| kept.turn(CampaignStatus::Paused));
    world.is(CampaignStatus::Paused).await;
    let words = world.told().len();
    let changed = Instant::now();
    // What a hundred contacts read at once.
    world.office.look(ID, |kept| (0..100).for_each(|_| kept.raise(2, RecipientState::Read, None)));
    let read = world.hears("it was read", |told| told.read == 1).await;
    assert!(read.at - changed < Duration::from_secs(1), "{:?}", read.at - changed);
    world.is(CampaignStatus::Paused).await;
    assert!(world.told().len() <= words + 2, "{} words", world.told().len() - words);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_that_rests_is_let_go_and_what_changes_later_is_told_all_the_same() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("one").await?;
    world.runs(3);
    world.is(CampaignStatus::Completed).await;
    wait_for(SOON, "nobody runs it", async || matches!(world.runner().await, Ok(None)).then_some(())).await;
    let (end, end_seq) = stands_at(&world).await?;
    assert_eq!((end.after_end, end.end_seq), (false, 0));
    let words = world.told().len();
    world.office.look(ID, |kept| kept.raise(2, RecipientState::Delivered, None));
    let told = world.hears("it was delivered", |told| told.delivered == 1).await;
    assert_eq!((told.progress.after_end, told.progress.end_seq), (true, end_seq));
    world.is(CampaignStatus::Completed).await;
    assert_eq!(world.told().len(), words + 1);
    // Whoever tells the next word has read the one before.
    world.office.look(ID, |kept| kept.raise(2, RecipientState::Read, None));
    let told = world.hears("it was read", |told| told.read == 1).await;
    assert_eq!((told.progress.after_end, told.progress.end_seq), (true, end_seq));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_whose_recipients_are_being_read_is_nobodys_news() -> Result<()> {
    let world = World::start().await?;
    let mut uploading = kept(ID, plan(), 3);
    uploading.turn(CampaignStatus::Uploading);
    world.office.add(uploading);
    let _replica = world.replica("one").await?;
    wait_for(SOON, "it was looked at", async || {
        world.office.look(ID, |kept| (kept.claims.len() > 2).then_some(()))
    })
    .await;
    assert!(world.told().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_a_runner_told_before_it_died_is_not_told_again() -> Result<()> {
    let world = World::start().await?;
    let mut ended = kept(ID, plan(), 0);
    ended.turn(CampaignStatus::Completed);
    let campaign = ended.campaign.clone();
    let told = BulkProgress {
        status: campaign.status,
        version: campaign.version,
        ended_at_ms: campaign.ended_at_ms,
        ..BulkProgress::default()
    };
    let subject = bulk_progress(&tenant(), &NodeToken::new(ID));
    world.bus.publish(Fact::new(subject, &told, "told", TraceContext::root())).await?;
    world.office.add(ended);
    let _replica = world.replica("one").await?;
    world.is(CampaignStatus::Completed).await;
    assert_eq!(stands(&world).await?, told);
    assert_eq!(world.told().len(), 1);
    Ok(())
}
