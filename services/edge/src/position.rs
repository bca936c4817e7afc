//! Where the stream stands: the cursor a client gets before it has seen anything.

use std::{sync::Arc, time::Instant};

use async_nats::jetstream::stream::State as StreamState;
use chasqui_kit::Bus;
use chasqui_proto::stream::MESSAGES;
use tokio::sync::Mutex;

use crate::error::Error;

/// A place in one life of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Which life: a stream that was lost and made again counts from 1, and old cursors mean nothing in it.
    pub(crate) epoch: Arc<str>,
    /// The last position used when it was asked for.
    pub(crate) seq: u64,
}

/// Asks for the position, once for all who ask at the same time.
#[derive(Debug)]
pub(crate) struct Positions {
    bus: Bus,
    newest: Mutex<Option<(Instant, Position)>>,
}

impl Positions {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus, newest: Mutex::new(None) }
    }

    /// The position at some moment after the call, with every subscription made before the call standing.
    pub(crate) async fn after_barrier(&self) -> Result<Position, Error> {
        let called = Instant::now();
        let mut newest = self.newest.lock().await;
        if let Some((asked, position)) = &*newest
            && *asked >= called
        {
            return Ok(position.clone());
        }
        let asking = Instant::now();
        self.bus.barrier().await?;
        let mut position = self.ask().await?;
        // Thousands of feeds hold the name of the one life of the stream.
        if let Some((_, known)) = newest.take().filter(|(_, known)| known.epoch == position.epoch) {
            position.epoch = known.epoch;
        }
        *newest = Some((asking, position.clone()));
        Ok(position)
    }

    async fn ask(&self) -> Result<Position, Error> {
        let stream = self.bus.jetstream().get_stream(MESSAGES.name).await;
        let stream = stream.map_err(|error| Error::ReadStream(error.to_string()))?;
        let info = stream.cached_info();
        let StreamState { last_sequence, .. } = info.state;
        let epoch = format!("{:x}", info.created.unix_timestamp_nanos()).into();
        Ok(Position { epoch, seq: last_sequence })
    }
}
