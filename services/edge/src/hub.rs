//! Which feeds this node holds: one subscription a scope, for as long as somebody reads it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::Subscriber;
use chasqui_kit::Bus;
use chasqui_proto::stream::MESSAGES;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Config,
    error::Error,
    feed::{Feed, Member, Membership, NotJoined, Start},
    history::{Historian, History},
    log::Bounds,
    position::Positions,
    reader::{self, Live, Reader, Sources},
    scope::Scope,
};

/// How often feeds are looked over: which are idle, which came through undisturbed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How many feeds read the stream at once after a disturbance.
const REPAIRS_MAX: usize = 8;
/// The most bytes of recent events a tenant's feed keeps.
const TENANT_RING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a contact's feed keeps: a chat, not a tenant.
const CONTACT_RING: Bounds = Bounds { events_max: 64, bytes_max: 128 * 1024 };
/// How often a joining member is sent for its history before it is told that it cannot be had.
const JOIN_ATTEMPTS_MAX: usize = 4;

/// A client's place in the stream, from an earlier connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) epoch: String,
    pub(crate) seq: u64,
}

/// What a joining client asks for.
#[derive(Debug)]
pub(crate) enum Wish {
    /// What happens from now on.
    Live,
    /// Everything since it left.
    Since(Cursor),
    /// What was written to it while it was away, and what happens.
    Undelivered,
}

type Feeds = HashMap<Scope, Arc<OnceCell<Live>>>;

/// The feeds of this node.
#[derive(Debug)]
pub(crate) struct Hub {
    bus: Bus,
    positions: Positions,
    feeds: Mutex<Feeds>,
    ring_events_max: usize,
    replay_events_max: u32,
    linger: Duration,
    repairs: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Hub {
    pub(crate) fn new(bus: Bus, config: &Config, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            positions: Positions::new(bus.clone()),
            bus,
            feeds: Mutex::default(),
            ring_events_max: config.ring_events_max,
            replay_events_max: config.replay_events_max,
            linger: Duration::from_millis(config.linger_ms),
            repairs: Arc::new(Semaphore::new(REPAIRS_MAX)),
            tasks: TaskTracker::new(),
            stop,
        })
    }

    /// Lets a member into a scope's feed, greeted and brought up to date, then live.
    pub(crate) async fn join(
        &self,
        scope: &Scope,
        member: Arc<dyn Member>,
        wish: &Wish,
    ) -> Result<Membership, Error> {
        let mut start = None;
        for _ in 0..JOIN_ATTEMPTS_MAX {
            let feed = self.feed(scope).await?;
            let begin = match start.take() {
                Some(start) => start,
                None => self.start(scope, &feed, wish).await?,
            };
            match feed.join(&member, begin) {
                Ok(membership) => return Ok(membership),
                Err(NotJoined::Ended(same)) => start = Some(same),
                Err(NotJoined::Behind(Start::After(since))) => start = Some(self.since(scope, since).await?),
                Err(NotJoined::Behind(_)) => {}
            }
        }
        // The feed runs faster than its history can be read: say so rather than leave a hole.
        let feed = self.feed(scope).await?;
        feed.join(&member, Start::Lost)
            .map_err(|_| Error::ReadStream("the feed ended while joining".to_owned()))
    }

    /// Looks feeds over until stopped; then waits for their tasks.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut disruptions = self.bus.disruptions();
        let mut elections = self.elections().await;
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                changed = disruptions.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.each(|live| live.disturbance.set());
                }
                Some(_) = reader::next(&mut elections) => self.each(|live| live.disturbance.set()),
                _ = sweep.tick() => self.sweep(),
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Hears when the stream gets another leader. Only the leader repeats what it stores: what was stored just before
    /// the old one died may never have been repeated.
    async fn elections(&self) -> Option<Subscriber> {
        let subject = format!("$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.{}", MESSAGES.name);
        let subscribed = self.bus.client().subscribe(subject).await;
        subscribed.inspect_err(|error| tracing::warn!(%error, "leader elections are not heard")).ok()
    }

    async fn start(&self, scope: &Scope, feed: &Feed, wish: &Wish) -> Result<Start, Error> {
        Ok(match wish {
            Wish::Live => Start::Now,
            Wish::Since(cursor) if cursor.epoch != feed.epoch() => Start::Lost,
            Wish::Since(cursor) => Start::After(cursor.seq),
            Wish::Undelivered => match self.historian().undelivered(scope).await {
                Ok(history) => Start::Backlog(history),
                Err(error) => {
                    metrics::counter!("chasqui_edge_backlogs_unread_total").increment(1);
                    tracing::warn!(%error, "what waits for a contact cannot be read; it goes live without it");
                    Start::Now
                }
            },
        })
    }

    async fn since(&self, scope: &Scope, since: u64) -> Result<Start, Error> {
        let read: Option<History> = self.historian().since(scope, since).await?;
        Ok(read.map_or(Start::Lost, |history| Start::With { since, history }))
    }

    fn historian(&self) -> Historian<'_> {
        Historian { bus: &self.bus, positions: &self.positions, events_max: self.replay_events_max }
    }

    /// The running feed of a scope, started if there is none.
    async fn feed(&self, scope: &Scope) -> Result<Arc<Feed>, Error> {
        let cell = {
            let mut feeds = self.feeds();
            let cell = feeds.entry(scope.clone()).or_default();
            if cell.get().is_some_and(|live| live.feed.has_ended()) {
                *cell = Arc::default();
            }
            cell.clone()
        };
        let live = cell.get_or_try_init(|| self.open(scope)).await?;
        Ok(live.feed.clone())
    }

    /// Subscribes, and only then asks where the stream stands: everything after that position will be heard.
    async fn open(&self, scope: &Scope) -> Result<Live, Error> {
        let sources = Sources::subscribe(&self.bus, scope).await?;
        let position = self.positions.after_barrier().await?;
        let bounds = match scope {
            Scope::Tenant(_) => Bounds { events_max: self.ring_events_max, bytes_max: TENANT_RING_BYTES_MAX },
            Scope::Contact(..) => CONTACT_RING,
        };
        let feed = Feed::new(position.epoch, position.seq, bounds, self.replay_events_max as usize);
        let live = Live { feed: Arc::new(feed), disturbance: Arc::default(), stop: self.stop.child_token() };
        metrics::gauge!("chasqui_edge_feeds").increment(1);
        let reader = Reader {
            bus: self.bus.clone(),
            scope: scope.clone(),
            live: live.clone(),
            repairs: self.repairs.clone(),
        };
        self.tasks.spawn(reader.run(sources));
        Ok(live)
    }

    fn sweep(&self) {
        self.feeds().retain(|_, cell| {
            let Some(live) = cell.get() else { return true };
            if live.disturbance.is_mended() && self.bus.is_connected() {
                live.feed.mark_safe();
            }
            let ended = live.feed.end_if_idle(self.linger);
            if ended {
                live.stop.cancel();
            }
            !ended
        });
    }

    fn each(&self, action: impl Fn(&Live)) {
        self.feeds().values().filter_map(|cell| cell.get()).for_each(action);
    }

    fn feeds(&self) -> std::sync::MutexGuard<'_, Feeds> {
        self.feeds.lock().expect("no holder of this lock panics")
    }
}
