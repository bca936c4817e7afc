//! Which sessions this replica owns: it tries to take the lease of every session that wants an owner, and owns each one
//! until it stops, loses the lease, or nobody wants the session any more.

mod connection;
mod desk;
mod tenure;
mod tokenless;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, RwLock},
    time::Duration,
};

use chasqui_kit::{
    Bus, Platform,
    lease::{Held, Leases},
};
use chasqui_media::MediaStore;
use chasqui_proto::{Tenant, stream::session_lease, subject::NodeToken};
use rand::Rng;
use tokio::{
    sync::Semaphore,
    task::{self, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Error,
    cloud::Graph,
    line::Line,
    media::Fetcher,
    sessions::{SessionKey, Sessions},
};

/// How often a session that another replica owns is looked at. With the 6 s that the lease of a dead owner stands, and
/// the longest consideration for others, it has another one within 10 s.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How much longer a replica waits for each session it owns, so that those that own fewer come first.
const CONSIDERATION: Duration = Duration::from_millis(20);
/// The longest such wait.
const CONSIDERATION_MAX: Duration = Duration::from_secs(2);
/// How many leases are asked for at once.
const LOOKS_MAX: usize = 32;

/// The owner's side of a replica. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Owners(Arc<Shared>);

/// What every session of this replica shares.
#[derive(Debug)]
struct Shared {
    bus: Bus,
    /// This replica.
    node: NodeToken,
    config: Config,
    graph: Graph,
    fetcher: Fetcher,
    sessions: Sessions,
    leases: Leases,
    looks: Semaphore,
    /// What is owned now; each tenure enters and removes its own.
    owned: RwLock<HashMap<SessionKey, Line>>,
    stop: CancellationToken,
}

impl Owners {
    pub(crate) fn new(
        config: Config,
        platform: &Platform,
        sessions: &Sessions,
        leases: Leases,
        stop: &CancellationToken,
    ) -> Result<Self, Error> {
        let store = MediaStore::open(&config.media)?;
        Ok(Self(Arc::new(Shared {
            bus: platform.bus.clone(),
            node: platform.node.clone(),
            graph: Graph::new(&config.cloud())?,
            fetcher: Fetcher::new(store, config.media.limits()),
            config,
            sessions: sessions.clone(),
            leases,
            looks: Semaphore::new(LOOKS_MAX),
            owned: RwLock::default(),
            stop: stop.clone(),
        })))
    }

    /// Where files are kept.
    pub(crate) fn media(&self) -> &MediaStore {
        self.0.fetcher.store()
    }

    /// The sessions of a tenant that this replica owns.
    pub(crate) fn of_tenant(&self, tenant: &Tenant) -> Vec<Line> {
        let owned = self.0.owned.read().expect("no holder of this lock panics");
        owned.iter().filter(|(key, _)| key.tenant == *tenant).map(|(_, line)| line.clone()).collect()
    }

    /// Owns what it can until stopped; then every session is finished and given back.
    pub(crate) async fn run(self) {
        let shared = self.0;
        let (mut sessions, mut directory) = (shared.sessions.changed(), shared.sessions.directory_changed());
        let mut candidates = JoinSet::new();
        // Which session each task stands for.
        let mut standing: HashMap<task::Id, SessionKey> = HashMap::new();
        loop {
            let present: HashSet<&SessionKey> = standing.values().collect();
            let mut wanted = shared.sessions.wanted();
            wanted.retain(|key| !present.contains(key));
            for key in wanted {
                let task = candidates.spawn(stand_for(shared.clone(), key.clone()));
                standing.insert(task.id(), key);
            }
            tokio::select! {
                () = shared.stop.cancelled() => break,
                _ = sessions.changed() => {}
                _ = directory.changed() => {}
                Some(ended) = candidates.join_next_with_id(), if !candidates.is_empty() => {
                    let id = match ended {
                        Ok((id, ())) => id,
                        Err(panic) => {
                            tracing::error!(error = %panic, "the owner of a session failed; it begins again");
                            panic.id()
                        }
                    };
                    standing.remove(&id);
                }
            }
        }
        while candidates.join_next().await.is_some() {}
    }
}

/// Tries to own a session, and owns it, as long as it is wanted.
async fn stand_for(shared: Arc<Shared>, key: SessionKey) {
    let lease = session_lease(&key.tenant, &key.session);
    while shared.sessions.wants_owner(&key) {
        if shared.stop.run_until_cancelled(sleep(shared.consideration())).await.is_none() {
            break;
        }
        if let Some(held) = shared.take(&lease).await {
            tenure::run(&shared, &key, &held).await;
            if !held.lost().is_cancelled() {
                held.release().await;
            }
        }
        if shared.stop.run_until_cancelled(sleep(LOOK_EVERY)).await.is_none() {
            break;
        }
    }
}

impl Shared {
    async fn take(&self, lease: &str) -> Option<Held> {
        let _place = self.looks.acquire().await.expect("the semaphore is never closed");
        self.leases.take(lease).await.unwrap_or_else(|error| {
            tracing::debug!(%error, lease, "a lease could not be asked for; trying again");
            None
        })
    }

    /// Replicas that own fewer sessions are let past, and no two look in the same millisecond.
    fn consideration(&self) -> Duration {
        let owned = self.owned.read().expect("no holder of this lock panics").len();
        let owned = u32::try_from(owned).unwrap_or(u32::MAX);
        let wait = CONSIDERATION.saturating_mul(owned).min(CONSIDERATION_MAX);
        wait + CONSIDERATION.mul_f64(rand::rng().random_range(0.0..1.0))
    }
}

/// A session's entry among those that are owned, as long as it is.
struct Entry<'a> {
    shared: &'a Shared,
    key: &'a SessionKey,
}

impl<'a> Entry<'a> {
    fn new(shared: &'a Shared, key: &'a SessionKey, line: Line) -> Self {
        shared.owned.write().expect("no holder of this lock panics").insert(key.clone(), line);
        Self { shared, key }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.shared.owned.write().expect("no holder of this lock panics").remove(self.key);
    }
}
