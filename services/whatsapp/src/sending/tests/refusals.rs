//! Messages that the provider refuses.

use std::time::{Duration, Instant};

use chasqui_kit::clock;
use chasqui_proto::{
    stream::{OUTBOX, WINDOWS, window_key},
    subject,
    v1::{ContactWindow, Message, Priority, SendState, Status},
};
use chasqui_testkit::wait_for;
use prost::Message as _;

use super::world::{Answer, Number, Provider, SOON, World};
use crate::{line::Halt, sending::Settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_sends_too_fast_pauses_and_loses_nothing() {
    let world = World::new().await;
    let provider = Provider::scripted([Answer::Refuse(130_429)]);
    let ids = [world.queue_one(1).await, world.queue_one(2).await, world.queue_one(3).await];
    let owner = world.owner("a", &provider, Number { rate: Some(20), ..Number::default() });
    for id in ids {
        world.status(id, Status::Accepted).await;
    }
    let reached = provider.reached();
    let pause = reached.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap();
    assert!(pause >= Duration::from_millis(850), "{pause:?}");
    world.queue_is_empty().await;
    assert_eq!(world.send(ids[0]).await.unwrap().attempts, 1);
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_gets_too_many_waits_alone() {
    let world = World::new().await;
    let provider = Provider::scripted([Answer::Refuse(131_056)]);
    let owner = world.owner("a", &provider, Number::default());
    let refused = world.queue_one(1).await;
    wait_for(SOON, "it was refused", async || (provider.times(refused) == 1).then_some(())).await;
    let other = world.queue_one(2).await;
    let reply = world.queue(&world.message(1, Priority::Reply)).await;
    world.status(other, Status::Accepted).await;
    world.status(refused, Status::Accepted).await;
    let reached = provider.reached();
    assert_eq!((&reached[1].id, &reached[2].id), (&other.to_string(), &reply.to_string()));
    assert!(reached[2].at - reached[0].at >= Duration::from_secs(1));
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_wait_is_spent_with_the_broker_which_brings_the_message_back() {
    let world = World::new().await;
    let provider = Provider::scripted([Answer::Refuse(131_056)]);
    let settings = Settings { later_after: Duration::ZERO, ..Settings::default() };
    let owner = world.owner("a", &provider, Number { settings, ..Number::default() });
    let id = world.queue_one(1).await;
    let later = subject::sends_later(&world.tenant, &world.session, &id);
    wait_for(SOON, "the broker has it", async || {
        let outbox = world.bus.jetstream().get_stream(OUTBOX.name).await.unwrap();
        outbox.get_last_raw_message_by_subject(later.as_str()).await.ok()
    })
    .await;
    world.status(id, Status::Accepted).await;
    assert_eq!(provider.times(id), 2);
    world.queue_is_empty().await;
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_whatsapp_spares_is_tried_again_a_day_later() {
    let world = World::new().await;
    let provider = Provider::scripted([Answer::Refuse(131_049)]);
    let owner = world.owner("a", &provider, Number::default());
    let id = world.queue_one(1).await;
    let later = subject::sends_later(&world.tenant, &world.session, &id);
    let kept = wait_for(SOON, "the broker has it", async || {
        let outbox = world.bus.jetstream().get_stream(OUTBOX.name).await.unwrap();
        outbox.get_last_raw_message_by_subject(later.as_str()).await.ok()
    })
    .await;
    let schedule = kept.headers.get("Nats-Schedule").unwrap().as_str();
    let at = time::OffsetDateTime::parse(
        schedule.strip_prefix("@at ").unwrap(),
        &time::format_description::well_known::Rfc3339,
    );
    let wait = at.unwrap() - time::OffsetDateTime::now_utc();
    assert!((wait.whole_seconds() - 24 * 3600).abs() < 30, "{schedule}");
    world.queue_keeps(1).await;
    assert_eq!(world.send(id).await.unwrap().state(), SendState::Waiting);
    assert!(world.statuses(id).is_empty(), "nothing has become of it yet");
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_expire_before_it_is_tried_again_fails_at_once_for_what_the_provider_says() {
    let world = World::new().await;
    let provider = Provider::scripted([Answer::Refuse(131_049)]);
    let owner = world.owner("a", &provider, Number::default());
    let message = world.message(1, Priority::Campaign);
    let day_ms = 24 * 3_600 * 1_000;
    let id = world.queue(&Message { expires_at_ms: message.received_at_ms + day_ms, ..message }).await;
    let failed = world.status(id, Status::Failed).await;
    assert_eq!(failed.errors[0].code, 131_049);
    world.queue_is_empty().await;
    assert_eq!(provider.times(id), 1);
    assert_eq!(world.send(id).await.unwrap().state(), SendState::Failed);
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_stops_the_number_and_keeps_its_queue() {
    let world = World::new().await;
    let provider = Provider::scripted([Answer::Refuse(190)]);
    let mut owner = world.owner("a", &provider, Number::default());
    let id = world.queue_one(1).await;
    let halt = tokio::time::timeout(SOON, owner.halts.recv()).await.unwrap();
    assert_eq!(halt, Some(Halt::Number { reason: "error 190 (190)".to_owned() }));
    owner.open.send(false).unwrap();
    let other = world.queue_one(2).await;
    wait_for(SOON, "it waits", async || {
        world.send(id).await.filter(|send| send.state() == SendState::Waiting)
    })
    .await;
    assert_eq!(provider.reached().len(), 1);
    owner.open.send(true).unwrap();
    world.status(id, Status::Accepted).await;
    world.status(other, Status::Accepted).await;
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_campaign_waits_while_answers_go_on() {
    let world = World::new().await;
    let provider = Provider::scripted([Answer::Refuse(131_048)]);
    let mut owner = world.owner("a", &provider, Number::default());
    let campaign = world.queue(&world.message(1, Priority::Campaign)).await;
    let halt = tokio::time::timeout(SOON, owner.halts.recv()).await.unwrap();
    assert!(matches!(halt, Some(Halt::Campaigns { .. })));
    let second = world.queue(&world.message(2, Priority::Campaign)).await;
    let reply = world.queue(&world.message(1, Priority::Reply)).await;
    world.status(reply, Status::Accepted).await;
    assert_eq!((provider.times(campaign), provider.times(second)), (1, 0));
    world.queue_keeps(2).await;
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn campaigns_that_were_refused_wait_over_owners_and_connections_until_their_pause_is_over() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    let until = Instant::now() + Duration::from_secs(4);
    let owner =
        world.owner("b", &provider, Number { campaigns_held_until: Some(until), ..Number::default() });
    owner.open.send(false).unwrap();
    owner.open.send(true).unwrap();
    let campaign = world.queue(&world.message(1, Priority::Campaign)).await;
    let reply = world.queue(&world.message(1, Priority::Reply)).await;
    world.status(reply, Status::Accepted).await;
    world.status(campaign, Status::Accepted).await;
    let reached = provider.reached();
    assert_eq!(
        reached.iter().map(|reached| &reached.id).collect::<Vec<_>>(),
        [&reply.to_string(), &campaign.to_string()]
    );
    assert!(reached[0].at < until && reached[1].at >= until);
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_says_later_of_the_whole_number_stops_it_as_a_refusal_does() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    let mut owner = world.owner("a", &provider, Number::default());
    let reason = || "spam limit (131048)".to_owned();
    owner.tells.send(Halt::Campaigns { reason: reason() }).await.unwrap();
    assert_eq!(owner.halts.recv().await, Some(Halt::Campaigns { reason: reason() }));
    let campaign = world.queue(&world.message(1, Priority::Campaign)).await;
    let reply = world.queue(&world.message(1, Priority::Reply)).await;
    world.status(reply, Status::Accepted).await;
    world.queue_keeps(1).await;
    assert_eq!(provider.times(campaign), 0);
    // Every message of the campaign may say so; it is news once.
    owner.tells.send(Halt::Campaigns { reason: reason() }).await.unwrap();
    owner.tells.send(Halt::Number { reason: reason() }).await.unwrap();
    assert_eq!(owner.halts.recv().await, Some(Halt::Number { reason: reason() }));
    let second = world.queue(&world.message(2, Priority::Reply)).await;
    owner.open.send(false).unwrap();
    owner.open.send(true).unwrap();
    world.status(second, Status::Accepted).await;
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_its_window_a_contact_gets_the_template_where_there_is_one() {
    let world = World::new().await;
    let provider = Provider::scripted([Answer::Refuse(131_047), Answer::Accept, Answer::Refuse(131_047)]);
    let owner = world.owner("a", &provider, Number::default());
    let mut message = world.message(1, Priority::Transactional);
    message.fallback = bytes::Bytes::from_static(br#"{"name":"hello","language":{"code":"es"}}"#);
    let with = world.queue(&message).await;
    world.status(with, Status::Accepted).await;
    let reached: Vec<bool> = provider.reached().iter().map(|reached| reached.instead).collect();
    assert_eq!(reached, [false, true]);
    let without = world.queue_one(2).await;
    let failed = world.status(without, Status::Failed).await;
    assert_eq!(failed.errors[0].code, 131_047);
    world.queue_is_empty().await;
    assert_eq!(world.dead_letters().await.len(), 0);
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_is_known_to_be_closed_costs_no_attempt() {
    let world = World::new().await;
    let provider = Provider::scripted([]);
    let windows = world.bus.jetstream().get_key_value(WINDOWS.name).await.unwrap();
    for contact in ["5491100000001", "5491100000002"] {
        let window =
            ContactWindow { last_in_at_ms: clock::now_ms() - 25 * 3600 * 1000, ..ContactWindow::default() };
        let key = window_key(&world.tenant, &world.session, &contact.parse().unwrap());
        windows.put(key, window.encode_to_vec().into()).await.unwrap();
    }
    let owner = world.owner("a", &provider, Number::default());
    let id = world.queue_one(1).await;
    assert_eq!(world.status(id, Status::Failed).await.errors[0].code, 131_047);
    assert_eq!(provider.times(id), 0);
    owner.stopped().await;
    let number = Number { fallback: Some(r#"{"name":"hello"}"#), ..Number::default() };
    let owner = world.owner("b", &provider, number);
    let id = world.queue_one(2).await;
    world.status(id, Status::Accepted).await;
    assert!(provider.reached()[0].instead && provider.reached().len() == 1);
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_fifth_attempt_a_message_is_a_dead_letter_that_can_be_replayed() {
    let world = World::new().await;
    let provider = Provider::scripted(std::iter::repeat_n(Answer::Refuse(131_000), 5));
    let owner = world.owner("a", &provider, Number::default());
    let message = world.message(1, Priority::Transactional);
    let id = world.queue(&message).await;
    assert_eq!(world.status(id, Status::Failed).await.errors[0].code, 131_000);
    world.queue_is_empty().await;
    assert_eq!(provider.times(id), 5);
    let letters = world.dead_letters().await;
    let due = letters[0].1.get("Chasqui-Dead-Subject").unwrap().as_str().to_owned();
    assert_eq!(letters[0].1.get("Chasqui-Dead-Reason").unwrap().as_str(), "attempts");
    // As `chasqui dlq replay` does.
    let again = world.bus.publish_bytes(
        &due,
        message.encode_to_vec().into(),
        async_nats::HeaderMap::new(),
        "replay:1:1",
    );
    again.await.unwrap();
    world.status(id, Status::Accepted).await;
    assert_eq!(provider.times(id), 6);
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_costs_no_message_its_attempts() {
    let world = World::new().await;
    let provider = Provider::scripted(std::iter::repeat_n(Answer::NotWritten, 5));
    let owner = world.owner("a", &provider, Number::default());
    let id = world.queue_one(1).await;
    world.status(id, Status::Accepted).await;
    assert_eq!(provider.times(id), 6);
    assert_eq!(world.dead_letters().await.len(), 0);
    owner.stopped().await;
}
