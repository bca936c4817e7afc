//! What contacts wrote before the message in hand: it may be in the hands of another replica, and comes first.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream::{
    consumer::PullConsumer,
    message::StreamMessage,
    stream::{DirectGetErrorKind, RawMessageErrorKind, Stream},
};
use chasqui_kit::{Bus, TraceContext};
use chasqui_proto::{stream::MESSAGES, subject::messages_in, v1::Message};
use prost::Message as _;
use tokio::time::sleep;

use crate::{obstacle::Obstacle, place::Place};

/// How often the consumer is asked up to where everything is handled.
const FLOOR_EVERY: Duration = Duration::from_secs(1);

/// A message as the stream has it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) seq: u64,
    /// None where it cannot be decoded; whoever is given it buries it.
    pub(crate) message: Option<Arc<Message>>,
    /// By the broker's clock; unix milliseconds.
    pub(crate) at_ms: i64,
    pub(crate) trace: TraceContext,
}

impl From<StreamMessage> for Stored {
    fn from(found: StreamMessage) -> Self {
        let at_ms = i64::try_from(found.time.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        Self {
            seq: found.sequence,
            message: Message::decode(found.payload).ok().map(Arc::new),
            at_ms,
            trace: TraceContext::of_nats(Some(&found.headers)),
        }
    }
}

/// The stream of messages, read by position.
#[derive(Debug)]
pub(crate) struct Past {
    messages: Stream,
    /// Everything up to here is handled or buried.
    floor: AtomicU64,
}

impl Past {
    /// Opens the stream, which must be there.
    pub(crate) async fn open(bus: &Bus) -> Result<Self, Obstacle> {
        let opened = bus.jetstream().get_stream(MESSAGES.name).await;
        Ok(Self { messages: opened.map_err(Obstacle::away)?, floor: AtomicU64::new(0) })
    }

    /// Everything that the consumer was to deliver up to this position is handled, or buried.
    pub(crate) fn floor(&self) -> u64 {
        self.floor.load(Ordering::Relaxed)
    }

    /// Asks where the floor is.
    pub(crate) async fn look_at_floor(&self, consumer: &mut PullConsumer) -> Result<(), Obstacle> {
        let info = consumer.info().await.map_err(Obstacle::away)?;
        self.floor.fetch_max(info.ack_floor.stream_sequence, Ordering::Relaxed);
        Ok(())
    }

    /// Follows the floor, for as long as this is waited for, which is for ever. A floor that is too low costs a longer
    /// look into the past, nothing else.
    pub(crate) async fn follow_floor(&self, mut consumer: PullConsumer) {
        loop {
            sleep(FLOOR_EVERY).await;
            if let Err(error) = self.look_at_floor(&mut consumer).await {
                tracing::debug!(%error, "how far everything is handled is not known now");
            }
        }
    }

    /// The contact's first message after `after_seq`, `up_to_seq` at most.
    pub(crate) async fn next(
        &self,
        place: &Place,
        after_seq: u64,
        up_to_seq: u64,
    ) -> Result<Option<Stored>, Obstacle> {
        let subject = messages_in(&place.tenant, &place.conversation);
        let found =
            match self.messages.direct_get_next_for_subject(subject.as_str(), Some(after_seq + 1)).await {
                Ok(found) => Some(found),
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => None,
                Err(error) => return Err(Obstacle::away(error)),
            };
        if let Some(found) = found.filter(|found| found.sequence <= up_to_seq) {
            return Ok(Some(found.into()));
        }
        // There is one at `up_to_seq`, or was: a copy that does not know it may not know what is before it either.
        match self.messages.get_first_raw_message_by_subject(subject.as_str(), after_seq + 1).await {
            Ok(found) => Ok(Some(found).filter(|found| found.sequence <= up_to_seq).map(Stored::from)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(Obstacle::away(error)),
        }
    }

    /// The message at a position; none where the stream has let it go.
    pub(crate) async fn at(&self, seq: u64) -> Result<Option<Stored>, Obstacle> {
        match self.messages.get_raw_message(seq).await {
            Ok(found) => Ok(Some(found.into())),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(Obstacle::away(error)),
        }
    }
}
