use std::{
    collections::HashSet,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use async_nats::jetstream::stream::DirectGetErrorKind;
use chasqui_bot::{Config, Error};
use chasqui_kit::{
    Bus, Platform, TraceContext, bus::NatsConfig, clock, door::Door, health::Health, publish::Fact,
    telemetry::Metrics,
};
use chasqui_proto::{
    ConversationToken, Tenant, address,
    stream::{self, bot_key, bucket_stream, bucket_subject},
    subject::{self, NodeToken},
    v1::{
        BotConversation, Channel, ChannelKind, Chat, ChatStatus, Contact, Conversation, Direction,
        DirectoryEntry, Message, MessageType, Responder, SenderType, TenantEntry, directory_entry::Entry,
    },
};
use chasqui_testkit::{NatsServer, wait_for};
use prost::Message as _;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::office::{Office, Open};

/// How long a fact may take to become true.
pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const CONTACT: &str = "5491100000001";

/// The broker, persistence, and everybody but the bot.
pub(crate) struct World {
    pub(crate) nats: NatsServer,
    pub(crate) bus: Bus,
    pub(crate) office: Office,
    pub(crate) open: Option<Open>,
    pub(crate) config: Config,
    definitions: TempDir,
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

pub(crate) fn tenant() -> Tenant {
    "default".parse().expect("it is a tenant")
}

fn token(contact: &str) -> ConversationToken {
    contact.parse().expect("it is a conversation")
}

impl World {
    /// A world whose bot has no files.
    pub(crate) async fn start() -> Result<Self> {
        let nats = NatsServer::start().await?;
        let bus = Bus::connect("test", &NatsConfig { url: nats.url(), ..NatsConfig::default() }).await?;
        chasqui_kit::stream::ensure_all(&bus).await?;
        let office = Office::default();
        let open = Some(office.open(&bus).await?);
        let config = Config { responder: Responder::Builtin, ..Config::default() };
        Ok(Self { nats, bus, office, open, config, definitions: tempfile::tempdir()? })
    }

    /// A world whose bot does what a file says.
    pub(crate) async fn with(definition: &str) -> Result<Self> {
        let mut world = Self::start().await?;
        let directory: &Path = world.definitions.path();
        std::fs::write(directory.join("default.toml"), definition)?;
        world.config.definitions = Some(directory.to_owned());
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
        let service = tokio::spawn(chasqui_bot::run(self.config.clone(), platform, stop.clone()));
        wait_for(SOON, "the replica is ready", async || health.is_ready().then_some(())).await;
        Ok(Replica { stop, service })
    }

    /// A contact writes. The id of its message.
    pub(crate) async fn writes(&self, contact: &str, text: &str) -> Result<String> {
        self.sends(message(contact, text)).await
    }

    /// A message of a contact is stored.
    pub(crate) async fn sends(&self, message: Message) -> Result<String> {
        let subject = subject::messages_in(&tenant(), &token(&message.conversation));
        self.bus.publish(Fact::new(subject, &message, &message.id, TraceContext::root())).await?;
        Ok(message.id)
    }

    /// A person of the tenant writes, chat or not.
    pub(crate) async fn agent_writes(&self, contact: &str, text: &str) -> Result<()> {
        let message = Message {
            direction: Direction::Out.into(),
            sender_type: SenderType::Agent.into(),
            sender_id: "agent-1".to_owned(),
            ..message(contact, text)
        };
        let subject = subject::messages_out(&tenant(), &token(contact));
        self.bus.publish(Fact::new(subject, &message, &message.id, TraceContext::root())).await?;
        Ok(())
    }

    /// A message to a contact is stored.
    pub(crate) async fn says(&self, message: &Message) -> Result<()> {
        let subject = subject::messages_out(&tenant(), &token(&message.conversation));
        self.bus.publish(Fact::new(subject, message, &message.id, TraceContext::root())).await?;
        Ok(())
    }

    /// Everything that was written to a contact, oldest first.
    pub(crate) async fn said(&self, contact: &str) -> Result<Vec<Message>> {
        let messages = self.bus.jetstream().get_stream(stream::MESSAGES.name).await?;
        let subject = subject::messages_out(&tenant(), &token(contact));
        let (mut said, mut from) = (Vec::new(), 1);
        loop {
            match messages.direct_get_next_for_subject(subject.as_str(), Some(from)).await {
                Ok(found) => {
                    from = found.sequence + 1;
                    said.push(Message::decode(found.payload)?);
                }
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(said),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What the bot said to a contact, oldest first.
    pub(crate) async fn replies(&self, contact: &str) -> Result<Vec<Message>> {
        let is_bots = |message: &Message| message.sender_type() == SenderType::Ai;
        Ok(self.said(contact).await?.into_iter().filter(is_bots).collect())
    }

    pub(crate) async fn texts(&self, contact: &str) -> Result<Vec<String>> {
        Ok(self.replies(contact).await?.into_iter().map(|message| message.text).collect())
    }

    /// Waits until the bot has said so much to a contact.
    pub(crate) async fn hears(&self, contact: &str, count: usize) -> Vec<Message> {
        let claim = format!("the bot has said {count} things to {contact}");
        wait_for(SOON, &claim, async || {
            self.replies(contact).await.ok().filter(|replies| replies.len() >= count)
        })
        .await
    }

    /// Waits until everything is handled and acknowledged.
    pub(crate) async fn settled(&self) {
        wait_for(SOON, "everything is handled", async || {
            let stream = self.bus.jetstream().get_stream(stream::MESSAGES.name).await.ok()?;
            let info = stream.consumer_info(stream::BOT_CONSUMER).await.ok()?;
            (info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
        })
        .await;
    }

    /// Waits until the bot has something in hand that it does not acknowledge.
    pub(crate) async fn holds(&self, count: usize) {
        wait_for(SOON, "the bot holds what waits", async || {
            let stream = self.bus.jetstream().get_stream(stream::MESSAGES.name).await.ok()?;
            let info = stream.consumer_info(stream::BOT_CONSUMER).await.ok()?;
            (info.num_pending == 0 && info.num_ack_pending == count).then_some(())
        })
        .await;
    }

    /// Where the bot stands in a conversation.
    pub(crate) async fn state(&self, contact: &str) -> Result<(BotConversation, u64)> {
        let bucket = self.bus.jetstream().get_stream(bucket_stream(&stream::BOT)).await?;
        let subject = bucket_subject(&stream::BOT, &bot_key(&tenant(), &token(contact)));
        let found = bucket.get_last_raw_message_by_subject(&subject).await?;
        Ok((BotConversation::decode(found.payload)?, found.sequence))
    }

    /// Another state of a conversation, as a replica that died would have left it.
    pub(crate) async fn set_state(&self, contact: &str, state: BotConversation) -> Result<()> {
        let bucket = self.bus.jetstream().get_key_value(stream::BOT.name).await?;
        bucket.put(bot_key(&tenant(), &token(contact)), state.encode_to_vec().into()).await?;
        Ok(())
    }

    pub(crate) fn opened(&self) -> Vec<(String, String)> {
        let reason = |chat: &chasqui_proto::v1::OpenChat| (chat.conversation.clone(), chat.reason.clone());
        self.office.look(|stored| stored.opened.iter().map(reason).collect())
    }

    /// An agent opens a chat with a contact.
    pub(crate) async fn opens_chat(&self, contact: &str) -> Result<()> {
        self.changes_chat(contact, ChatStatus::Assigned).await
    }

    /// The agent is done.
    pub(crate) async fn closes_chat(&self, contact: &str) -> Result<()> {
        self.changes_chat(contact, ChatStatus::Closed).await
    }

    async fn changes_chat(&self, contact: &str, status: ChatStatus) -> Result<()> {
        let before = self.office.look(|stored| stored.chats.get(contact).cloned()).unwrap_or_default();
        let chat = Chat {
            tenant: tenant().to_string(),
            conversation: contact.to_owned(),
            status: status.into(),
            closed_at_ms: if status == ChatStatus::Closed { clock::now_ms() } else { 0 },
            version: before.version + 1,
            ..before
        };
        self.office.tell(&self.bus, chat).await
    }

    /// A conversation as its front end steers it.
    pub(crate) async fn steers(&self, conversation: Conversation) -> Result<()> {
        let subject = subject::conversations_updated(&tenant(), &token(&conversation.token));
        let id = format!("{}:{}", conversation.token, conversation.version);
        self.bus.publish(Fact::new(subject, &conversation, id, TraceContext::root())).await?;
        Ok(())
    }

    /// The tenant is suspended.
    pub(crate) async fn suspends(&self) -> Result<()> {
        let entry = TenantEntry { tenant: tenant().to_string(), suspended: true, ..TenantEntry::default() };
        let directory = self.bus.jetstream().get_key_value(stream::DIRECTORY.name).await?;
        let entry = DirectoryEntry { entry: Some(Entry::Tenant(entry)) };
        directory.put(stream::tenant_key(&tenant()), entry.encode_to_vec().into()).await?;
        Ok(())
    }

    /// Fails where two messages to a contact have one id.
    pub(crate) async fn each_once(&self, contact: &str) -> Result<()> {
        let said = self.said(contact).await?;
        let ids: HashSet<&String> = said.iter().map(|message| &message.id).collect();
        anyhow::ensure!(ids.len() == said.len(), "something was said twice: {said:#?}");
        Ok(())
    }

    /// Persistence is away.
    pub(crate) async fn closes_office(&mut self) -> Result<()> {
        self.open.take().context("it is open")?.close().await
    }

    pub(crate) async fn opens_office(&mut self) -> Result<()> {
        self.open = Some(self.office.open(&self.bus).await?);
        Ok(())
    }
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
        sender_type: SenderType::User.into(),
        r#type: MessageType::Text.into(),
        text: text.to_owned(),
        provider_id: format!("wamid.TEST{number:08}"),
        occurred_at_ms: clock::now_ms(),
        received_at_ms: clock::now_ms(),
        ..Message::default()
    }
}

/// The process's only recorder: a second one would show nothing.
fn metrics() -> Metrics {
    static METRICS: std::sync::OnceLock<Metrics> = std::sync::OnceLock::new();
    METRICS.get_or_init(Metrics::install).clone()
}
