use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::Result;
use chasqui_directory::Directory;
use chasqui_kit::{Bus, TraceContext, bus::NatsConfig, publish::Fact};
use chasqui_proto::{
    ConversationToken, Tenant, stream,
    subject::{chats_updated, conversations_updated},
    v1::{
        Chat, ChatStatus, Conversation, DirectoryEntry, EntryKind, Responder, TenantEntry,
        directory_entry::Entry,
    },
};
use chasqui_responder::{Reason, Responders};
use chasqui_testkit::{NatsServer, wait_for};
use prost::Message;

/// How long a fact may take to become true.
const SOON: Duration = Duration::from_secs(20);

/// A broker, and whoever asks who answers.
pub(crate) struct World {
    pub(crate) nats: NatsServer,
    pub(crate) responders: Responders,
    pub(crate) tenant: Tenant,
    bus: Bus,
    version: AtomicU64,
}

pub(crate) fn contact() -> ConversationToken {
    "5491100000001".parse().expect("it is a token")
}

pub(crate) fn other() -> ConversationToken {
    "5491100000002".parse().expect("it is a token")
}

impl World {
    pub(crate) async fn start(default: Responder) -> Result<Self> {
        let nats = NatsServer::start().await?;
        let bus = Bus::connect("test", &NatsConfig { url: nats.url(), ..NatsConfig::default() }).await?;
        chasqui_kit::stream::ensure_all(&bus).await?;
        let directory = Directory::open(&bus, &[EntryKind::Tenant]);
        directory.ready().await;
        let responders = Responders::open(&bus, directory, default).await?;
        Ok(Self { nats, responders, tenant: "default".parse()?, bus, version: AtomicU64::new(0) })
    }

    /// Checks who answers the contact.
    pub(crate) async fn is(&self, responder: Responder, reason: Reason) -> Result<()> {
        let standing = self.responders.of(&self.tenant, &contact()).await?;
        assert_eq!((standing.responder, standing.reason), (responder, reason));
        Ok(())
    }

    /// Whether the conversation itself is the bot's.
    pub(crate) async fn is_given_to_bot(&self) -> Result<bool> {
        Ok(self.responders.is_given_to_bot(&self.tenant, &contact()).await?)
    }

    /// Persistence tells of the contact's chat.
    pub(crate) async fn chat(&self, status: ChatStatus) -> Result<()> {
        let version = self.next();
        let chat = Chat { status: status.into(), version, ..Chat::default() };
        let subject = chats_updated(&self.tenant, &contact());
        let fact = Fact::new(subject, &chat, format!("chat {version}"), TraceContext::root());
        self.bus.publish(fact).await?;
        Ok(())
    }

    /// Persistence tells of the contact's conversation.
    pub(crate) async fn conversation(&self, change: impl FnOnce(&mut Conversation)) -> Result<()> {
        let version = self.next();
        let mut conversation = Conversation { version, ..Conversation::default() };
        change(&mut conversation);
        let subject = conversations_updated(&self.tenant, &contact());
        let fact = Fact::new(subject, &conversation, format!("conversation {version}"), TraceContext::root());
        self.bus.publish(fact).await?;
        Ok(())
    }

    /// What nobody can read.
    pub(crate) async fn garbage(&self, subject: &str) -> Result<()> {
        self.bus.jetstream().publish(subject.to_owned(), "\u{1}garbage".into()).await?.await?;
        Ok(())
    }

    /// Changes the tenant's entry, and waits until it counts.
    pub(crate) async fn tenant_is(&self, entry: TenantEntry, expected: Responder) -> Result<()> {
        let bucket = self.bus.jetstream().get_key_value(stream::DIRECTORY_BUCKET).await?;
        let entry = DirectoryEntry { entry: Some(Entry::Tenant(entry)) };
        bucket.put(stream::tenant_key(&self.tenant), entry.encode_to_vec().into()).await?;
        wait_for(SOON, "the tenant's entry counts", async || {
            (self.responders.of_tenant(&self.tenant) == expected).then_some(())
        })
        .await;
        Ok(())
    }

    /// Waits until the broker answers.
    pub(crate) async fn until_asked(&self) {
        wait_for(SOON, "the broker is there again", async || {
            self.responders.of(&self.tenant, &contact()).await.ok()
        })
        .await;
    }

    fn next(&self) -> u64 {
        self.version.fetch_add(1, Ordering::Relaxed) + 1
    }
}
