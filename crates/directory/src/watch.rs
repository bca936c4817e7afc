//! Reading the bucket and following it.

use std::{collections::BTreeMap, fmt::Display, sync::Arc, time::Duration};

use async_nats::jetstream::{
    consumer::{
        DeliverPolicy,
        pull::{Ordered, OrderedConfig},
    },
    kv::Store,
};
use chasqui_kit::{Bus, Code, Coded};
use chasqui_proto::{stream, v1::EntryKind};
use futures::{StreamExt, stream::ReadyChunks};

use crate::{
    directory::Held,
    entries::{Change, Entries},
};

/// How many changes that came together are taken over at once.
const CHANGES_MAX: usize = 512;
/// The pause before the bucket is read again after it could not be.
const AGAIN_PAUSE: Duration = Duration::from_secs(1);
/// How long nothing comes before a first state counts as complete. Only where its last entry was replaced while it was
/// read does nobody say that it was the last.
const QUIET: Duration = Duration::from_secs(3);
/// How long one request for changes stands: half of it without a sign of life, and the reading goes on anew where it
/// stopped, as after a crash of the broker.
const PULL_MAX: Duration = Duration::from_secs(4);
/// How often it is checked that the bucket is still the one that is read: one that was made anew begins at one again.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The bucket could not be read.
#[derive(Debug)]
pub struct WatchError(String);

impl Display for WatchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the directory cannot be read: {}", self.0)
    }
}

impl std::error::Error for WatchError {}

impl Coded for WatchError {
    fn code(&self) -> Code {
        Code::Unavailable
    }
}

/// Everything the bucket holds of these kinds right now, by key.
pub async fn read_all(bus: &Bus, kinds: &[EntryKind]) -> Result<BTreeMap<Box<str>, Box<[u8]>>, WatchError> {
    let mut reading = Reading::begin(bus, kinds).await?;
    Ok(reading.first_state(bus).await?.into_values())
}

/// Follows the bucket for ever, through everything that may happen to it.
pub(crate) async fn keep_watching(bus: Bus, kinds: Vec<EntryKind>, held: Arc<Held>) {
    loop {
        if let Err(error) = read_and_follow(&bus, &kinds, &held).await {
            tracing::warn!(%error, "the directory is read again soon; until then what is known counts");
        }
        tokio::time::sleep(AGAIN_PAUSE).await;
        while !bus.is_connected() {
            tokio::time::sleep(AGAIN_PAUSE).await;
        }
    }
}

/// Returns when the bucket was made anew, or the connection was lost: reading anew is sooner than the client's own repair.
async fn read_and_follow(bus: &Bus, kinds: &[EntryKind], held: &Held) -> Result<(), WatchError> {
    let mut reading = Reading::begin(bus, kinds).await?;
    let entries = reading.first_state(bus).await?;
    metrics::counter!("chasqui_directory_readings_total").increment(1);
    tracing::info!(entries = entries.len(), "the directory is read");
    held.replace(entries);
    let mut disruptions = bus.disruptions();
    let mut checks = tokio::time::interval(CHECK_INTERVAL);
    loop {
        tokio::select! {
            changes = reading.next() => held.apply(changes?),
            _ = disruptions.changed() => {
                // Others overflow too; that is nothing to us.
                if !bus.is_connected() {
                    return Ok(());
                }
            }
            _ = checks.tick() => {
                if reading.is_outlived(bus).await {
                    return Ok(());
                }
            }
        }
    }
}

/// A reading of the bucket from its beginning. The client carries it over lost connections.
struct Reading {
    bucket: Store,
    messages: ReadyChunks<Ordered>,
    /// The position of the newest entry that was read.
    revision: u64,
    /// Every entry that was there at the beginning has been read.
    complete: bool,
}

impl Reading {
    async fn begin(bus: &Bus, kinds: &[EntryKind]) -> Result<Self, WatchError> {
        let bucket =
            bus.jetstream().get_key_value(stream::DIRECTORY_BUCKET).await.map_err(|error| failed(&error))?;
        let filter_subjects =
            kinds.iter().map(|kind| format!("{}{}", bucket.prefix, stream::entries_of(*kind))).collect();
        // Pulled: a large bucket that is pushed is more than a subscription holds, which costs every reader of the process
        // a repair.
        let config = OrderedConfig {
            description: Some("a reader of the directory".to_owned()),
            filter_subjects,
            deliver_policy: DeliverPolicy::LastPerSubject,
            max_expires: PULL_MAX,
            ..OrderedConfig::default()
        };
        let consumer = bucket.stream.create_consumer(config).await.map_err(|error| failed(&error))?;
        let complete = consumer.cached_info().num_pending == 0;
        let messages = consumer.messages().await.map_err(|error| failed(&error))?.ready_chunks(CHANGES_MAX);
        Ok(Self { bucket, messages, revision: 0, complete })
    }

    async fn first_state(&mut self, bus: &Bus) -> Result<Entries, WatchError> {
        let (mut entries, disruptions) = (Entries::default(), bus.disruptions());
        let disruptions_before = *disruptions.borrow();
        while !self.complete {
            match tokio::time::timeout(QUIET, self.next()).await {
                Ok(changes) => changes?.into_iter().for_each(|change| entries.apply(change)),
                Err(_) if *disruptions.borrow() == disruptions_before => self.complete = true,
                Err(_) => return Err(WatchError("the connection was lost meanwhile".to_owned())),
            }
        }
        Ok(entries)
    }

    async fn next(&mut self) -> Result<Vec<Change>, WatchError> {
        let messages = self.messages.next().await.ok_or_else(|| WatchError("it ended".to_owned()))?;
        let mut changes = Vec::with_capacity(messages.len());
        for message in messages {
            let message = message.map_err(|error| failed(&error))?;
            let position = message.info().map_err(|error| failed(&error))?;
            self.revision = position.stream_sequence;
            self.complete |= position.pending == 0;
            let Some(key) = message.subject.strip_prefix(self.bucket.prefix.as_str()) else { continue };
            // The broker marks what was removed in headers, and empties it; no entry is empty. The bytes are copied:
            // they are part of a buffer with much else in it.
            let value = (!message.payload.is_empty()).then(|| message.payload.as_ref().into());
            changes.push(Change { key: key.to_owned(), value });
        }
        Ok(changes)
    }

    /// Whether another bucket stands where the one stood that is read. Who does not answer has not said so.
    async fn is_outlived(&mut self, bus: &Bus) -> bool {
        if !bus.is_connected() {
            return false;
        }
        let read = self.bucket.stream.cached_info().created;
        let now = self.bucket.stream.get_info().await;
        now.is_ok_and(|now| now.created != read || now.state.last_sequence < self.revision)
    }
}

fn failed(error: &impl Display) -> WatchError {
    WatchError(error.to_string())
}
