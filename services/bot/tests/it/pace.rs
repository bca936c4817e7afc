//! How fast contacts are answered.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use chasqui_kit::{Bus, bus::NatsConfig};
use chasqui_proto::{subject, v1::Message};
use futures::StreamExt;
use prost::Message as _;
use tokio::time::MissedTickBehavior;

use crate::{
    walk::WORDS,
    world::{SOON, World},
};

/// Messages a second, and how many: each contact says the first words of the flow, some of which make it ask.
const PACE: u64 = 300;
const MESSAGES: usize = 1_500;
const CONTACTS: usize = 500;
/// An unoptimised build on a machine that does other things as well; what is promised is measured with a release build.
const P99_MAX: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_messages_a_second_are_answered_while_they_are_said() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("one").await?;
    let bus = Bus::connect("ear", &NatsConfig { url: world.nats.url(), ..NatsConfig::default() }).await?;
    let mut live = bus.client().subscribe("live.messages.out.>").await?;
    bus.barrier().await?;
    let listening = tokio::spawn(async move {
        let mut heard = HashMap::new();
        while heard.len() < MESSAGES {
            let Ok(Some(reply)) = tokio::time::timeout(SOON, live.next()).await else { break };
            let Ok(reply) = Message::decode(reply.payload) else { continue };
            heard.insert(reply.answers, Instant::now());
        }
        heard
    });
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / PACE));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut stored = HashMap::new();
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..MESSAGES {
        tick.tick().await;
        let said = WORDS[number / CONTACTS];
        let message = crate::world::message(&format!("54911000{:05}", number % CONTACTS), said);
        let (bus, id) = (world.bus.clone(), message.id.clone());
        let to = subject::messages_in(&crate::world::tenant(), &message.conversation.parse()?);
        writes.spawn(async move {
            let fact =
                chasqui_kit::publish::Fact::new(to, &message, &message.id, chasqui_kit::TraceContext::root());
            bus.publish(fact).await.map(|_| (id, Instant::now()))
        });
    }
    while let Some(written) = writes.join_next().await {
        let (id, at) = written??;
        stored.insert(id, at);
    }
    let heard = listening.await?;
    let mut times: Vec<Duration> =
        stored.iter().filter_map(|(id, at)| Some(heard.get(id)?.saturating_duration_since(*at))).collect();
    times.sort_unstable();
    assert_eq!(times.len(), MESSAGES);
    let at = |share: usize| times[MESSAGES * share / 1_000 - 1];
    println!("p50 {:?}, p99 {:?}, p99.9 {:?}", at(500), at(990), at(999));
    assert!(at(990) < P99_MAX, "p99 is {:?}", at(990));
    Ok(())
}
