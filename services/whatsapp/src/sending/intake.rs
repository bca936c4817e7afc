//! From the queue into this process.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{
    ErrorCode,
    consumer::{
        AckPolicy, PullConsumer,
        pull::{self, MessagesErrorKind},
    },
    stream::{ConsumerError, ConsumerErrorKind},
};
use chasqui_kit::consume::Delivery;
use chasqui_proto::{
    stream::{self, OUTBOX},
    subject,
    v1::Priority,
};
use futures::StreamExt;
use tokio::sync::mpsc;

use super::hand::Hand;

/// How long a message may stay unacknowledged before it is delivered once more: what is still held is recognised.
const ACK_WAIT: Duration = Duration::from_mins(5);
/// How many messages are fetched at once.
const BATCH_MAX: usize = 256;
/// The pause before a consumer that failed is opened again.
const OPEN_PAUSE: Duration = Duration::from_millis(500);
/// The pause where the broker has as many consumers as it may: somebody must act.
const FULL_PAUSE: Duration = Duration::from_secs(30);
/// The pause after somebody removed the consumer: another process may own the session by now, and this one hears of
/// that within this time.
const OTHER_OWNER_PAUSE: Duration = Duration::from_secs(8);

/// Reads everything of one priority until stopped.
pub(crate) async fn read(hand: Arc<Hand>, priority: Priority, into: mpsc::Sender<(Priority, Delivery)>) {
    let stop = hand.line.stop.clone();
    while !stop.is_cancelled() {
        let Some(pause) = stop.run_until_cancelled(read_once(&hand, priority, &into)).await else { return };
        stop.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
}

/// Reads until the consumer has to be opened again, after the returned pause.
async fn read_once(hand: &Hand, priority: Priority, into: &mpsc::Sender<(Priority, Delivery)>) -> Duration {
    let mut disruptions = hand.line.bus.disruptions();
    disruptions.mark_unchanged();
    let opened = open(hand, priority).await;
    let mut messages = match opened {
        Ok(messages) => messages,
        Err(error) if is_full(&*error) => {
            tracing::error!(
                session = %hand.line.session, %error,
                "the broker allows no more consumers of the stream {}: nothing of this session is sent until \
                 jetstream.limits.default_max_consumers, or max_consumers of the account, is raised", OUTBOX.name
            );
            return FULL_PAUSE;
        }
        Err(error) => {
            tracing::warn!(session = %hand.line.session, %error, "the queue of a session cannot be read; trying again");
            return OPEN_PAUSE;
        }
    };
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            // What was delivered while the connection was lost would come again only after minutes.
            _ = disruptions.changed() => return OPEN_PAUSE,
        };
        match message {
            Some(Ok(message)) => {
                let Some(delivery) = Delivery::of(message) else { continue };
                if into.send((priority, delivery)).await.is_err() {
                    return OPEN_PAUSE;
                }
            }
            Some(Err(error)) if error.kind() == MessagesErrorKind::MissingHeartbeat => {
                tracing::debug!(%error, "the queue of a session was interrupted");
            }
            Some(Err(error)) if error.kind() == MessagesErrorKind::ConsumerDeleted => {
                return OTHER_OWNER_PAUSE;
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "the queue of a session was interrupted");
                return OPEN_PAUSE;
            }
            None => return OPEN_PAUSE,
        }
    }
}

/// Whether the stream has as many consumers as it may: each session has three.
pub(super) fn is_full(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let refused = error.downcast_ref::<ConsumerError>().map(ConsumerError::kind);
    matches!(refused, Some(ConsumerErrorKind::JetStream(refused)) if refused.error_code() == ErrorCode::MAXIMUM_CONSUMERS_LIMIT)
}

/// Opens the consumer anew, so that everything unacknowledged is delivered at once, whoever had it before.
pub(super) async fn open(
    hand: &Hand,
    priority: Priority,
) -> Result<pull::Stream, Box<dyn std::error::Error + Send + Sync>> {
    let line = &hand.line;
    let name = stream::sends_consumer(&line.tenant, &line.session, priority);
    let queue = line.bus.jetstream().get_stream_no_info(OUTBOX.name).await?;
    match queue.delete_consumer(&name).await {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ConsumerErrorKind::JetStream(ref refused) if refused.code() == 404) =>
            {}
        Err(error) => return Err(error.into()),
    }
    let consumer: PullConsumer = queue
        .create_consumer(pull::Config {
            durable_name: Some(name),
            description: Some("What the owner of a WhatsApp session sends".to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: i64::try_from(hand.settings.queue_max).unwrap_or(i64::MAX),
            max_deliver: -1,
            filter_subject: subject::sends_of_session(&line.tenant, &line.session, priority)
                .as_str()
                .to_owned(),
            ..pull::Config::default()
        })
        .await?;
    Ok(consumer.stream().max_messages_per_batch(BATCH_MAX).messages().await?)
}
