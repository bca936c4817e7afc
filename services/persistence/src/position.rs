//! How far the stream is stored.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{consumer::PullConsumer, stream::Stream};
use chasqui_kit::Bus;
use chasqui_proto::stream;
use tokio::{sync::Mutex, time::Instant};

use crate::error::Error;

/// How old an answer may be. An older position is never wrong, only further back.
const AGE_MAX: Duration = Duration::from_millis(50);

/// Asks the server how far the consumer got.
#[derive(Clone, Debug)]
pub(crate) struct Positions {
    stream: Stream<()>,
    consumer: PullConsumer,
    /// Held while asking, so that many questions at once become one.
    known: Arc<Mutex<Option<(Instant, u64)>>>,
}

impl Positions {
    pub(crate) async fn new(bus: &Bus, consumer: PullConsumer) -> Result<Self, Error> {
        let stream = bus.jetstream().get_stream_no_info(stream::MESSAGES.name).await;
        let stream = stream.map_err(|error| Error::Position(error.to_string()))?;
        Ok(Self { stream, consumer, known: Arc::default() })
    }

    /// Everything up to this position is stored (or in the dead letters). Ask before reading the database: what is
    /// stored in between is then above the position, and not missing below it.
    pub(crate) async fn stored_up_to(&self) -> Result<u64, Error> {
        let mut known = self.known.lock().await;
        if let Some((asked_at, position)) = *known
            && asked_at.elapsed() <= AGE_MAX
        {
            return Ok(position);
        }
        let asked_at = Instant::now();
        let position = self.ask().await?;
        *known = Some((asked_at, position));
        Ok(position)
    }

    /// The position of the newest message of the stream, stored or not.
    pub(crate) async fn newest(&self) -> Result<u64, Error> {
        let info = self.stream.get_info().await.map_err(|error| Error::Position(error.to_string()))?;
        Ok(info.state.last_sequence)
    }

    async fn ask(&self) -> Result<u64, Error> {
        let away = |error: &dyn std::fmt::Display| Error::Position(error.to_string());
        // In this order: what comes in after the first question is still pending at the second.
        let last = self.newest().await?;
        let progress = self.consumer.get_info().await.map_err(|error| away(&error))?;
        let idle = progress.num_pending == 0 && progress.num_ack_pending == 0;
        let acknowledged = progress.ack_floor.stream_sequence;
        Ok(if idle { acknowledged.max(last) } else { acknowledged })
    }
}
