//! A broker, a database, and persistence between them.

use std::time::Duration;

use anyhow::Result;
use chasqui_kit::{
    Bus, Code, Platform, TraceContext, bus::NatsConfig, door::Door, health::Health, publish::Fact,
    request::RequestError, stream, telemetry::Metrics,
};
use chasqui_persistence::{Config, Error};
use chasqui_proto::{
    ConversationToken, MessageId, Tenant, address,
    service::{self, Endpoint},
    subject::{self, NodeToken},
    v1::{self, Channel, ChannelKind, Contact, Direction, MessageType, SenderType, Status},
};
use chasqui_testkit::{NatsServer, Postgres, wait_for};
use prost::Message;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long anything may take before a test fails.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// When the stories happen, unix milliseconds.
pub(crate) const BEGIN_MS: i64 = 1_760_000_000_000;

pub(crate) struct World {
    pub(crate) nats: NatsServer,
    pub(crate) pool: PgPool,
    pub(crate) bus: Bus,
    pub(crate) config: Config,
}

/// A running replica.
pub(crate) struct Replica {
    pub(crate) health: Health,
    stop: CancellationToken,
    running: JoinHandle<Result<(), Error>>,
}

impl Replica {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(SOON, self.running)
            .await
            .expect("it stops soon")
            .expect("it does not panic")
            .expect("it ends well");
    }
}

impl World {
    /// A broker with streams and a database with a schema; nobody stores anything yet.
    pub(crate) async fn new() -> Result<Self> {
        Self::over(Postgres::shared().await?).await
    }

    pub(crate) async fn over(postgres: &Postgres) -> Result<Self> {
        let (nats, database_url) = (NatsServer::start().await?, postgres.database().await?);
        let bus = connect(&nats, "test").await?;
        stream::ensure_all(&bus).await?;
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(2).connect_lazy(&database_url)?;
        let config = Config {
            database_url: Some(database_url.into()),
            connections_max: 4,
            stats_interval_ms: 20,
            retry_pause_max_ms: 200,
            ..Config::default()
        };
        Ok(Self { nats, pool, bus, config })
    }

    /// Starts a replica and waits until it is ready.
    pub(crate) async fn replica(&self) -> Result<Replica> {
        let replica = self.unready_replica().await?;
        let health = replica.health.clone();
        wait_for(SOON, "the replica is ready", async || health.is_ready().then_some(())).await;
        Ok(replica)
    }

    pub(crate) async fn unready_replica(&self) -> Result<Replica> {
        let health = Health::default();
        let platform = Platform {
            bus: connect(&self.nats, "persistence").await?,
            door: Door::new(&health, &Metrics::install()),
            health: health.clone(),
            node: NodeToken::new(&Uuid::now_v7().to_string()),
            tenant: "default".parse()?,
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(chasqui_persistence::run(self.config.clone(), platform, stop.clone()));
        Ok(Replica { health, stop, running })
    }

    pub(crate) async fn publish_message(&self, message: &v1::Message) -> Result<u64> {
        let (tenant, token) = (message.tenant.parse()?, message.conversation.parse()?);
        let subject = match message.direction() {
            Direction::Out => subject::messages_out(&tenant, &token),
            _ => subject::messages_in(&tenant, &token),
        };
        let fact = Fact::new(subject, message, Uuid::now_v7().to_string(), TraceContext::root());
        Ok(self.bus.publish(fact).await?.seq)
    }

    pub(crate) async fn publish_status(&self, status: &v1::MessageStatus) -> Result<u64> {
        let subject = subject::messages_status(&status.tenant.parse()?, &status.conversation.parse()?);
        let fact = Fact::new(subject, status, Uuid::now_v7().to_string(), TraceContext::root());
        Ok(self.bus.publish(fact).await?.seq)
    }

    pub(crate) async fn ask<Q: Message, A: Message + Default>(
        &self,
        endpoint: Endpoint<Q, A>,
        question: Q,
    ) -> Result<A, RequestError> {
        self.bus.ask(endpoint, &question, TraceContext::root()).await
    }

    /// Waits until everything up to a position is stored.
    pub(crate) async fn stored(&self, seq: u64) {
        wait_for(SOON, "everything published is stored", async || {
            let question =
                v1::ListEvents { tenant: "default".to_owned(), limit: 1, ..v1::ListEvents::default() };
            let page = self.ask(service::EVENTS_SINCE, question).await.ok()?;
            (page.watermark_seq >= seq).then_some(())
        })
        .await;
    }

    pub(crate) async fn conversation(&self, name: &str) -> Result<v1::Conversation, RequestError> {
        let question = v1::GetConversation { tenant: "default".to_owned(), conversation: name.to_owned() };
        self.ask(service::CONVERSATIONS_GET, question).await
    }

    pub(crate) async fn stats(&self) -> Result<v1::Stats, RequestError> {
        self.ask(service::STATS_GET, v1::GetStats { tenant: "default".to_owned() }).await
    }

    pub(crate) async fn messages(&self, conversation: &str) -> Result<Vec<v1::StoredMessage>, RequestError> {
        let question = v1::ListMessages {
            tenant: "default".to_owned(),
            conversation: conversation.to_owned(),
            limit: 200,
            ..v1::ListMessages::default()
        };
        Ok(self.ask(service::MESSAGES_LIST, question).await?.messages)
    }

    /// The headers of the dead letters, as text, and how many there are.
    pub(crate) async fn dead_letters(&self) -> Result<Vec<(String, String)>> {
        use chasqui_proto::header::{DEAD_REASON, DEAD_SUBJECT};
        let mut dlq = self.bus.jetstream().get_stream(chasqui_proto::stream::DLQ.name).await?;
        let state = dlq.info().await?.state.clone();
        let mut letters = Vec::new();
        for seq in state.first_sequence.max(1)..=state.last_sequence {
            let letter = dlq.get_raw_message(seq).await?;
            let header = |name| letter.headers.get(name).map(ToString::to_string).unwrap_or_default();
            letters.push((header(DEAD_REASON), header(DEAD_SUBJECT)));
        }
        Ok(letters)
    }

    /// The newest stored state of a subject.
    pub(crate) async fn last_state<P: Message + Default>(&self, subject: &str) -> Option<P> {
        let stream = self.bus.jetstream().get_stream(chasqui_proto::stream::STATE.name).await.ok()?;
        let stored = stream.get_last_raw_message_by_subject(subject).await.ok()?;
        P::decode(stored.payload).ok()
    }
}

pub(crate) async fn connect(nats: &NatsServer, name: &str) -> Result<Bus> {
    let config = NatsConfig { url: nats.url(), ..NatsConfig::default() };
    Ok(Bus::connect(name, &config).await?)
}

pub(crate) fn tenant() -> Tenant {
    "default".parse().expect("a tenant")
}

pub(crate) fn phone(number: u32) -> String {
    format!("54911{number:08}")
}

/// A message of a contact over WhatsApp; `at_ms` counts from the beginning of the story.
pub(crate) fn inbound(number: u32, at_ms: i64, text: &str) -> v1::Message {
    let (tenant, provider_id) = (tenant(), format!("wamid.{}", Uuid::now_v7().simple()));
    let alias = address::phone(&phone(number));
    v1::Message {
        id: MessageId::of_provider(&tenant, &provider_id).to_string(),
        tenant: tenant.to_string(),
        conversation: ConversationToken::of(&alias).to_string(),
        contact: Some(Contact { aliases: vec![alias], name: "Contact".to_owned(), ..Contact::default() }),
        channel: Some(Channel {
            kind: ChannelKind::WhatsappCloud.into(),
            id: "102290129340398".to_owned(),
            ..Channel::default()
        }),
        direction: Direction::In.into(),
        sender_type: SenderType::User.into(),
        r#type: MessageType::Text.into(),
        text: text.to_owned(),
        provider_id,
        raw: br#"{"type":"text"}"#.as_slice().into(),
        occurred_at_ms: BEGIN_MS + at_ms,
        received_at_ms: BEGIN_MS + at_ms,
        ..v1::Message::default()
    }
}

/// A message of a bot to a contact, over the web widget.
pub(crate) fn outbound(number: u32, at_ms: i64, text: &str) -> v1::Message {
    v1::Message {
        id: MessageId::now().to_string(),
        provider_id: String::new(),
        direction: Direction::Out.into(),
        sender_type: SenderType::Ai.into(),
        contact: None,
        channel: Some(Channel { kind: ChannelKind::Widget.into(), ..Channel::default() }),
        ..inbound(number, at_ms, text)
    }
}

pub(crate) fn status(message: &v1::Message, status: Status) -> v1::MessageStatus {
    v1::MessageStatus {
        id: Uuid::now_v7().to_string(),
        tenant: message.tenant.clone(),
        conversation: message.conversation.clone(),
        message_id: message.id.clone(),
        provider_message_id: message.provider_id.clone(),
        status: status.into(),
        occurred_at_ms: message.occurred_at_ms,
        received_at_ms: message.received_at_ms,
        ..v1::MessageStatus::default()
    }
}

/// The code that a request was refused with.
pub(crate) fn refusal<A: std::fmt::Debug>(outcome: Result<A, RequestError>) -> (Code, String) {
    match outcome.expect_err("it was to be refused") {
        RequestError::Refused { code, message } => (code, message),
        other => panic!("{other}"),
    }
}

pub(crate) fn texts(messages: &[v1::StoredMessage]) -> Vec<&str> {
    messages.iter().map(|stored| stored.message.as_ref().expect("a message").text.as_str()).collect()
}
