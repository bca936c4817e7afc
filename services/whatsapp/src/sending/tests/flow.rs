//! Messages that go well.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use chasqui_proto::v1::{ChannelKind, Priority, SendState, Status};
use chasqui_testkit::wait_for;

use super::world::{Answer, Number, Provider, SOON, World};
use crate::sending::Settings;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_sent_told_written_down_and_acknowledged() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    let owner = world.owner("a", &provider, Number::default());
    let id = world.queue_one(1).await;
    let status = world.status(id, Status::Accepted).await;
    assert_eq!(status.provider_message_id, format!("wamid.{id}"));
    assert_eq!(status.callback_data, "campaign-7");
    assert_eq!(status.channel.as_ref().unwrap().id, "1000001");
    world.queue_is_empty().await;
    let send = world.send(id).await.unwrap();
    assert_eq!((send.state(), send.attempts, send.owner.as_str()), (SendState::Accepted, 1, "a"));
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_session_is_not_connected_nothing_is_sent_and_nothing_lost() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    let owner = world.owner("a", &provider, Number::default());
    let first = world.queue_one(1).await;
    world.status(first, Status::Accepted).await;
    owner.open.send(false).unwrap();
    // An open session would answer this in a few milliseconds; the other session's message shows that time has passed.
    let second = world.queue_one(2).await;
    world.bus.barrier().await.unwrap();
    let wait = Instant::now();
    wait_for(SOON, "a while has passed", async || {
        (wait.elapsed() > Duration::from_millis(300)).then_some(())
    })
    .await;
    assert_eq!(provider.times(second), 0);
    owner.open.send(true).unwrap();
    world.status(second, Status::Accepted).await;
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_overtakes_a_campaign_of_2_000_within_a_second() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    let campaign: Vec<_> =
        (0..2_000).map(|contact| world.message(contact + 10, Priority::Campaign)).collect();
    world.queue_all(&campaign).await;
    let owner = world.owner("a", &provider, Number { rate: Some(80), ..Number::default() });
    wait_for(SOON, "the campaign goes", async || (provider.reached().len() > 40).then_some(())).await;
    let begin = Instant::now();
    let reply = world.queue(&world.message(1, Priority::Reply)).await;
    world.status(reply, Status::Accepted).await;
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(provider.reached().len() < 400);
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_stays_in_order_and_one_at_a_time_also_when_some_are_tried_again() {
    let world = World::new().await;
    let refused = [Answer::Accept, Answer::Refuse(131_000), Answer::Accept, Answer::Refuse(131_016)];
    let provider = Provider::scripted(refused.into_iter().cycle().take(40));
    *provider.latency.lock().unwrap() = Duration::from_millis(5);
    let messages: Vec<_> = (0..60).map(|number| world.message(number % 2, Priority::Transactional)).collect();
    let mut ids = Vec::new();
    for message in &messages {
        ids.push(world.queue(message).await.to_string());
    }
    let number = Number { kind: ChannelKind::WhatsappLinked, rate: None, ..Number::default() };
    let owner = world.owner("a", &provider, number);
    world.queue_is_empty().await;
    for contact in [0, 1] {
        let phone = format!("5491100{contact:06}");
        let mut reached: Vec<_> =
            provider.reached().into_iter().filter(|reached| reached.contact == phone).map(|r| r.id).collect();
        reached.dedup();
        let expected: Vec<_> = ids.iter().skip(contact).step_by(2).cloned().collect();
        assert_eq!(reached, expected);
    }
    assert_eq!(provider.beside.load(Ordering::Relaxed), 0);
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saturated_number_keeps_its_rate() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    *provider.latency.lock().unwrap() = Duration::from_millis(200);
    let messages: Vec<_> = (0..400).map(|contact| world.message(contact, Priority::Campaign)).collect();
    world.queue_all(&messages).await;
    let owner = world.owner("a", &provider, Number { rate: Some(80), ..Number::default() });
    wait_for(SOON, "all were sent", async || (provider.reached().len() == 400).then_some(())).await;
    let reached = provider.reached();
    let took = reached[399].at - reached[0].at;
    let rate = 399.0 / took.as_secs_f64();
    assert!(rate <= 82.0, "{rate}");
    // A machine that is busy with other tests may be slower, not much.
    assert!(rate >= 70.0, "{rate}");
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_number_has_hundreds_of_conversations_in_flight() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    *provider.latency.lock().unwrap() = Duration::from_millis(200);
    let messages: Vec<_> = (0..3_000).map(|contact| world.message(contact, Priority::Campaign)).collect();
    world.queue_all(&messages).await;
    let owner = world.owner("a", &provider, Number::default());
    world.queue_is_empty().await;
    let reached = provider.reached();
    assert_eq!(reached.len(), 3_000);
    let rate = 2_999.0 / (reached[2_999].at - reached[0].at).as_secs_f64();
    println!("{rate:.0} messages a second");
    assert!(rate > 200.0, "{rate}");
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_takes_long_to_upload_makes_no_message_uncertain() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    *provider.latency.lock().unwrap() = Duration::from_millis(400);
    *provider.preparation.lock().unwrap() = Duration::from_secs(10);
    let settings = Settings { send_wait: Duration::from_millis(100), ..Settings::default() };
    let owner = world.owner("a", &provider, Number { settings, ..Number::default() });
    let id = world.queue_one(1).await;
    world.status(id, Status::Accepted).await;
    assert_eq!(world.statuses(id).len(), 1);
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_not_sent() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    let owner = world.owner("a", &provider, Number::default());
    let mut message = world.message(1, Priority::Campaign);
    message.expires_at_ms = 1;
    let id = world.queue(&message).await;
    let status = world.status(id, Status::Failed).await;
    assert_eq!(status.errors[0].title, "expired");
    world.queue_is_empty().await;
    assert_eq!(provider.times(id), 0);
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_a_failure_of_what_an_earlier_owner_has_sent() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    let mut message = world.message(1, Priority::Campaign);
    message.expires_at_ms = 1;
    let id = message.id.parse().unwrap();
    world.was_accepted(id).await;
    world.queue(&message).await;
    let owner = world.owner("b", &provider, Number::default());
    world.queue_is_empty().await;
    world.bus.barrier().await.unwrap();
    assert_eq!((provider.times(id), world.statuses(id).len()), (0, 0));
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_owner_goes_on_at_the_pace_of_the_one_before() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    let owner = world.owner("a", &provider, Number::default());
    let burst: Vec<_> = (0..45).map(|_| world.message(1, Priority::Transactional)).collect();
    world.queue_all(&burst).await;
    world.queue_is_empty().await;
    owner.stopped().await;
    let settings = Settings { later_after: Duration::from_hours(1), ..Settings::default() };
    let owner = world.owner("b", &provider, Number { settings, ..Number::default() });
    let held = world.queue_one(1).await;
    let other = world.queue_one(2).await;
    world.status(other, Status::Accepted).await;
    assert_eq!(provider.times(held), 0, "the burst of the owner before is not paid back yet");
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_with_hundreds_of_messages_does_not_keep_the_others_waiting() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    let flood: Vec<_> = (0..300).map(|_| world.message(1, Priority::Transactional)).collect();
    world.queue_all(&flood).await;
    let other = world.queue_one(2).await;
    let settings = Settings { queue_max: 100, ..Settings::default() };
    let owner = world.owner("a", &provider, Number { settings, ..Number::default() });
    world.status(other, Status::Accepted).await;
    wait_for(SOON, "the rest waits with the broker", async || (world.scheduled().await > 150).then_some(()))
        .await;
    let burst = || provider.reached().iter().filter(|reached| reached.contact == "5491100000001").count();
    wait_for(SOON, "its burst is sent", async || (burst() >= 45).then_some(())).await;
    assert_eq!(burst(), 45);
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_finishes_what_is_in_hand() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    *provider.latency.lock().unwrap() = Duration::from_millis(300);
    let owner = world.owner("a", &provider, Number::default());
    let id = world.queue_one(1).await;
    wait_for(SOON, "its bytes are written", async || (provider.times(id) == 1).then_some(())).await;
    owner.stopped().await;
    assert_eq!(world.send(id).await.unwrap().state(), SendState::Accepted);
    world.queue_is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_loses_nothing_and_doubles_nothing() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    *provider.latency.lock().unwrap() = Duration::from_millis(50);
    let messages: Vec<_> = (0..400).map(|contact| world.message(contact, Priority::Campaign)).collect();
    let ids = world.queue_all(&messages).await;
    let owner = world.owner("a", &provider, Number { rate: Some(100), ..Number::default() });
    wait_for(SOON, "some were sent", async || (provider.reached().len() > 100).then_some(())).await;
    world.server.restart().await.unwrap();
    wait_for(SOON * 2, "all were sent", async || (provider.reached().len() >= 400).then_some(())).await;
    world.queue_is_empty().await;
    for id in ids {
        assert_eq!(provider.times(id), 1, "{id}");
        assert_eq!(world.send(id).await.unwrap().state(), SendState::Accepted);
    }
    owner.stopped().await;
}
