//! What keeps a process that wakes up late, or waits for a slow broker, from doing harm.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::jetstream::consumer::{AckPolicy, pull};
use chasqui_kit::consume::Delivery;
use chasqui_proto::{
    MessageId,
    stream::{OUTBOX, SENDS, bucket_stream},
    subject,
    v1::{Priority, SendState, Status},
};
use chasqui_testkit::wait_for;
use futures::{StreamExt, future};

use super::world::{Number, Provider, SOON, World};
use crate::{
    pace::gate::Gate,
    sending::{
        attempt::{self, Chance, End},
        hand::{Hand, changed},
        intake,
        parcel::Parcel,
    },
    sends::Sends,
    window::Windows,
};

const CHANCE: Chance = Chance { priority: Priority::Transactional, probing: false, pair_pause: None };

async fn hand(world: &World, provider: &Arc<Provider>, rate: Option<u32>) -> Arc<Hand> {
    let number = Number { rate, ..Number::default() };
    Arc::new(Hand {
        line: world.line("a", provider, &number),
        gate: Gate::new(rate),
        settings: number.settings,
        sends: Sends::open(&world.bus).await.unwrap(),
        windows: Windows::open(&world.bus).await.unwrap(),
    })
}

/// So many messages of the queue, in the hands of this process.
async fn parcels(world: &World, count: u32) -> Vec<Box<Parcel>> {
    let outbox = world.bus.jetstream().get_stream(OUTBOX.name).await.unwrap();
    for contact in 0..count {
        world.queue_one(contact).await;
    }
    let config = pull::Config { ack_policy: AckPolicy::Explicit, ..pull::Config::default() };
    let consumer = outbox.create_consumer(config).await.unwrap();
    let messages = consumer.messages().await.unwrap().take(count as usize);
    let read = messages.map(|message| Parcel::read(Delivery::of(message.unwrap()).unwrap()).unwrap());
    read.collect().await
}

async fn changes(world: &World) -> u64 {
    let sends = world.bus.jetstream().get_stream(bucket_stream(&SENDS)).await.unwrap();
    sends.cached_info().state.last_sequence
}

/// Another process has taken the session over and found a claim that nobody answers for.
async fn is_taken_for_dead(world: &World, id: MessageId) {
    let sends = Sends::open(&world.bus).await.unwrap();
    let record = wait_for(SOON, "the claim is there", async || {
        sends.get(&world.tenant, &world.session, &id).await.unwrap()
    })
    .await;
    let uncertain = changed(&record.send, SendState::Uncertain);
    sends.put(&world.tenant, &world.session, &id, (&record, uncertain)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_was_paused_before_it_wrote_finds_that_its_claim_is_no_longer_its_own() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    let hand = hand(&world, &provider, Some(1)).await;
    let parcel = parcels(&world, 1).await.pop().unwrap();
    let id = parcel.id;
    // The pause: longer than a claim is good for. In it, another owner begins; this one has not heard of that.
    hand.gate.take(Instant::now());
    let attempt = attempt::attempt(Arc::clone(&hand), parcel, CHANCE);
    let (report, ()) = tokio::join!(attempt, is_taken_for_dead(&world, id));
    assert_eq!((report.end, report.trip.is_none()), (End::Uncertain, true));
    assert_eq!(provider.times(id), 0);
    assert_eq!(world.send(id).await.unwrap().state(), SendState::Uncertain);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_nobody_else_saw_is_written_anew_and_counted_once() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    let hand = hand(&world, &provider, Some(1)).await;
    let parcel = parcels(&world, 1).await.pop().unwrap();
    let id = parcel.id;
    hand.gate.take(Instant::now());
    let report = attempt::attempt(hand, parcel, CHANCE).await;
    assert_eq!((report.end, report.trip.is_some()), (End::Done, true));
    assert_eq!(changes(&world).await, 3, "claimed twice, accepted once");
    let send = world.send(id).await.unwrap();
    assert_eq!((provider.times(id), send.state(), send.attempts), (1, SendState::Accepted, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_the_broker_together_does_not_reach_the_provider_together() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    let hand = hand(&world, &provider, Some(4)).await;
    // As when a broker answers all at once that was silent for a while.
    let attempts = parcels(&world, 10).await.into_iter();
    future::join_all(attempts.map(|parcel| attempt::attempt(Arc::clone(&hand), parcel, CHANCE))).await;
    let reached = provider.reached();
    assert_eq!(reached.len(), 10);
    for five in reached.windows(5) {
        assert!(five[4].at - five[0].at >= Duration::from_secs(1), "five of four a second");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_wrote_never_goes_through_the_session_of_another() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    let owner = world.owner("a", &provider, Number::default());
    let mut foreign = world.message(1, Priority::Transactional);
    foreign.tenant = "other".to_owned();
    let id = world.queue(&foreign).await;
    let own = world.queue_one(1).await;
    world.status(own, Status::Accepted).await;
    world.queue_is_empty().await;
    let letters = world.dead_letters().await;
    assert_eq!(letters[0].1.get("Chasqui-Dead-Reason").unwrap().as_str(), "undecodable");
    let error = letters[0].1.get("Chasqui-Dead-Last-Error").unwrap();
    assert!(error.as_str().starts_with("tenant:"), "{error}");
    assert_eq!((provider.times(id), world.send(id).await), (0, None));
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_takes_no_more_consumers_is_told_from_one_that_is_away() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    let hand = hand(&world, &provider, None).await;
    let outbox = world.bus.jetstream().get_stream(OUTBOX.name).await.unwrap();
    let config =
        async_nats::jetstream::stream::Config { max_consumers: 1, ..outbox.cached_info().config.clone() };
    world.bus.jetstream().update_stream(config).await.unwrap();
    let _first = intake::open(&hand, Priority::Reply).await.unwrap();
    let refused = intake::open(&hand, Priority::Campaign).await.err().expect("one is all it takes");
    assert!(intake::is_full(&*refused), "{refused}");
    let other = subject::messages_out(&world.tenant, &"5491100000001".parse().unwrap());
    let away = world.bus.jetstream().get_stream(other.as_str()).await.expect_err("that is no stream");
    assert!(!intake::is_full(&away));
}
