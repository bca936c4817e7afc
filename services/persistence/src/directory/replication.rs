//! The bucket is told what stands in the tables, whatever was away meanwhile.
//!
//! A change notes the keys it concerns in its own transaction (`directory_pending`). Telling one takes the note's lock,
//! reads what stands under the key now, writes it into the bucket against the revision found there, and removes the
//! note: so the last thing that is told of a key is what its table says, with any number of replicas, and also where a
//! write that was given up arrives late.

use std::time::Duration;

use async_nats::jetstream::{kv::Store, stream::LastRawMessageErrorKind};
use bytes::Bytes;
use chasqui_directory::{key_of, read_all};
use chasqui_kit::{Bus, pause::Pause, publish::PublishError};
use chasqui_proto::stream;
use prost::Message;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::entry;
use crate::{
    error::Error,
    meter,
    store::directory::{self as rows, KINDS},
};

/// How often it is looked for notes that whoever made them could not tell, and whether the bucket is still the same.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How many failures in a row are nothing to tell: at the start the bucket is still being made, and what is away is told
/// by those who store and publish.
const FAILURES_EXPECTED: u32 = 5;
/// How many keys are told between two looks at whether it is to stop.
const KEYS_MAX: i64 = 100;
/// How long telling one key may take while a caller waits for it; later it is told without the caller.
const TELL_WAIT: Duration = Duration::from_secs(2);
/// How many entries are compared at once.
const COMPARED_MAX: i64 = 1_000;

/// Tells the bucket.
#[derive(Clone, Debug)]
pub(crate) struct Replication {
    bus: Bus,
    pool: PgPool,
}

impl Replication {
    pub(crate) fn new(bus: &Bus, pool: &PgPool) -> Self {
        Self { bus: bus.clone(), pool: pool.clone() }
    }

    /// Makes the bucket equal to the tables, and keeps it so until stopped.
    pub(crate) async fn run(&self, retry_pause_max: Duration, stop: &CancellationToken) {
        let (mut pause, mut failures) = (Pause::up_to(retry_pause_max), 0_u32);
        while !stop.is_cancelled() {
            let Some(Err(error)) = stop.run_until_cancelled(Box::pin(self.keep_equal())).await else {
                (pause, failures) = (Pause::up_to(retry_pause_max), 0);
                continue;
            };
            failures = failures.saturating_add(1);
            if failures > FAILURES_EXPECTED {
                tracing::warn!(%error, "the directory's bucket could not be told everything; trying again");
            }
            meter::retry("directory");
            stop.run_until_cancelled(tokio::time::sleep(pause.lengthen())).await;
        }
    }

    /// Tells these keys now, in front of a caller. What fails is told later.
    pub(crate) async fn tell_now(&self, keys: &[String]) {
        let telling = async {
            let bucket = self.bucket().await?;
            for key in keys {
                self.tell(&bucket, key).await?;
            }
            Ok::<(), Error>(())
        };
        match tokio::time::timeout(TELL_WAIT, telling).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a change of the directory is stored and is told later"),
            Err(_) => tracing::warn!("a change of the directory is stored; telling it takes longer"),
        }
    }

    /// Returns when the bucket was made anew.
    async fn keep_equal(&self) -> Result<(), Error> {
        let bucket = self.bucket().await?;
        let different = self.note_differences().await?;
        if different > 0 {
            tracing::info!(different, "the directory's bucket differs from the tables and is told");
        }
        loop {
            while self.tell_pending(&bucket).await? {}
            tokio::time::sleep(LOOK_INTERVAL).await;
            let now = bucket.stream.get_info().await.map_err(|error| away(&error))?;
            if now.created != bucket.stream.cached_info().created {
                return Ok(());
            }
        }
    }

    /// Tells some of what is noted; says whether there was any.
    async fn tell_pending(&self, bucket: &Store) -> Result<bool, Error> {
        let pending = rows::pending(&mut *self.pool.acquire().await?, KEYS_MAX).await?;
        let count = u32::try_from(pending.len()).unwrap_or(u32::MAX);
        metrics::gauge!("chasqui_persistence_directory_pending").set(f64::from(count));
        let mut outcome = Ok(!pending.is_empty());
        for key in &pending {
            // One that cannot be told must not keep the others back.
            if let Err(error) = self.tell(bucket, key).await {
                outcome = Err(error);
            }
        }
        outcome
    }

    async fn tell(&self, bucket: &Store, key: &str) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await?;
        if !rows::take(&mut transaction, key).await? {
            return Ok(());
        }
        let revision = revision(bucket, key).await?;
        let entry = match kind_of_key(key) {
            Some(kind) => rows::at_key(&mut transaction, kind, key).await?,
            None => None,
        };
        match entry {
            Some(entry) => {
                let value = Bytes::from(entry::replicated(entry).encode_to_vec());
                bucket.update(key, value, revision).await.map_err(|error| away(&error))?;
            }
            None if revision == 0 => {}
            None => bucket.delete_expect_revision(key, Some(revision)).await.map_err(|error| away(&error))?,
        }
        rows::told(&mut transaction, key).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Notes every key under which the bucket has something else than the tables; returns how many.
    async fn note_differences(&self) -> Result<usize, Error> {
        // First the database: while it is away there is nothing to compare the bucket with.
        let mut connection = self.pool.acquire().await?;
        let mut in_bucket = read_all(&self.bus, &KINDS).await.map_err(|error| away(&error))?;
        let mut count = 0;
        for kind in KINDS {
            let mut after = String::new();
            loop {
                let entries = rows::after_key(&mut connection, kind, &after, COMPARED_MAX).await?;
                let mut different = Vec::new();
                let last = entries.len() < usize::try_from(COMPARED_MAX).unwrap_or(usize::MAX);
                for entry in entries {
                    let entry = entry::replicated(entry);
                    after = key_of(&entry).ok_or(Error::Unreadable("directory entry"))?;
                    if in_bucket.remove(after.as_str()).as_deref() != Some(&entry.encode_to_vec()[..]) {
                        different.push(after.clone());
                    }
                }
                rows::note(&mut connection, &different).await?;
                count += different.len();
                if last {
                    break;
                }
            }
        }
        let gone: Vec<String> = in_bucket.into_keys().map(String::from).collect();
        rows::note(&mut connection, &gone).await?;
        Ok(count + gone.len())
    }

    async fn bucket(&self) -> Result<Store, Error> {
        if !self.bus.is_connected() {
            return Err(Error::Publish(PublishError::Away));
        }
        let opened = self.bus.jetstream().get_key_value(stream::DIRECTORY_BUCKET).await;
        opened.map_err(|error| away(&error))
    }
}

/// The revision of a key, by the stream's leader: a replica that lags behind would not know of a key that is to be
/// deleted. 0 when it was never written.
async fn revision(bucket: &Store, key: &str) -> Result<u64, Error> {
    let subject = format!("{}{key}", bucket.prefix);
    match bucket.stream.get_last_raw_message_by_subject(&subject).await {
        Ok(message) => Ok(message.sequence),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(0),
        Err(error) => Err(away(&error)),
    }
}

/// The table of a key: each kind has a beginning of its own.
fn kind_of_key(key: &str) -> Option<chasqui_proto::v1::EntryKind> {
    let (beginning, _) = key.split_once('.')?;
    KINDS.into_iter().find(|kind| stream::entries_of(*kind).split('.').next() == Some(beginning))
}

fn away(error: &dyn std::fmt::Display) -> Error {
    Error::Publish(PublishError::Refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::EntryKind;

    use super::*;

    #[test]
    fn a_key_says_which_table_it_belongs_to() {
        assert_eq!(kind_of_key("user.acme.web_u1"), Some(EntryKind::User));
        assert_eq!(kind_of_key("key.0a0a"), Some(EntryKind::ApiKey));
        assert_eq!(kind_of_key("alias.acme.5491100000001"), None);
        assert_eq!(kind_of_key("user"), None);
    }
}
