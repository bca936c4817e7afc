use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use async_nats::jetstream;
use chasqui_kit::{
    Bus, Platform, TraceContext, bus::NatsConfig, clock, door::Door, health::Health, publish::Fact,
    seal::Seal, telemetry::Metrics,
};
use chasqui_proto::{
    ConversationToken, Tenant, address, service, stream,
    subject::{self, NodeToken},
    v1::{
        Channel, ChannelKind, Contact, DeliveryAttempt, Direction, DirectoryEntry, ListenerEntry,
        ListenerState, Message, MessageType, PutEntry, Responder, TenantEntry, directory_entry::Entry,
    },
};
use chasqui_testkit::{NatsServer, wait_for};
use chasqui_webhooks::{Config, Error};
use futures::StreamExt;
use prost::Message as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a fact may take to become true.
pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const SEALING_KEY: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The broker, and everybody but the service and the listeners.
pub(crate) struct World {
    pub(crate) nats: NatsServer,
    pub(crate) bus: Bus,
    config: Config,
    directory: Option<JoinHandle<Result<()>>>,
}

/// One process with the service.
pub(crate) struct Replica {
    stop: CancellationToken,
    service: JoinHandle<Result<(), Error>>,
}

impl Replica {
    /// Ends it like a crash: nothing is finished, nothing given back.
    pub(crate) async fn kill(self) {
        self.service.abort();
        let _ = self.service.await;
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.service.await??)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            directory.abort();
        }
    }
}

/// Quick where the default is patient.
pub(crate) fn config() -> Config {
    Config {
        sealing_key: Some(SEALING_KEY.into()),
        private_networks_allowed: vec!["127.0.0.0/8".to_owned()],
        rest_secs_min: 1,
        rest_secs_max: 1,
        ..Config::default()
    }
}

pub(crate) fn tenant() -> Tenant {
    "default".parse().expect("it is a tenant")
}

impl World {
    pub(crate) async fn start(config: Config) -> Result<Self> {
        let nats = NatsServer::start().await?;
        let bus = Bus::connect("test", &NatsConfig { url: nats.url(), ..NatsConfig::default() }).await?;
        chasqui_kit::stream::ensure_all(&bus).await?;
        let mut world = Self { nats, bus, config, directory: None };
        world.directory = Some(tokio::spawn(keep_directory(world.bus.clone())));
        world.bus.barrier().await?;
        Ok(world)
    }

    /// Starts a replica and waits until it is ready.
    pub(crate) async fn replica(&self, node: &str) -> Result<Replica> {
        let health = Health::default();
        let nats = NatsConfig { url: self.nats.url(), ..NatsConfig::default() };
        let platform = Platform {
            bus: Bus::connect(node, &nats).await?,
            door: Door::new(&health, &metrics()),
            health: health.clone(),
            node: NodeToken::new(node),
            tenant: tenant(),
        };
        let stop = CancellationToken::new();
        let service = tokio::spawn(chasqui_webhooks::run(self.config.clone(), platform, stop.clone()));
        wait_for(SOON, "the replica is ready", async || health.is_ready().then_some(())).await;
        Ok(Replica { stop, service })
    }

    /// Registers a listener that is signed with one secret.
    pub(crate) async fn register(&self, id: &str, url: &str) -> Result<()> {
        self.put(ListenerEntry { events: vec!["message.received".to_owned()], ..listener(id, url) }).await
    }

    pub(crate) async fn put(&self, listener: ListenerEntry) -> Result<()> {
        put(&self.bus, listener).await
    }

    /// Which bot answers the tenant's contacts.
    pub(crate) async fn tenant_is(&self, responder: Responder) -> Result<()> {
        let (tenant, store) = (tenant(), self.bus.jetstream().get_key_value(stream::DIRECTORY_BUCKET).await?);
        let (key, tenant) = (stream::tenant_key(&tenant), tenant.to_string());
        let entry = TenantEntry { tenant, responder: responder.into(), ..TenantEntry::default() };
        let entry = DirectoryEntry { entry: Some(Entry::Tenant(entry)) };
        store.put(key, entry.encode_to_vec().into()).await?;
        Ok(())
    }

    /// A listener as the directory has it.
    pub(crate) async fn listener(&self, id: &str) -> Result<ListenerEntry> {
        let store = self.bus.jetstream().get_key_value(stream::DIRECTORY_BUCKET).await?;
        let value = store.get(stream::listener_key(&tenant(), id)).await?.expect("it is registered");
        match DirectoryEntry::decode(value)?.entry {
            Some(Entry::Listener(listener)) => Ok(listener),
            other => panic!("{other:?}"),
        }
    }

    /// A contact writes. The id of its message.
    pub(crate) async fn writes(&self, contact: &str, text: &str) -> Result<String> {
        let message = message(contact, text);
        let conversation: ConversationToken = contact.parse()?;
        let subject = subject::messages_in(&tenant(), &conversation);
        self.bus.publish(Fact::new(subject, &message, &message.id, TraceContext::root())).await?;
        Ok(message.id)
    }

    /// Every attempt at a listener that was logged, oldest first.
    pub(crate) async fn logged(&self, listener: &str) -> Result<Vec<DeliveryAttempt>> {
        let attempts = self.stored(stream::DELIVERY_LOG.name).await?;
        let attempts = attempts.into_iter().map(|stored| DeliveryAttempt::decode(stored.payload));
        let attempts: Vec<_> = attempts.collect::<Result<_, _>>()?;
        Ok(attempts.into_iter().filter(|attempt| attempt.listener == listener).collect())
    }

    /// Everything a stream holds, oldest first.
    pub(crate) async fn stored(&self, name: &str) -> Result<Vec<jetstream::message::StreamMessage>> {
        let stream = self.bus.jetstream().get_stream(name).await?;
        let mut stored = Vec::new();
        for seq in 1..=stream.cached_info().state.last_sequence {
            stored.extend(stream.get_raw_message(seq).await.ok());
        }
        Ok(stored)
    }

    /// How many messages wait in the queue of deliveries.
    pub(crate) async fn queued(&self) -> Result<u64> {
        let stream = self.bus.jetstream().get_stream(stream::DELIVERIES.name).await?;
        Ok(stream.cached_info().state.messages)
    }

    /// How many deliveries the owners of partitions have in hand.
    pub(crate) async fn in_hand(&self) -> Result<usize> {
        let mut in_hand = 0;
        for partition in 0..stream::DELIVERY_PARTITIONS {
            let name = stream::deliveries_consumer(partition);
            let stream = self.bus.jetstream().get_stream(stream::DELIVERIES.name).await?;
            in_hand += stream.consumer_info(name).await?.num_ack_pending;
        }
        Ok(in_hand)
    }

    /// What is told of a listener.
    pub(crate) async fn state(&self, listener: &str) -> Option<ListenerState> {
        let subject = subject::listeners_updated(&tenant(), &NodeToken::new(listener));
        let stream = self.bus.jetstream().get_stream(stream::STATE.name).await.ok()?;
        let stored = stream.get_last_raw_message_by_subject(subject.as_str()).await.ok()?;
        ListenerState::decode(stored.payload).ok()
    }
}

pub(crate) fn listener(id: &str, url: &str) -> ListenerEntry {
    ListenerEntry {
        tenant: tenant().to_string(),
        id: id.to_owned(),
        url: format!("{url}/{id}"),
        sealed_secrets: vec![sealed(SECRET)],
        created_at_ms: clock::now_ms(),
        updated_at_ms: clock::now_ms(),
        ..ListenerEntry::default()
    }
}

pub(crate) fn sealed(secret: &str) -> String {
    Seal::new(&SEALING_KEY.into()).expect("it is long enough").seal(secret)
}

pub(crate) fn message(contact: &str, text: &str) -> Message {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Message {
        id: chasqui_proto::MessageId::now().to_string(),
        tenant: tenant().to_string(),
        conversation: contact.to_owned(),
        contact: Some(Contact {
            aliases: vec![address::phone(contact)],
            name: "Contact".to_owned(),
            ..Contact::default()
        }),
        channel: Some(Channel {
            kind: ChannelKind::WhatsappCloud.into(),
            id: "100000000000001".to_owned(),
            display_phone_number: "5491100000099".to_owned(),
            account_id: "200000000000001".to_owned(),
        }),
        direction: Direction::In.into(),
        r#type: MessageType::Text.into(),
        text: text.to_owned(),
        provider_id: format!("wamid.TEST{number:08}"),
        occurred_at_ms: clock::now_ms(),
        received_at_ms: clock::now_ms(),
        ..Message::default()
    }
}

/// The process's only recorder: a second one would show nothing.
pub(crate) fn metrics() -> Metrics {
    static METRICS: std::sync::OnceLock<Metrics> = std::sync::OnceLock::new();
    METRICS.get_or_init(Metrics::install).clone()
}

async fn put(bus: &Bus, listener: ListenerEntry) -> Result<()> {
    let store = bus.jetstream().get_key_value(stream::DIRECTORY_BUCKET).await?;
    let key = stream::listener_key(&tenant(), &listener.id);
    let entry = DirectoryEntry { entry: Some(Entry::Listener(listener)) };
    store.put(key, entry.encode_to_vec().into()).await?;
    Ok(())
}

/// What persistence does when an entry is put.
async fn keep_directory(bus: Bus) -> Result<()> {
    let mut questions = bus.client().subscribe(service::DIRECTORY_PUT.subject).await?;
    while let Some(question) = questions.next().await {
        let entry = PutEntry::decode(question.payload)?.entry.context("nothing is put")?;
        if let Some(Entry::Listener(listener)) = entry.entry.clone() {
            put(&bus, listener).await?;
        }
        let reply = question.reply.context("it wants an answer")?;
        bus.client().publish(reply, entry.encode_to_vec().into()).await?;
    }
    Ok(())
}
