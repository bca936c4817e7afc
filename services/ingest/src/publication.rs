//! Facts on their way into the stream.

use chasqui_kit::{
    Bus, Code, Coded, TraceContext,
    publish::{self, PublishError, Stored},
};
use chasqui_proto::{
    ConversationToken,
    address::ADDRESS_LENGTH_MAX,
    stream::MESSAGES,
    subject,
    v1::{Message, ProviderNotice},
};
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message as _;

use crate::{
    addresses::{AddressError, Addresses},
    cloud_api::Fact,
    idempotency,
};

/// How many facts of one webhook wait for their acknowledgement at once. WhatsApp sends a handful; a batch of a
/// thousand must not take every place of the connection.
const FACTS_IN_FLIGHT_MAX: usize = 256;

/// The account of notices that name none.
const UNKNOWN_ACCOUNT: &str = "unknown";

/// A fact that is not stored, or not known to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublicationError {
    /// Its conversation could not be found out.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The stream did not acknowledge it.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// It was stored before, and cannot be read.
    #[error("what was stored before cannot be read: {0}")]
    Unread(String),
    /// Another message was stored under the same id.
    #[error("Idempotency-Key: it was used for another message")]
    KeyUsed,
}

impl Coded for PublicationError {
    fn code(&self) -> Code {
        match self {
            Self::Address(error) => error.code(),
            Self::Publish(error) => error.code(),
            Self::Unread(_) => Code::Unavailable,
            Self::KeyUsed => Code::Conflict,
        }
    }
}

/// Puts facts into the stream.
#[derive(Debug)]
pub(crate) struct Publication {
    bus: Bus,
    addresses: Addresses,
}

impl Publication {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { addresses: Addresses::new(bus.clone()), bus }
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.bus
    }

    pub(crate) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Returns once a message to a contact is stored, under its id. What was stored under that before must be the same
    /// message.
    pub(crate) async fn publish_out(
        &self,
        message: &Message,
        trace: TraceContext,
    ) -> Result<Stored, PublicationError> {
        let tenant = message.tenant.parse().expect("a message carries the name of a tenant");
        let subject = subject::messages_out(&tenant, &token(&message.conversation));
        let stored = self.bus.publish(publish::Fact::new(subject, message, &message.id, trace)).await?;
        if stored.duplicate && !idempotency::is_same(&self.read(stored.seq).await?, message) {
            return Err(PublicationError::KeyUsed);
        }
        let result = if stored.duplicate { "duplicate" } else { "stored" };
        metrics::counter!("chasqui_ingest_facts_total", "type" => message.r#type().name(), "result" => result)
            .increment(1);
        Ok(stored)
    }

    /// A message that the stream has.
    async fn read(&self, seq: u64) -> Result<Message, PublicationError> {
        let unread = |error: String| PublicationError::Unread(error);
        let stream = self.bus.jetstream().get_stream_no_info(MESSAGES.name).await;
        let stream = stream.map_err(|error| unread(error.to_string()))?;
        let raw = stream.get_raw_message(seq).await.map_err(|error| unread(error.to_string()))?;
        Message::decode(raw.payload).map_err(|error| unread(error.to_string()))
    }

    /// Returns once every fact is stored. After a failure some may be: publishing all of them again stores none twice.
    pub(crate) async fn publish_all(
        &self,
        facts: Vec<Fact>,
        trace: TraceContext,
    ) -> Result<(), PublicationError> {
        // All conversations first, so that facts are then sent in the order they came.
        let assigned: Vec<Fact> = stream::iter(facts.into_iter().map(|fact| self.assign(fact)))
            .buffered(FACTS_IN_FLIGHT_MAX)
            .try_collect()
            .await?;
        stream::iter(assigned.into_iter().map(|fact| self.publish(fact, trace)))
            .buffered(FACTS_IN_FLIGHT_MAX)
            .try_for_each(async |()| Ok(()))
            .await?;
        Ok(())
    }

    async fn assign(&self, mut fact: Fact) -> Result<Fact, AddressError> {
        if let Some(alias) = fact.unnamed() {
            let token = self.addresses.conversation(&fact.tenant(), alias).await?;
            fact.assign(&token);
        }
        Ok(fact)
    }

    async fn publish(&self, fact: Fact, trace: TraceContext) -> Result<(), PublishError> {
        let mut stored = self.publish_once(&fact, trace).await;
        if matches!(stored, Err(PublishError::TooLarge)) {
            stored = self.publish_once(&fact.clone().without_raw(), trace).await;
        }
        if matches!(stored, Err(PublishError::TooLarge)) {
            tracing::error!(
                fact = fact.label(),
                "a fact is larger than the broker accepts; a notice tells of it"
            );
            stored = self.publish_once(&fact.mention(), trace).await;
        }
        let result = if stored?.duplicate { "duplicate" } else { "stored" };
        metrics::counter!("chasqui_ingest_facts_total", "type" => fact.label(), "result" => result)
            .increment(1);
        Ok(())
    }

    async fn publish_once(&self, fact: &Fact, trace: TraceContext) -> Result<Stored, PublishError> {
        let tenant = fact.tenant();
        match fact {
            Fact::Message(message) => {
                let token = token(&message.conversation);
                let subject = match message.direction() {
                    chasqui_proto::v1::Direction::Out => subject::messages_out(&tenant, &token),
                    _ => subject::messages_in(&tenant, &token),
                };
                self.bus.publish(publish::Fact::new(subject, message.as_ref(), &message.id, trace)).await
            }
            Fact::Status(status) => {
                let subject = subject::messages_status(&tenant, &token(&status.conversation));
                self.bus.publish(publish::Fact::new(subject, status.as_ref(), &status.id, trace)).await
            }
            Fact::Notice(notice) => {
                let subject = subject::messages_notice(&tenant, account(notice));
                self.bus.publish(publish::Fact::new(subject, notice.as_ref(), &notice.id, trace)).await
            }
        }
    }
}

fn token(conversation: &str) -> ConversationToken {
    conversation.parse().expect("facts carry the text of a token")
}

/// The number a notice is about, else the account.
fn account(notice: &ProviderNotice) -> &str {
    let channel = notice.channel.iter().flat_map(|channel| [channel.id.as_str(), &channel.account_id]);
    let fits = |account: &&str| !account.is_empty() && account.len() <= ADDRESS_LENGTH_MAX;
    channel.into_iter().find(fits).unwrap_or(UNKNOWN_ACCOUNT)
}
