//! Which feeds this node holds: one subscription a scope, for as long as somebody reads it.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::Subscriber;
use chasqui_kit::Bus;
use chasqui_proto::{ConversationToken, Tenant, subject};
use futures::StreamExt;
use tokio::{
    sync::{Notify, OnceCell, Semaphore},
    time::Sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Config,
    error::Error,
    event::Event,
    feed::{Feed, Member, Membership, Missing, NotJoined, Start},
    history::{Historian, History},
    log::Bounds,
    position::Positions,
    tail,
};

/// How often feeds are looked over: which are idle, which came through undisturbed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How long after going live a feed reads the stream once more: a subscription needs up to 10 ms to be known on the
/// other servers of a cluster, and what was published meanwhile went past it.
const SECOND_LOOK_AFTER: Duration = Duration::from_secs(1);
/// How many feeds read the stream at once after a disturbance.
const REPAIRS_MAX: usize = 8;
/// The most events one repair reads. A feed that lost more is ended, and its sockets come back with their cursors.
const REPAIR_EVENTS_MAX: usize = 20_000;
/// The pause before a repair that failed is tried again.
const REPAIR_PAUSE: Duration = Duration::from_millis(250);
/// The most bytes of recent events a tenant's feed keeps.
const TENANT_RING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a contact's feed keeps: a chat, not a tenant.
const CONTACT_RING: Bounds = Bounds { events_max: 64, bytes_max: 128 * 1024 };
/// How often a joining member is sent for its history before it is told that it cannot be had.
const JOIN_ATTEMPTS_MAX: usize = 4;

/// Whose events a feed carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// Everything of a tenant: for its staff.
    Tenant(Tenant),
    /// One conversation: for its contact.
    Contact(Tenant, ConversationToken),
}

impl Scope {
    pub(crate) fn tenant(&self) -> &Tenant {
        match self {
            Self::Tenant(tenant) | Self::Contact(tenant, _) => tenant,
        }
    }

    pub(crate) fn conversation(&self) -> Option<&ConversationToken> {
        match self {
            Self::Tenant(_) => None,
            Self::Contact(_, conversation) => Some(conversation),
        }
    }
}

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

/// A feed and what keeps it running.
#[derive(Debug, Clone)]
struct Live {
    feed: Arc<Feed>,
    disturbance: Arc<Disturbance>,
    stop: CancellationToken,
}

/// Whether a feed may have missed something. Set by the hub, mended by the feed's task.
#[derive(Debug, Default)]
struct Disturbance {
    /// Asks the feed's task to read the stream again.
    asked: Notify,
    /// How often it was asked, and up to which of them it has read again since.
    times: AtomicU64,
    mended: AtomicU64,
}

impl Disturbance {
    fn set(&self) {
        self.times.fetch_add(1, Ordering::SeqCst);
        self.asked.notify_one();
    }

    fn is_mended(&self) -> bool {
        self.mended.load(Ordering::SeqCst) == self.times.load(Ordering::SeqCst)
    }
}

/// The feeds of this node.
#[derive(Debug)]
pub(crate) struct Hub {
    bus: Bus,
    positions: Positions,
    feeds: Mutex<Feeds>,
    ring_events_max: usize,
    replay_events_max: u32,
    linger: Duration,
    repairs: Semaphore,
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
            repairs: Semaphore::new(REPAIRS_MAX),
            tasks: TaskTracker::new(),
            stop,
        })
    }

    /// Lets a member into a scope's feed, greeted and brought up to date, then live.
    pub(crate) async fn join(
        self: &Arc<Self>,
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
                _ = sweep.tick() => self.sweep(),
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
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
    async fn feed(self: &Arc<Self>, scope: &Scope) -> Result<Arc<Feed>, Error> {
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
    async fn open(self: &Arc<Self>, scope: &Scope) -> Result<Live, Error> {
        let sources = Sources::subscribe(&self.bus, scope).await?;
        let position = self.positions.after_barrier().await?;
        let bounds = match scope {
            Scope::Tenant(_) => Bounds { events_max: self.ring_events_max, bytes_max: TENANT_RING_BYTES_MAX },
            Scope::Contact(..) => CONTACT_RING,
        };
        let feed = Feed::new(position.epoch, position.seq, bounds, self.replay_events_max as usize);
        let live = Live { feed: Arc::new(feed), disturbance: Arc::default(), stop: self.stop.child_token() };
        metrics::gauge!("chasqui_edge_feeds").increment(1);
        let reader = Reader { hub: self.clone(), scope: scope.clone(), live: live.clone() };
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

/// What a feed hears.
struct Sources {
    live: Subscriber,
    /// A tenant's counters and the like: subjects without a key.
    wide: Option<Subscriber>,
}

impl Sources {
    async fn subscribe(bus: &Bus, scope: &Scope) -> Result<Self, Error> {
        let subscribe = async |name: &str| {
            let subscribed = bus.client().subscribe(name.to_owned()).await;
            subscribed.map_err(|error| Error::Subscribe(error.to_string()))
        };
        Ok(match scope {
            Scope::Tenant(tenant) => Self {
                live: subscribe(subject::live_tenant(tenant).as_str()).await?,
                wide: Some(subscribe(subject::live_tenant_wide(tenant).as_str()).await?),
            },
            Scope::Contact(tenant, conversation) => Self {
                live: subscribe(subject::live_conversation(tenant, conversation).as_str()).await?,
                wide: None,
            },
        })
    }
}

/// The task that feeds a feed.
struct Reader {
    hub: Arc<Hub>,
    scope: Scope,
    live: Live,
}

impl Reader {
    async fn run(self, mut sources: Sources) {
        let mut second_look = Some(Box::pin(tokio::time::sleep(SECOND_LOOK_AFTER)));
        loop {
            tokio::select! {
                () = self.live.stop.cancelled() => break,
                message = sources.live.next() => match message {
                    Some(message) => self.hear(&message).await,
                    None => break,
                },
                Some(message) = next(&mut sources.wide) => self.hear(&message).await,
                () = self.live.disturbance.asked.notified() => self.look_again("disturbed").await,
                () = elapsed(&mut second_look) => {
                    second_look = None;
                    self.look_again("second_look").await;
                }
            }
        }
        metrics::gauge!("chasqui_edge_feeds").decrement(1);
    }

    async fn hear(&self, message: &async_nats::Message) {
        // What comes after a disturbance waits for what went past it: else a client could leave in between, with a
        // cursor beyond what it never saw.
        if !self.live.disturbance.is_mended() {
            self.look_again("disturbed").await;
        }
        let Some(event) = Event::of_nats(message) else { return };
        if let Err(missing) = self.live.feed.accept(event) {
            metrics::counter!("chasqui_edge_gaps_total").increment(1);
            self.close_gap(missing).await;
        }
    }

    async fn close_gap(&self, missing: Missing) {
        self.repair(missing.from.saturating_sub(1), "gap").await;
        self.live.feed.resume(&missing);
    }

    async fn look_again(&self, reason: &'static str) {
        let times = self.live.disturbance.times.load(Ordering::SeqCst);
        self.repair(self.live.feed.safe_seq(), reason).await;
        self.live.disturbance.mended.store(times, Ordering::SeqCst);
    }

    /// Reads the stream after `after` until it succeeds: going on without would lose what is missing.
    async fn repair(&self, after: u64, reason: &'static str) {
        let _place = self.hub.repairs.acquire().await.expect("the semaphore is never closed");
        loop {
            match tail::read(&self.hub.bus, &self.scope.stored(), after, REPAIR_EVENTS_MAX).await {
                Ok(tail) => {
                    let truncated = tail.truncated;
                    let mended = self.live.feed.mend(tail.events);
                    metrics::counter!("chasqui_edge_mended_events_total", "reason" => reason)
                        .increment(mended as u64);
                    if truncated {
                        self.give_up();
                    }
                    return;
                }
                Err(error) => tracing::warn!(%error, reason, "a repair failed and is tried again"),
            }
            let pause = self.live.stop.run_until_cancelled(tokio::time::sleep(REPAIR_PAUSE));
            if pause.await.is_none() {
                return;
            }
        }
    }

    /// Too much is missing to bring every socket up to date here: they come back with their cursors.
    fn give_up(&self) {
        metrics::counter!("chasqui_edge_feeds_given_up_total").increment(1);
        tracing::error!(scope = ?self.scope, "a feed fell too far behind; its clients are sent to resume");
        self.live.feed.dismiss();
        self.live.stop.cancel();
    }
}

/// When a timer that may not be there has run out.
async fn elapsed(timer: &mut Option<Pin<Box<Sleep>>>) {
    match timer {
        Some(timer) => timer.as_mut().await,
        None => std::future::pending().await,
    }
}

/// The next message of a source that may not be there.
async fn next(source: &mut Option<Subscriber>) -> Option<async_nats::Message> {
    match source {
        Some(subscriber) => subscriber.next().await,
        None => std::future::pending().await,
    }
}
