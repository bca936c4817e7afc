//! Partitions and their owners.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use async_nats::HeaderMap;
use chasqui_kit::{clock, lease::Leases};
use chasqui_proto::{
    header, id, stream,
    subject::{self, NodeToken},
    v1::{Delivery, Message, delivery::Fact},
};
use chasqui_testkit::wait_for;
use prost::Message as _;

use crate::{
    receiver::{Answer, Received, Receiver},
    world::{SOON, World, config, message, tenant},
};

/// How many partitions each node owns.
async fn owners(world: &World) -> Result<BTreeMap<String, usize>> {
    let leases = Leases::open(&world.bus, &NodeToken::new("test")).await?;
    let mut owners = BTreeMap::new();
    for partition in 0..stream::DELIVERY_PARTITIONS {
        if let Some(holder) = leases.holder(&stream::delivery_lease(partition)).await? {
            *owners.entry(holder).or_default() += 1;
        }
    }
    Ok(owners)
}

#[tokio::test]
async fn an_owner_that_dies_mid_delivery_loses_nothing() -> Result<()> {
    const MESSAGES: usize = 30;
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    for id in ["hanging", "working"] {
        world.register(id, &bots.url).await?;
    }
    bots.answers("hanging", Answer::Never);
    let first = world.replica("webhooks-1").await?;
    for number in 0..MESSAGES {
        world.writes("5491100000001", &format!("{number:02}")).await?;
    }
    let attempt = wait_for(SOON, "it is being delivered", async || bots.of("hanging").pop()).await;
    let second = world.replica("webhooks-2").await?;
    first.kill().await;
    let died = Instant::now();
    bots.answers("hanging", Answer::With(200));
    wait_for(SOON, "everything has come", async || (bots.of("hanging").len() > MESSAGES).then_some(())).await;
    println!("taken over after {:?}", bots.of("hanging")[1].at - died);
    assert!(bots.of("hanging")[1].at - died < Duration::from_secs(12));
    let received = bots.of("hanging");
    assert_eq!(received[1].header("webhook-id"), attempt.header("webhook-id"), "it is the same event");
    let texts: Vec<String> = received[1..].iter().map(Received::text).collect();
    assert_eq!(texts, (0..MESSAGES).map(|number| format!("{number:02}")).collect::<Vec<_>>());
    assert!(bots.of("working").len() >= MESSAGES);
    second.stop().await
}

#[tokio::test]
async fn replicas_share_the_partitions_and_hand_them_over() -> Result<()> {
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    for number in 0..32 {
        world.register(&format!("bot-{number}"), &bots.url).await?;
    }
    let first = world.replica("webhooks-1").await?;
    let all = |node: &str| BTreeMap::from([(node.to_owned(), 16)]);
    wait_for(SOON, "the first has all", async || {
        (owners(&world).await.ok()? == all("webhooks-1")).then_some(())
    })
    .await;
    let second = world.replica("webhooks-2").await?;
    let halves = BTreeMap::from([("webhooks-1".to_owned(), 8), ("webhooks-2".to_owned(), 8)]);
    let (mut written, mut shared) = (0, false);
    while !shared {
        world.writes("5491100000001", &format!("{written:04}")).await?;
        written += 1;
        shared = owners(&world).await? == halves;
    }
    first.stop().await?;
    wait_for(SOON, "the second has all", async || {
        (owners(&world).await.ok()? == all("webhooks-2")).then_some(())
    })
    .await;
    world.writes("5491100000001", &format!("{written:04}")).await?;
    written += 1;
    wait_for(SOON, "nothing is lost on the way", async || (bots.all().len() >= 32 * written).then_some(()))
        .await;
    for number in 0..32 {
        let texts: Vec<String> = bots.of(&format!("bot-{number}")).iter().map(Received::text).collect();
        assert_eq!(texts.len(), written, "softly handed over, each came once");
        assert!(texts.is_sorted(), "{texts:?}");
    }
    second.stop().await
}

/// An owner died with one event in its hands, which was due before those that it had parked behind it. Another
/// conversation's was parked even earlier.
#[tokio::test]
async fn what_an_owner_had_in_hand_comes_before_what_it_had_parked() -> Result<()> {
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    world.register("bot", &bots.url).await?;
    let token = NodeToken::new("bot");
    let partition =
        id::fact_id(&["partition", tenant().as_str(), "bot"]).as_fields().0 % stream::DELIVERY_PARTITIONS;
    let due = subject::deliveries_due(partition, &tenant(), &token);
    let parked = subject::deliveries_parked(partition, &tenant(), &token);
    let (one, other) = ("5491100000001", "5491100000002");
    let store = async |subject: &subject::Subject<Delivery>, seq: u64, message: Message, was_due: u64| {
        let delivery = Delivery {
            id: format!("delivery-{seq}"),
            tenant: tenant().to_string(),
            listener: "bot".to_owned(),
            event: "message.received".to_owned(),
            fact: Some(Fact::Message(message)),
            seq,
            created_at_ms: clock::now_ms(),
            ..Delivery::default()
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::DUE_SEQUENCE, was_due.to_string());
        let (name, payload) = (subject.as_str().to_owned(), delivery.encode_to_vec().into());
        let stored = world.bus.jetstream().publish_with_headers(name, headers, payload).await?.await?;
        anyhow::Ok(stored.sequence)
    };
    let in_hand = store(&due, 3, message(one, "second"), 0).await?;
    store(&parked, 1, message(other, "first"), in_hand - 1).await?;
    store(&parked, 6, message(one, "third"), in_hand + 1).await?;
    store(&due, 9, message(one, "fourth"), 0).await?;
    let replica = world.replica("webhooks-1").await?;
    wait_for(SOON, "everything has come", async || (bots.all().len() == 4).then_some(())).await;
    let received = bots.of("bot");
    let of_one = received.iter().filter(|received| received.json()["conversation"] == one);
    let texts: Vec<String> = of_one.map(Received::text).collect();
    assert_eq!(texts, ["second", "third", "fourth"]);
    replica.stop().await
}
