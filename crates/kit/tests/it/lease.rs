//! One owner in the cluster.

use std::time::{Duration, Instant};

use chasqui_kit::{Bus, lease::Leases};
use chasqui_proto::{stream::LEASES, subject::NodeToken};
use chasqui_testkit::{NatsServer, wait_for};

use crate::{DEADLINE, broker, connect};

const KEY: &str = "session.default.main";

async fn leases(bus: &Bus, node: &str) -> Leases {
    Leases::open(bus, &NodeToken::new(node)).await.unwrap()
}

async fn second(nats: &NatsServer) -> Leases {
    leases(&connect(nats).await, "two").await
}

#[tokio::test]
async fn of_two_who_want_a_lease_one_gets_it_and_the_other_after_it() {
    let (nats, bus) = broker().await;
    let (one, two) = (leases(&bus, "one").await, second(&nats).await);
    let (a, b) = tokio::join!(one.take(KEY), two.take(KEY));
    let mut held: Vec<_> = [a.unwrap(), b.unwrap()].into_iter().flatten().collect();
    assert_eq!(held.len(), 1);
    let first = held.remove(0);
    let ownership = first.ownership;
    first.release().await;
    let next = two.take(KEY).await.unwrap().expect("it was given back");
    assert!(next.ownership > ownership);
    assert_eq!(one.holder(KEY).await.unwrap().as_deref(), Some("two"));
    assert!(one.take(KEY).await.unwrap().is_none());
}

#[tokio::test]
async fn ownerships_grow_on_where_the_broker_has_lost_the_leases() {
    let (_nats, bus) = broker().await;
    let before = leases(&bus, "one").await;
    for _ in 0..3 {
        before.take(KEY).await.unwrap().expect("nobody holds it").release().await;
    }
    let ownership = before.take(KEY).await.unwrap().expect("nobody holds it").ownership;
    bus.jetstream().delete_key_value(LEASES.name).await.unwrap();
    chasqui_kit::stream::ensure_all(&bus).await.unwrap();
    let next = leases(&bus, "two").await.take(KEY).await.unwrap().expect("nobody holds it");
    assert!(next.ownership > ownership, "{} after {ownership}", next.ownership);
    assert!(i64::try_from(next.ownership).is_ok(), "databases keep it");
}

#[tokio::test]
async fn a_lease_outlives_its_first_end_and_ends_with_its_holder() {
    let (nats, bus) = broker().await;
    let (one, two) = (leases(&bus, "one").await, second(&nats).await);
    let held = one.take(KEY).await.unwrap().unwrap();
    let began = Instant::now();
    // Longer than a lease that nobody renews: what another sees is that it is still held.
    let outlived = async || {
        assert!(two.take(KEY).await.unwrap().is_none());
        (began.elapsed() > Duration::from_secs(7)).then_some(())
    };
    wait_for(DEADLINE, "the lease is renewed", outlived).await;
    assert!(!held.lost().is_cancelled());
    // The holder dies: nothing renews it any more.
    let died = Instant::now();
    drop(held);
    let taken = wait_for(DEADLINE, "the lease ends", async || two.take(KEY).await.unwrap()).await;
    assert!(died.elapsed() < Duration::from_secs(10), "an owner's death is mended within ten seconds");
    drop(taken);
}

#[tokio::test]
async fn a_holder_that_lost_the_broker_knows_before_another_can_take_it() {
    let (nats, bus) = broker().await;
    let held = leases(&bus, "one").await.take(KEY).await.unwrap().unwrap();
    nats.stop().await;
    tokio::time::timeout(DEADLINE, held.lost().cancelled()).await.expect("the loss is told");
}
