//! Until when a contact may be written to freely: 24 hours after it last wrote.

use async_nats::jetstream::kv::{self, CreateErrorKind, UpdateErrorKind};
use chasqui_kit::{
    Bus, clock,
    consume::{self, Cause, ConsumerSpec, Delivery, Start},
};
use chasqui_proto::{
    ConversationToken, Tenant,
    stream::{self, WINDOWS},
    subject::{self, NodeToken},
    v1::{ChannelKind, ContactWindow, Message},
};
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use crate::consumer;

/// How long a contact may be written to after it wrote, milliseconds.
const OPEN_MS: i64 = 24 * 3600 * 1000;
/// How often a window is written when other replicas write it at the same time.
const WRITES_MAX: u32 = 8;

/// Whether a contact that last wrote at `last_in_at_ms` may be written to freely.
pub(crate) fn is_open(last_in_at_ms: i64, now_ms: i64) -> bool {
    now_ms - last_in_at_ms < OPEN_MS
}

/// The bucket.
#[derive(Debug, Clone)]
pub(crate) struct Windows(kv::Store);

impl Windows {
    /// Opens the bucket.
    pub(crate) async fn open(bus: &Bus) -> Result<Self, kv::EntryError> {
        let opened = bus.jetstream().get_key_value(WINDOWS.name).await;
        opened.map(Self).map_err(|error| kv::EntryError::with_source(kv::EntryErrorKind::Other, error))
    }

    /// When a contact last wrote to a session, as far as is known.
    pub(crate) async fn get(
        &self,
        tenant: &Tenant,
        session: &NodeToken,
        conversation: &ConversationToken,
    ) -> Result<Option<ContactWindow>, kv::EntryError> {
        let found = self.0.get(stream::window_key(tenant, session, conversation)).await?;
        Ok(found.and_then(|value| ContactWindow::decode(value).ok()))
    }

    /// Keeps the newer of two windows, whichever replica has it.
    async fn keep(&self, key: &str, window: &ContactWindow) -> Result<(), String> {
        for _ in 0..WRITES_MAX {
            let stored = self.0.entry(key).await.map_err(|error| error.to_string())?;
            let known = stored.as_ref().and_then(|entry| ContactWindow::decode(entry.value.clone()).ok());
            if known.is_some_and(|known| known.last_in_at_ms >= window.last_in_at_ms) {
                return Ok(());
            }
            let value = window.encode_to_vec().into();
            let overtaken = match stored {
                None => match self.0.create(key, value).await {
                    Ok(_) => return Ok(()),
                    Err(error) => error.kind() == CreateErrorKind::AlreadyExists || is_overtaken(&error),
                },
                Some(entry) => match self.0.update(key, value, entry.revision).await {
                    Ok(_) => return Ok(()),
                    Err(error) => error.kind() == UpdateErrorKind::WrongLastRevision,
                },
            };
            if !overtaken {
                return Err("the bucket windows did not take it".to_owned());
            }
        }
        Err("others wrote it each time".to_owned())
    }
}

fn is_overtaken(error: &kv::CreateError) -> bool {
    error.to_string().contains("wrong last")
}

/// Notes when contacts write, until stopped. Any number of replicas share the work.
pub(crate) async fn keep_windows(bus: Bus, stop: CancellationToken) {
    let spec = ConsumerSpec {
        stream: stream::MESSAGES,
        name: stream::WINDOW_CONSUMER,
        description: "Notes when contacts write to WhatsApp numbers, for the 24 hours in which they may be answered",
        filters: vec![subject::messages_in_of_all()],
        start: Start::Everything,
        ack_wait: consumer::ACK_WAIT,
        ack_pending_max: consumer::ACK_PENDING_MAX,
    };
    let opened = consumer::until_open(&stop, || Windows::open(&bus)).await;
    let Some(windows) = opened else { return };
    consumer::follow(&bus, &spec, &stop, |delivery| {
        let (bus, windows) = (&bus, &windows);
        async move { note(bus, windows, delivery).await }
    })
    .await;
}

async fn note(bus: &Bus, windows: &Windows, delivery: Delivery) {
    let Ok((key, window)) = read(&delivery) else {
        let cause = Cause {
            service: crate::PART,
            reason: "undecodable",
            first_error: "no message of a contact",
            last_error: "no message of a contact",
        };
        if consume::bury(bus, &delivery, &cause).await.is_err() {
            delivery.again(consumer::AGAIN_PAUSE).await;
        }
        return;
    };
    let kept = match key {
        Some(key) => windows.keep(&key, &window).await,
        None => Ok(()),
    };
    match kept {
        Ok(()) => delivery.done().await,
        Err(error) => {
            tracing::warn!(error, "the time a contact wrote was not noted; trying again");
            delivery.again(consumer::AGAIN_PAUSE).await;
        }
    }
}

/// The window that a message opens; no key if it came through no WhatsApp session.
fn read(delivery: &Delivery) -> Result<(Option<String>, ContactWindow), ()> {
    let message = Message::decode(delivery.payload().clone()).map_err(|_| ())?;
    let parts = subject::parse(delivery.subject()).ok_or(())?;
    let tenant: Tenant = parts.tenant.parse().map_err(|_| ())?;
    let conversation: ConversationToken = parts.key.parse().map_err(|_| ())?;
    let channel = message
        .channel
        .as_ref()
        .filter(|channel| matches!(channel.kind(), ChannelKind::WhatsappCloud | ChannelKind::WhatsappLinked));
    let key = channel.map(|channel| stream::window_key(&tenant, &NodeToken::new(&channel.id), &conversation));
    // A provider's clock may be ahead of ours; a window never opens in the future.
    let occurred = if message.occurred_at_ms > 0 { message.occurred_at_ms } else { message.received_at_ms };
    let window = ContactWindow {
        last_in_at_ms: occurred.min(clock::now_ms()),
        message_id: message.id,
        provider_message_id: message.provider_id,
    };
    Ok((key, window))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_open_for_24_hours() {
        assert!(is_open(0, OPEN_MS - 1));
        assert!(!is_open(0, OPEN_MS));
    }
}
