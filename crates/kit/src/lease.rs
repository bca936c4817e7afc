//! One owner in the cluster: leases in a KV bucket, which end by themselves when their holder dies.
//!
//! A lease does not stop a process that was paused from going on: whoever holds one writes by compare and set what must
//! not be done twice.

use std::time::{Duration, Instant};

use async_nats::jetstream::{
    context::{PublishError, PublishErrorKind},
    kv::{Operation, Store},
    message::PublishMessage,
};
use chasqui_proto::{
    stream::{LEASES, bucket_subject},
    subject::NodeToken,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use uuid::Uuid;

use crate::{Bus, Code, error::Coded};

/// How long a lease stands that nobody renews. With one more second to be noticed and taken, an owner's death is
/// mended within 10 s.
const LIFETIME: Duration = Duration::from_secs(6);
/// How often it is renewed: three times before it ends.
const RENEW_EVERY: Duration = Duration::from_millis(1_800);
/// When a lease that could not be renewed counts as lost: before its end, so that its holder stops before another begins.
const LOST_AFTER: Duration = Duration::from_secs(5);
/// How many revisions a bucket may count for each millisecond of its life: more than any broker stores, and few enough
/// that an ownership stays below 2^53, which connectors in every language can hold.
const REVISIONS_A_MILLISECOND: u64 = 1 << 10;
/// How a holder that gives a lease back marks it: as the bucket marks a removed key.
const REMOVED: &str = "DEL";

/// The leases as seen by one process.
#[derive(Clone, Debug)]
pub struct Leases {
    bus: Bus,
    store: Store,
    /// What ownerships begin from. A bucket that was lost and made anew counts its revisions from one again, and others
    /// remember the ownerships of before.
    base: u64,
    holder: NodeToken,
}

/// A lease that could not be asked for. Somebody may hold it.
#[derive(Debug, thiserror::Error)]
#[error("the leases cannot be reached: {0}")]
pub struct LeaseError(String);

impl Coded for LeaseError {
    fn code(&self) -> Code {
        Code::Unavailable
    }
}

/// A lease while this process holds it. Dropping it lets it end by itself; [`Held::release`] gives it back at once.
#[derive(Debug)]
pub struct Held {
    key: String,
    /// Grows with every holder the lease has had, also where the bucket is lost and made anew.
    pub ownership: u64,
    lost: CancellationToken,
    release: CancellationToken,
    keeping: AbortOnDropHandle<()>,
}

impl Leases {
    /// Opens the bucket, which [`ensure_all`](crate::stream::ensure_all) has made.
    pub async fn open(bus: &Bus, holder: &NodeToken) -> Result<Self, LeaseError> {
        let opened = bus.jetstream().get_key_value(LEASES.name).await;
        let store = opened.map_err(|error| LeaseError(error.to_string()))?;
        let made_ms = store.stream.cached_info().created.unix_timestamp_nanos() / 1_000_000;
        let base = u64::try_from(made_ms).unwrap_or_default().saturating_mul(REVISIONS_A_MILLISECOND);
        Ok(Self { bus: bus.clone(), store, base, holder: holder.clone() })
    }

    /// Takes a lease that nobody holds, and keeps it; `None` when somebody does.
    pub async fn take(&self, key: &str) -> Result<Option<Held>, LeaseError> {
        let (holder, last) = self.look(key).await?;
        if holder.is_some() {
            return Ok(None);
        }
        let claim = format!("{} {}", self.holder, Uuid::now_v7());
        let asked = Instant::now();
        match self.write(key, &claim, last).await {
            Ok(revision) => Ok(Some(self.keep(key, claim, revision, asked))),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
            Err(error) => Err(LeaseError(error.to_string())),
        }
    }

    /// Who holds a lease.
    pub async fn holder(&self, key: &str) -> Result<Option<String>, LeaseError> {
        let (claim, _) = self.look(key).await?;
        Ok(claim.map(|claim| claim.split(' ').next().unwrap_or_default().to_owned()))
    }

    fn keep(&self, key: &str, claim: String, revision: u64, asked: Instant) -> Held {
        let (lost, release) = (CancellationToken::new(), CancellationToken::new());
        let keeper = Keeper { leases: self.clone(), key: key.to_owned(), claim, revision, renewed: asked };
        let keeping = AbortOnDropHandle::new(tokio::spawn(keeper.run(lost.clone(), release.clone())));
        let ownership = self.base.saturating_add(revision);
        Held { key: key.to_owned(), ownership, lost, release, keeping }
    }

    /// The claim that stands, and the revision that the next one follows.
    async fn look(&self, key: &str) -> Result<(Option<String>, u64), LeaseError> {
        let entry = self.store.entry(key).await.map_err(|error| LeaseError(error.to_string()))?;
        Ok(match entry {
            Some(entry) if entry.operation == Operation::Put => {
                (Some(String::from_utf8_lossy(&entry.value).into_owned()), entry.revision)
            }
            Some(entry) => (None, entry.revision),
            None => (None, 0),
        })
    }

    /// The bucket's own interface renews no value that ends by itself.
    async fn write(&self, key: &str, claim: &str, last: u64) -> Result<u64, PublishError> {
        let message = PublishMessage::build()
            .payload(claim.to_owned().into())
            .ttl(LIFETIME)
            .expected_last_subject_sequence(last);
        self.publish(key, message).await
    }

    async fn remove(&self, key: &str, last: u64) -> Result<u64, PublishError> {
        let message = PublishMessage::build()
            .header("KV-Operation", REMOVED)
            .ttl(LIFETIME)
            .expected_last_subject_sequence(last);
        self.publish(key, message).await
    }

    async fn publish(&self, key: &str, message: PublishMessage) -> Result<u64, PublishError> {
        let subject = bucket_subject(&LEASES, key);
        Ok(self.bus.jetstream().send_publish(subject, message).await?.await?.sequence)
    }
}

impl Held {
    /// Cancelled when the lease is lost, before another process can take it.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Gives the lease back, so that another process need not wait for its end. Whatever it protects must have stopped.
    pub async fn release(self) {
        self.release.cancel();
        if let Err(error) = self.keeping.await {
            tracing::warn!(%error, key = self.key, "a lease was not given back; it ends by itself");
        }
    }
}

/// Renews one lease.
struct Keeper {
    leases: Leases,
    key: String,
    claim: String,
    revision: u64,
    /// When the renewal that succeeded last was asked for.
    renewed: Instant,
}

impl Keeper {
    async fn run(mut self, lost: CancellationToken, release: CancellationToken) {
        loop {
            let next = self.renewed + RENEW_EVERY;
            tokio::select! {
                () = release.cancelled() => return self.give_back().await,
                () = tokio::time::sleep_until(next.into()) => {}
            }
            let end = self.renewed + LOST_AFTER;
            let renewal = self.renew_until_known();
            if let Ok(Ok(())) = tokio::time::timeout_at(end.into(), renewal).await {
                continue;
            }
            tracing::warn!(key = self.key, "a lease is lost");
            metrics::counter!("chasqui_leases_lost_total").increment(1);
            return lost.cancel();
        }
    }

    /// Tries until the lease is renewed, or is known to be another's.
    async fn renew_until_known(&mut self) -> Result<(), Taken> {
        loop {
            let asked = Instant::now();
            match self.leases.write(&self.key, &self.claim, self.revision).await {
                Ok(revision) => {
                    (self.revision, self.renewed) = (revision, asked);
                    return Ok(());
                }
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                    self.find_own_renewal().await?;
                }
                Err(error) => {
                    tracing::debug!(%error, key = self.key, "a lease was not renewed; trying again");
                    tokio::time::sleep(RENEW_EVERY / 6).await;
                }
            }
        }
    }

    /// A renewal whose acknowledgement was lost may have been stored.
    async fn find_own_renewal(&mut self) -> Result<(), Taken> {
        match self.leases.look(&self.key).await {
            Ok((Some(claim), revision)) if claim == self.claim => {
                self.revision = revision;
                Ok(())
            }
            Ok(_) => Err(Taken),
            // Not known: the caller's time ends it.
            Err(_) => {
                tokio::time::sleep(RENEW_EVERY / 6).await;
                Ok(())
            }
        }
    }

    async fn give_back(self) {
        if let Err(error) = self.leases.remove(&self.key, self.revision).await {
            tracing::debug!(%error, key = self.key, "a lease was not given back; it ends by itself");
        }
    }
}

/// Somebody else holds the lease.
struct Taken;
