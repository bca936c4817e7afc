//! The floor: what the broker alone takes, from an acknowledged publish to a subscriber on another connection.

use std::time::Duration;

use anyhow::Context;
use async_nats::{
    HeaderMap, Subscriber,
    jetstream::stream::{Config, Republish, StorageType},
};
use chasqui_kit::{Bus, bus::NatsConfig};
use chasqui_proto::{
    stream::{BENCH, BENCH_REPUBLISH_TO, MESSAGES},
    subject,
};
use futures::StreamExt;

use crate::{
    audience::{Audience, Source},
    ledger::Outcome,
    load::Lane,
    marker,
    plan::{Pace, Plan},
    trial::{self, Load, Measurement},
};

/// Publishes that wait for their acknowledgement at once in a closed loop; more bring nothing here.
const IN_FLIGHT: u32 = 512;
/// The most the stream keeps: far more than a run stores, and bounded where one is never removed.
const STREAM_BYTES_MAX: i64 = 1024 * 1024 * 1024;

/// The bench's own stream, on two connections as different processes would have.
#[derive(Debug)]
pub(crate) struct Floor {
    /// Publishes.
    pub(crate) publisher: Bus,
    /// Listens.
    pub(crate) listener: Bus,
}

impl Floor {
    /// Connects, and makes the stream anew: kept in files, with as many replicas as the deployment's own.
    pub(crate) async fn open(nats: &NatsConfig) -> anyhow::Result<Self> {
        let publisher = Bus::connect("bench publisher", nats).await?;
        let listener = Bus::connect("bench listener", nats).await?;
        let floor = Self { publisher, listener };
        floor
            .make_stream()
            .await
            .context("the stream BENCH cannot be made; the user may lack the permission")?;
        Ok(floor)
    }

    async fn make_stream(&self) -> anyhow::Result<()> {
        let jetstream = self.publisher.jetstream();
        // A run that was killed leaves its stream behind; there may also be none.
        drop(jetstream.delete_stream(BENCH.name).await);
        let replicas = match jetstream.get_stream(MESSAGES.name).await {
            Ok(stream) => stream.cached_info().config.num_replicas,
            Err(_) => self.publisher.config().replicas,
        };
        let config = Config {
            name: BENCH.name.to_owned(),
            description: Some(BENCH.description.to_owned()),
            subjects: BENCH.subjects.iter().map(|&subject| subject.to_owned()).collect(),
            storage: StorageType::File,
            num_replicas: replicas,
            max_bytes: STREAM_BYTES_MAX,
            max_age: Duration::from_secs(BENCH.age_max_secs.unwrap_or(0)),
            duplicate_window: Duration::from_secs(BENCH.duplicate_window_secs),
            allow_direct: true,
            republish: Some(Republish {
                source: ">".to_owned(),
                destination: BENCH_REPUBLISH_TO.to_owned(),
                headers_only: false,
            }),
            ..Config::default()
        };
        jetstream.create_stream(config).await?;
        Ok(())
    }

    /// Removes the stream.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.publisher
            .jetstream()
            .delete_stream(BENCH.name)
            .await
            .context("the stream BENCH stays behind")?;
        Ok(())
    }

    /// Measures the broker alone under the given load. In a closed loop publishes are pipelined.
    pub(crate) async fn measure(&self, load: &Load<'_>) -> anyhow::Result<Measurement> {
        let lanes = if load.pace == Pace::Closed { IN_FLIGHT } else { load.lanes };
        let plan = Load { lanes, ..*load }.plan();
        let mut audience = Audience::new(&plan);
        audience.join(None, Listener::open(&self.listener).await?);
        let publisher =
            Publisher { bus: self.publisher.clone(), plan: plan.clone(), text_bytes: load.text_bytes };
        let publishers = vec![publisher; lanes as usize];
        Ok(trial::run(&plan, publishers, audience, load).await?.0)
    }
}

/// Publishes a message and waits until the stream has it.
#[derive(Clone, Debug)]
struct Publisher {
    bus: Bus,
    plan: Plan,
    text_bytes: usize,
}

impl Lane for Publisher {
    async fn send(&mut self, message: u32) -> Outcome {
        let text = marker::text(&self.plan.run, message, self.text_bytes);
        publish(&self.bus, self.plan.conversation_of(message), text).await
    }
}

/// Publishes a text on the bench's stream, with the header that drops repeated publishes, as every service does.
pub(crate) async fn publish(bus: &Bus, conversation: u32, text: String) -> Outcome {
    let subject = subject::bench(conversation);
    let id = uuid::Uuid::now_v7().to_string();
    match bus.publish_bytes(subject.as_str(), text.into(), HeaderMap::new(), &id).await {
        Ok(_) => Outcome::Acknowledged,
        Err(_) => Outcome::Failed,
    }
}

/// Hears what the bench's stream has stored.
#[derive(Debug)]
pub(crate) struct Listener(Subscriber);

impl Listener {
    /// Subscribes; nothing published from now on is missed.
    pub(crate) async fn open(bus: &Bus) -> anyhow::Result<Self> {
        let subscriber = bus.client().subscribe(subject::live_bench().as_str().to_owned()).await?;
        bus.barrier().await?;
        Ok(Self(subscriber))
    }
}

impl Source for Listener {
    async fn next_text(&mut self) -> Option<String> {
        let message = self.0.next().await?;
        Some(String::from_utf8_lossy(&message.payload).into_owned())
    }
}
