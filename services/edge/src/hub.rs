//! Which feeds this node holds: one a scope, for as long as somebody reads it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_nats::Subscriber;
use chasqui_kit::Bus;
use chasqui_proto::{Tenant, stream::MESSAGES, subject::NodeToken};
use futures::StreamExt;
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    addresses::Addresses,
    campaigns,
    config::Config,
    doorbell::Doorbell,
    error::Error,
    event::{Audience, Event},
    feed::{Feed, Member, Membership, NotJoined, Start},
    feeds::{Feeds, Source, Tap},
    history::{Historian, History},
    log::Bounds,
    position::Positions,
    repair::Repairs,
    scope::Scope,
    tap::{self, Heard, Pump, SECOND_LOOK_AFTER},
};

/// How often feeds are looked over: which are idle, which came through undisturbed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// After how many sweeps the feeds of contacts forget what is older than that: half a minute, longer than a feed lives
/// without a socket.
const AGE_SWEEPS: u32 = 6;
/// How many histories are read at once. The other clients of a storm wait here, and not at the database.
const HISTORIES_MAX: usize = 32;
/// The most bytes of recent events a tenant's feed keeps.
const TENANT_RING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a contact's feed keeps: a chat, not a tenant.
const CONTACT_RING: Bounds = Bounds { events_max: 128, bytes_max: 128 * 1024 };
/// How often a joining member is sent for its history before it is told that it cannot be had.
const JOIN_ATTEMPTS_MAX: usize = 4;

/// A client's place in the stream, from an earlier connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Which life of the stream, and how far the client was told of campaigns: clients treat it as opaque.
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

/// The feeds of this node.
#[derive(Debug)]
pub(crate) struct Hub {
    bus: Bus,
    /// Of the files that messages have.
    addresses: Addresses,
    doorbell: Doorbell,
    positions: Positions,
    tenants: Mutex<HashMap<Tenant, Arc<Feeds>>>,
    lines_max: usize,
    ring_events_max: usize,
    replay_events_max: u32,
    linger: Duration,
    histories: Semaphore,
    repairs: Arc<Repairs>,
}

impl Hub {
    pub(crate) fn new(
        bus: Bus,
        node: &NodeToken,
        (config, addresses): (&Config, Addresses),
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            addresses,
            doorbell: Doorbell::new(bus.clone(), node),
            positions: Positions::new(bus.clone()),
            tenants: Mutex::default(),
            lines_max: config.contact_subscriptions_max,
            ring_events_max: config.ring_events_max,
            replay_events_max: config.replay_events_max,
            linger: Duration::from_millis(config.linger_ms),
            histories: Semaphore::new(HISTORIES_MAX),
            repairs: Repairs::new(bus.clone(), stop),
            bus,
        })
    }

    /// Shows what is only worth knowing now to whoever of the tenant is here and may see it.
    pub(crate) fn show(&self, tenant: &Tenant, event: Event) {
        let Some(feeds) = self.tenants().get(tenant).cloned() else { return };
        let event = Arc::new(event);
        feeds.all(event.fact.audience()).iter().for_each(|feed| feed.show_now(&event));
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
            match feed.join(&member, begin, told(wish, &feed)) {
                Ok(membership) => return Ok(membership),
                Err(NotJoined::Ended(same)) => start = Some(same),
                Err(NotJoined::Behind(Start::After(since))) => start = Some(self.since(scope, since).await?),
                Err(NotJoined::Behind(Start::Lost)) => start = Some(self.lost(scope).await),
                Err(NotJoined::Behind(_)) => {}
            }
        }
        // The feed runs faster than its history can be read: say so rather than leave a hole.
        let feed = self.feed(scope).await?;
        feed.join(&member, Start::Lost, told(wish, &feed))
            .map_err(|_| Error::ReadStream("the feed ended while joining".to_owned()))
    }

    /// Looks feeds over until stopped; then waits for their tasks.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut disruptions = self.bus.disruptions();
        let mut elections = self.elections().await;
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        let mut sweeps = 0;
        let mut second_look: Option<Instant> = None;
        loop {
            tokio::select! {
                // What may have disturbed the feeds comes before they are taken to be undisturbed.
                biased;
                () = self.repairs.stop.cancelled() => break,
                changed = disruptions.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.disturb();
                    second_look = Some(Instant::now() + SECOND_LOOK_AFTER);
                }
                Some(_) = next(&mut elections) => {
                    self.disturb();
                    second_look = Some(Instant::now() + SECOND_LOOK_AFTER);
                }
                () = at(second_look) => {
                    second_look = None;
                    self.each_feed(|feeds, feed| self.repairs.look(feeds, feed));
                }
                _ = sweep.tick() => {
                    sweeps += 1;
                    self.sweep(sweeps % AGE_SWEEPS == 0);
                }
            }
        }
        self.repairs.tasks.close();
        self.repairs.tasks.wait().await;
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
            Wish::Since(cursor) if *cursor.life() != *feed.epoch() => self.lost(scope).await,
            Wish::Since(cursor) => Start::After(cursor.seq),
            Wish::Undelivered => self.backlog(scope, true).await.unwrap_or(Start::Now),
        })
    }

    /// Where a member starts whose cursor cannot be honoured. Staff load everything again; a contact has nowhere to load
    /// from, and is shown what it has not certainly seen.
    async fn lost(&self, scope: &Scope) -> Start {
        match scope {
            Scope::Tenant(_) => Start::Lost,
            Scope::Contact(..) => self.backlog(scope, false).await.unwrap_or(Start::Lost),
        }
    }

    /// What waits for a contact; `None` when it cannot be read, and the contact goes live without it.
    async fn backlog(&self, scope: &Scope, fresh: bool) -> Option<Start> {
        match self.undelivered(scope).await {
            Ok(history) => Some(Start::Backlog { history, fresh }),
            Err(error) => {
                metrics::counter!("chasqui_edge_backlogs_unread_total").increment(1);
                tracing::warn!(%error, "what waits for a contact cannot be read; it goes live without it");
                None
            }
        }
    }

    async fn since(&self, scope: &Scope, since: u64) -> Result<Start, Error> {
        let place = self.histories.acquire().await.expect("the semaphore is never closed");
        let read: Option<History> = self.historian().since(scope, since).await?;
        // What waits for a contact takes a place of its own.
        drop(place);
        Ok(match read {
            Some(history) => Start::With { since, history },
            None => self.lost(scope).await,
        })
    }

    async fn undelivered(&self, scope: &Scope) -> Result<History, Error> {
        let _place = self.histories.acquire().await.expect("the semaphore is never closed");
        self.historian().undelivered(scope).await
    }

    fn historian(&self) -> Historian<'_> {
        Historian {
            bus: &self.bus,
            addresses: &self.addresses,
            positions: &self.positions,
            events_max: self.replay_events_max,
        }
    }

    /// The feed of a scope, begun.
    async fn feed(&self, scope: &Scope) -> Result<Arc<Feed>, Error> {
        let (feeds, feed, source) = self.seat(scope);
        feed.begun.get_or_try_init(|| self.begin(&feeds, &feed, &source)).await?;
        Ok(feed)
    }

    fn seat(&self, scope: &Scope) -> (Arc<Feeds>, Arc<Feed>, Source) {
        let bounds = match scope {
            Scope::Tenant(_) => Bounds { events_max: self.ring_events_max, bytes_max: TENANT_RING_BYTES_MAX },
            Scope::Contact(..) => CONTACT_RING,
        };
        let mut tenants = self.tenants();
        let feeds = tenants.entry(scope.tenant().clone()).or_insert_with(|| {
            Arc::new(Feeds::new(scope.tenant().clone(), self.lines_max, self.addresses.clone()))
        });
        let make = || Feed::new(scope.clone(), bounds, self.replay_events_max);
        let (feed, source) = feeds.seat(scope, &self.repairs.stop, make);
        (feeds.clone(), feed, source)
    }

    /// Subscribes, and only then asks where the stream stands: everything after that position will be heard.
    async fn begin(&self, feeds: &Arc<Feeds>, feed: &Arc<Feed>, source: &Source) -> Result<(), Error> {
        let line = match source {
            Source::Line(stop) => Some((stop, tap::subscribe(&self.bus, feed.scope()).await?)),
            Source::Tap(tap) => {
                tap.open.get_or_try_init(|| self.open(feeds, tap)).await?;
                None
            }
        };
        let missing = feed.begin(&self.positions.after_barrier().await?);
        self.repairs.start(feeds, feed.clone(), missing, "disturbed");
        // Before anybody joins: who does is told how they stand.
        campaigns::read(&self.bus, feeds, feed).await?;
        if let Some((stop, heard)) = line {
            self.pump(feeds, Some(feed.clone()), heard, stop.clone());
        }
        Ok(())
    }

    async fn open(&self, feeds: &Arc<Feeds>, tap: &Tap) -> Result<(), Error> {
        let heard = tap::subscribe(&self.bus, &Scope::Tenant(feeds.tenant.clone())).await?;
        metrics::counter!("chasqui_edge_taps_total").increment(1);
        self.pump(feeds, None, heard, tap.stopped.clone());
        Ok(())
    }

    fn pump(&self, feeds: &Arc<Feeds>, only: Option<Arc<Feed>>, heard: Heard, stop: CancellationToken) {
        let pump = Pump {
            feeds: feeds.clone(),
            only,
            doorbell: self.doorbell.clone(),
            repairs: self.repairs.clone(),
        };
        self.repairs.tasks.spawn(pump.run(heard, stop));
    }

    fn sweep(&self, is_time_to_age: bool) {
        let is_connected = self.bus.is_connected();
        let feeds = std::cell::Cell::new(0_u32);
        let look_over = |feed: &Feed| {
            feeds.set(feeds.get() + 1);
            if is_connected {
                feed.mark_safe();
            }
            if is_time_to_age && feed.scope().conversation().is_some() {
                feed.age();
            }
        };
        self.tenants().retain(|_, tenant| tenant.sweep(self.linger, look_over));
        metrics::gauge!("chasqui_edge_feeds").set(feeds.get());
    }

    /// Something may have gone past every feed.
    fn disturb(&self) {
        self.each_feed(|feeds, feed| {
            let missing = feed.disturb();
            self.repairs.start(feeds, feed, missing, "disturbed");
        });
    }

    fn each_feed(&self, act: impl Fn(&Arc<Feeds>, Arc<Feed>)) {
        let tenants: Vec<Arc<Feeds>> = self.tenants().values().cloned().collect();
        for feeds in tenants {
            feeds.all(Audience::Everyone).into_iter().for_each(|feed| act(&feeds, feed));
        }
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<Tenant, Arc<Feeds>>> {
        self.tenants.lock().expect("no holder of this lock panics")
    }
}

/// Up to where among the states a client was told how campaigns stand; `None` when it brings nothing that counts here.
fn told(wish: &Wish, feed: &Feed) -> Option<u64> {
    match wish {
        Wish::Since(cursor) if *cursor.life() == *feed.epoch() => cursor.told(),
        Wish::Since(_) | Wish::Live | Wish::Undelivered => None,
    }
}

/// Returns at a moment, where there is one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
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
