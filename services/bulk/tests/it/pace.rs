//! How fast a campaign goes, and what makes it wait.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use chasqui_kit::clock;
use chasqui_proto::v1::{CampaignPlan, CampaignStatus, QuietHours, Ramp, SenderType, SessionStatus};
use chasqui_testkit::wait_for;

use crate::world::{ID, SOON, World, kept, plan};

#[tokio::test(flavor = "multi_thread")]
async fn everybody_on_the_list_gets_the_message_made_out_to_them_and_it_is_completed() -> Result<()> {
    let world = World::start().await?;
    let replica = world.replica("one").await?;
    world.runs(500);
    let campaign = world.is(CampaignStatus::Completed).await;
    assert_eq!(campaign.counts.unwrap().sent, 500);
    world.each_once(500);
    let first = world.outside.look(|seen| seen.sent[0].clone());
    assert_eq!((first.text.as_str(), first.sender_id.as_str()), ("Hola Contacto 0", ID));
    assert_eq!(first.sender_type(), SenderType::System);
    replica.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_campaign_hands_out_more_than_five_hundred_a_second() -> Result<()> {
    const COUNT: u32 = 10_000;
    let world = World::start().await?;
    world.runs(COUNT);
    let began = Instant::now();
    let _replica = world.replica("one").await?;
    world.is(CampaignStatus::Completed).await;
    let reached = f64::from(COUNT) / began.elapsed().as_secs_f64();
    println!("{reached:.0} messages a second, {} words", world.told().len());
    assert!(reached >= 500.0, "{reached}");
    world.each_once(COUNT as usize);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_sends_five_hundred_a_second_is_never_left_without_work() -> Result<()> {
    const PER_SECOND: u32 = 500;
    let world = World::start().await?;
    world.outside.look(|seen| seen.per_second = Some(PER_SECOND));
    world.runs(4_000);
    let _replica = world.replica("one").await?;
    world.is(CampaignStatus::Completed).await;
    // The first seconds are for finding out how fast it is.
    let times = world.outside.look(|seen| seen.sent_at_ms[1_000..].to_vec());
    let gap = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(gap < 200, "the number had nothing to send for {gap} ms");
    let (most, least) = world.office.look(ID, |kept| {
        let windows = || kept.claims.iter().map(|(claim, _)| claim.window).filter(|window| *window > 0);
        (windows().max().unwrap(), windows().min().unwrap())
    });
    assert!((64..=PER_SECOND * 4).contains(&most) && least == 64, "windows of {least} to {most}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_under_way_than_the_window_allows() -> Result<()> {
    let world = World::start().await?;
    world.outside.look(|seen| seen.per_second = Some(0));
    world.runs(1_000);
    let _replica = world.replica("one").await?;
    wait_for(SOON, "it has been looked at ten times", async || {
        world.office.look(ID, |kept| (kept.claims.len() >= 10).then_some(()))
    })
    .await;
    world.office.look(ID, |kept| assert_eq!(kept.queued.len(), 64));
    world.outside.look(|seen| seen.per_second = None);
    world.is(CampaignStatus::Completed).await;
    world.office.look(ID, |kept| {
        assert!(kept.claims.iter().all(|(claim, _)| claim.window <= 5_000 && claim.limit <= 256));
        let ahead = kept.claims.iter().filter(|(claim, _)| claim.limit > 0);
        for (claim, under_way) in ahead {
            assert!(*under_way <= claim.window as usize, "{under_way} of {}", claim.window);
        }
    });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_that_only_waits_for_what_was_sent_is_looked_at_twice_a_second() -> Result<()> {
    let world = World::start().await?;
    world.outside.look(|seen| seen.per_second = Some(0));
    world.runs(10);
    let _replica = world.replica("one").await?;
    let looks = || world.office.look(ID, |kept| (kept.queued.len() == 10).then_some(kept.claims.len()));
    let before = wait_for(SOON, "everybody has had a turn", async || looks()).await;
    // The first look may follow at once.
    let began = Instant::now();
    wait_for(SOON, "it is looked at", async || looks().filter(|count| *count >= before + 6)).await;
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    world.outside.look(|seen| seen.per_second = None);
    world.is(CampaignStatus::Completed).await;
    world.each_once(10);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_a_rate_keeps_it() -> Result<()> {
    let world = World::start().await?;
    world.runs_as(CampaignPlan { rate_per_minute: 600, ..plan() }, 40);
    let _replica = world.replica("one").await?;
    world.is(CampaignStatus::Completed).await;
    check_rate(&world, |seconds| 10.0 * seconds + 11.0);
    let times = world.outside.look(|seen| seen.sent_at_ms.clone());
    let took = times[39] - times[0];
    assert!((3_000..=8_000).contains(&took), "{took} ms for four seconds' worth");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ramp_begins_slowly() -> Result<()> {
    let world = World::start().await?;
    let ramp = Some(Ramp { from_per_minute: 60, over_secs: 10 });
    world.runs_as(CampaignPlan { rate_per_minute: 6_000, ramp, ..plan() }, 80);
    let _replica = world.replica("one").await?;
    world.is(CampaignStatus::Completed).await;
    let times = world.outside.look(|seen| seen.sent_at_ms.clone());
    let started_ms = world.office.look(ID, |kept| kept.campaign.started_at_ms);
    let within = |ms: i64| times.iter().filter(|time| **time - started_ms < ms).count();
    // One a second grows by ten a second each second.
    for (ms, most) in [(1_000, 7), (2_000, 24), (3_000, 50)] {
        assert!(within(ms) <= most, "{} in {ms} ms", within(ms));
    }
    assert!(within(2_000) >= 5, "{} in two seconds", within(2_000));
    Ok(())
}

/// Fails where more was sent in the first seconds than `most` allows.
fn check_rate(world: &World, most: impl Fn(f64) -> f64) {
    let times = world.outside.look(|seen| seen.sent_at_ms.clone());
    for (count, time) in (1..).zip(&times) {
        let seconds = f64::from(i32::try_from(time - times[0]).expect("a test is short")) / 1_000.0;
        assert!(f64::from(count) <= most(seconds), "{count} after {seconds} s");
    }
}

/// Quiet hours in UTC around now, which end in a minute and a bit.
fn quiet_now() -> QuietHours {
    let minute = u32::try_from(clock::now_ms() / 60_000 % 1_440).expect("a day has so many minutes");
    QuietHours { from_minute: (minute + 1_439) % 1_440, to_minute: (minute + 2) % 1_440 }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_hours_nothing_is_sent_and_everybody_knows_until_when() -> Result<()> {
    let world = World::start().await?;
    world.runs_as(CampaignPlan { quiet_hours: Some(quiet_now()), ..plan() }, 10);
    let _replica = world.replica("one").await?;
    let told = world.hears("it is quiet", |told| told.waits_for == "quiet_hours").await.progress;
    let left_ms = told.waits_until_ms - clock::now_ms();
    assert!((0..=120_000).contains(&left_ms) && told.waits_until_ms % 60_000 == 0, "{told:?}");
    wait_for(SOON, "it has been looked at", async || {
        world.office.look(ID, |kept| (kept.claims.len() >= 5).then_some(()))
    })
    .await;
    world.office.look(ID, |kept| assert!(kept.claims.iter().all(|(claim, _)| claim.limit == 0)));
    assert_eq!(world.sent(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_campaign_begins_at_its_time() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("one").await?;
    let at_ms = clock::now_ms() + 2_000;
    let mut scheduled = kept(ID, CampaignPlan { scheduled_at_ms: at_ms, ..plan() }, 20);
    scheduled.turn(CampaignStatus::Scheduled);
    world.office.add(scheduled);
    world.hears("it is scheduled", |told| told.status() == CampaignStatus::Scheduled).await;
    world.is(CampaignStatus::Completed).await;
    let first_ms = world.outside.look(|seen| seen.sent_at_ms[0]);
    assert!((0..2_000).contains(&(first_ms - at_ms)), "{} ms after its time", first_ms - at_ms);
    world.each_once(20);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_not_connected_is_waited_for() -> Result<()> {
    let mut world = World::start().await?;
    world.outside.look(|seen| seen.session.set_status(SessionStatus::Reconnecting));
    world.runs(10);
    let _replica = world.replica("one").await?;
    world.hears("it waits for the number", |told| told.waits_for == "number").await;
    // Its service is away, which is no better.
    world.answering.take().unwrap().close().await?;
    assert_eq!(world.sent(), 0);
    world.outside.look(|seen| seen.session.set_status(SessionStatus::Connected));
    world.answering = Some(world.outside.open(&world.bus).await?);
    world.is(CampaignStatus::Completed).await;
    world.each_once(10);
    let last = world.told().pop().unwrap().progress;
    assert_eq!((last.waits_for.as_str(), last.sent), ("", 10));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_runs_no_more_campaigns_than_it_may_and_another_takes_the_rest() -> Result<()> {
    let mut world = World::start().await?;
    world.config.campaigns_max = 2;
    world.outside.look(|seen| seen.per_second = Some(0));
    let ids: Vec<String> =
        (0..4).map(|number| format!("0d9a4a5e-0000-4000-8000-00000000001{number}")).collect();
    for id in &ids {
        let mut kept = kept(id, plan(), 3);
        kept.turn(CampaignStatus::Running);
        world.office.add(kept);
    }
    let owners = async || {
        let mut owners: HashMap<String, usize> = HashMap::new();
        for id in &ids {
            if let Ok(Some(owner)) = world.runner_of(id).await {
                *owners.entry(owner).or_default() += 1;
            }
        }
        owners
    };
    let _one = world.replica("one").await?;
    wait_for(SOON, "the first has its two", async || (owners().await.get("one") == Some(&2)).then_some(()))
        .await;
    let _two = world.replica("two").await?;
    wait_for(SOON, "the other has the rest", async || (owners().await.get("two") == Some(&2)).then_some(()))
        .await;
    assert_eq!(owners().await.get("one"), Some(&2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_felt_within_a_second_and_a_resumed_campaign_goes_on() -> Result<()> {
    let world = World::start().await?;
    world.runs_as(CampaignPlan { rate_per_minute: 6_000, ..plan() }, 300);
    let _replica = world.replica("one").await?;
    world.sends(50).await;
    world.office.look(ID, |kept| kept.turn(CampaignStatus::Paused));
    let (paused, counted) = (Instant::now(), world.sent());
    let told = world.hears("it is paused", |told| told.status() == CampaignStatus::Paused).await;
    assert!(told.at - paused < Duration::from_secs(1), "told after {:?}", told.at - paused);
    world.is(CampaignStatus::Paused).await;
    assert!(world.sent() <= counted + 100, "at most a second's worth went after it");
    let still = world.sent();
    world.office.look(ID, |kept| {
        assert!(kept.queued.is_empty());
        kept.turn(CampaignStatus::Running);
    });
    world.is(CampaignStatus::Completed).await;
    assert!(still < 300);
    world.each_once(300);
    Ok(())
}
