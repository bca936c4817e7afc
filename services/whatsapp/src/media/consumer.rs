//! Every file that a contact sends is brought when its message arrives: the provider keeps it for some days only.

use std::time::Duration;

use chasqui_kit::{
    Bus, Coded, Disposition, TraceContext,
    consume::{self, ConsumeError, ConsumerSpec, Delivery, Start},
};
use chasqui_media::{FileId, MediaStore};
use chasqui_proto::{
    stream, subject,
    v1::{ChannelKind, FetchMedia, Message},
};
use futures::{StreamExt, stream as streams};
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use super::{FetchError, request};

/// How many files are waited for at once.
const FETCHES_MAX: usize = 32;
/// How many messages are read at once; most have no file.
const BATCH_MAX: usize = 128;
/// How many messages may be unacknowledged over all replicas, those that wait for their next attempt included.
const ACK_PENDING_MAX: usize = 2_000;
/// How long a message may stay unacknowledged; prolonged while its file is on its way.
const ACK_WAIT: Duration = Duration::from_mins(1);
/// How often a file is tried before it is left to whoever asks for it: about an hour with the pauses between.
const ATTEMPTS_MAX: u64 = 15;
/// The pause after the first attempt; each further one doubles it.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_mins(10);

/// Brings files until stopped.
pub(crate) async fn run(bus: Bus, store: MediaStore, stop: CancellationToken) -> Result<(), ConsumeError> {
    let consumer = consume::open(&bus, &spec()).await?;
    let batches = consume::batches(&consumer, stream::WHATSAPP_MEDIA_CONSUMER, BATCH_MAX).await?;
    let deliveries = batches.flat_map(streams::iter).take_until(stop.cancelled());
    let (bus, store, stop) = (&bus, &store, &stop);
    let all = deliveries.for_each_concurrent(FETCHES_MAX, |delivery| async move {
        if stop.run_until_cancelled(handle(bus, store, &delivery)).await.is_none() {
            delivery.again(Duration::ZERO).await;
        }
    });
    all.await;
    Ok(())
}

fn spec() -> ConsumerSpec {
    ConsumerSpec {
        stream: stream::MESSAGES,
        name: stream::WHATSAPP_MEDIA_CONSUMER,
        description: "Brings files of contacts' messages into the media store",
        filters: vec![subject::messages_in_of_all()],
        start: Start::Everything,
        ack_wait: ACK_WAIT,
        ack_pending_max: ACK_PENDING_MAX,
    }
}

async fn handle(bus: &Bus, store: &MediaStore, delivery: &Delivery) {
    let message = Message::decode(delivery.payload().clone()).ok();
    // What cannot be decoded is persistence's to bury.
    let Some(wanted) = message.as_ref().and_then(wanted) else { return delivery.done().await };
    let trace = TraceContext::of_nats(delivery.headers());
    let fetched = held(delivery, request(bus, store, &wanted, trace)).await;
    let outcome = match fetched {
        Ok(_) => {
            delivery.done().await;
            "brought"
        }
        Err(error) if is_hopeless(&error, delivery.attempt) => {
            delivery.done().await;
            tracing::warn!(
                %error,
                tenant = wanted.tenant,
                message = wanted.message_id,
                attempts = delivery.attempt,
                "a contact's file was not brought; it is tried again when somebody asks for it"
            );
            "given_up"
        }
        Err(error) => {
            tracing::debug!(%error, message = wanted.message_id, "a contact's file is tried again");
            delivery.again(pause(delivery.attempt)).await;
            "retried"
        }
    };
    metrics::counter!("chasqui_whatsapp_media_total", "outcome" => outcome).increment(1);
}

/// Runs `work` and keeps its message from going to another replica meanwhile.
async fn held<T>(delivery: &Delivery, work: impl Future<Output = T>) -> T {
    let hold = async {
        loop {
            tokio::time::sleep(ACK_WAIT / 3).await;
            delivery.hold().await;
        }
    };
    tokio::select! {
        done = work => done,
        never = hold => never,
    }
}

/// The file of a message, if it has one that only its provider has.
fn wanted(message: &Message) -> Option<FetchMedia> {
    let media = message.media.as_ref().filter(|media| !media.id.is_empty())?;
    let channel = message.channel.as_ref()?;
    let is_whatsapp = matches!(channel.kind(), ChannelKind::WhatsappCloud | ChannelKind::WhatsappLinked);
    let is_ours = media.id.parse::<FileId>().is_ok();
    (is_whatsapp && !is_ours).then(|| FetchMedia {
        tenant: message.tenant.clone(),
        session: channel.id.clone(),
        message_id: message.id.clone(),
        media: Some(media.clone()),
    })
}

fn is_hopeless(error: &FetchError, attempt: u64) -> bool {
    attempt >= ATTEMPTS_MAX || error.code().disposition() == Disposition::Reject
}

fn pause(attempt: u64) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::{Channel, Media};

    use super::*;

    fn message(kind: ChannelKind, media_id: &str) -> Message {
        Message {
            id: FileId::now().to_string(),
            tenant: "default".to_owned(),
            channel: Some(Channel { kind: kind.into(), id: "main".to_owned(), ..Channel::default() }),
            media: Some(Media { id: media_id.to_owned(), ..Media::default() }),
            ..Message::default()
        }
    }

    #[test]
    fn only_what_the_provider_alone_has_is_brought() {
        for kind in [ChannelKind::WhatsappCloud, ChannelKind::WhatsappLinked] {
            let message = message(kind, "1234567890123456");
            let wanted = wanted(&message).unwrap();
            assert_eq!((wanted.message_id, wanted.session.as_str()), (message.id, "main"));
        }
        assert_eq!(wanted(&message(ChannelKind::Widget, "17")), None);
        assert_eq!(wanted(&message(ChannelKind::WhatsappCloud, "")), None);
        assert_eq!(wanted(&message(ChannelKind::WhatsappCloud, &FileId::now().to_string())), None);
        assert_eq!(wanted(&Message::default()), None);
    }

    #[test]
    fn a_file_is_tried_for_about_an_hour() {
        let all: Duration = (1..ATTEMPTS_MAX).map(pause).sum();
        assert!((3_000..4_000).contains(&all.as_secs()), "{all:?}");
        assert_eq!(pause(u64::MAX), PAUSE_MAX);
    }
}
