//! The task that feeds a feed: hears what is repeated live, and reads what went past.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::Subscriber;
use chasqui_kit::Bus;
use chasqui_proto::subject;
use futures::StreamExt;
use tokio::{
    sync::{Notify, Semaphore},
    time::Sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    error::Error,
    event::Event,
    feed::{Feed, Missing},
    scope::Scope,
    tail,
};

/// How long after going live a feed reads the stream once more: a subscription needs up to 10 ms to be known on the
/// other servers of a cluster, and what was published meanwhile went past it.
const SECOND_LOOK_AFTER: Duration = Duration::from_secs(1);
/// The most events one repair reads. A feed that lost more is ended, and its sockets come back with their cursors.
const REPAIR_EVENTS_MAX: usize = 20_000;
/// The pause before a repair that failed is tried again.
const REPAIR_PAUSE: Duration = Duration::from_millis(250);

/// A feed and what keeps it running.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) feed: Arc<Feed>,
    pub(crate) disturbance: Arc<Disturbance>,
    pub(crate) stop: CancellationToken,
}

/// What a feed hears.
pub(crate) struct Sources {
    live: Subscriber,
    /// A tenant's counters and the like: subjects without a key.
    wide: Option<Subscriber>,
}

impl Sources {
    /// Subscribes to what belongs to a scope.
    pub(crate) async fn subscribe(bus: &Bus, scope: &Scope) -> Result<Self, Error> {
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
pub(crate) struct Reader {
    pub(crate) bus: Bus,
    pub(crate) scope: Scope,
    pub(crate) live: Live,
    /// Held while reading the stream: after a disturbance every feed of the node wants to.
    pub(crate) repairs: Arc<Semaphore>,
}

impl Reader {
    /// Until stopped.
    pub(crate) async fn run(self, mut sources: Sources) {
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
        let _place = self.repairs.acquire().await.expect("the semaphore is never closed");
        loop {
            match tail::read(&self.bus, &self.scope.stored(), after, REPAIR_EVENTS_MAX).await {
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
pub(crate) async fn next(source: &mut Option<Subscriber>) -> Option<async_nats::Message> {
    match source {
        Some(subscriber) => subscriber.next().await,
        None => std::future::pending().await,
    }
}

/// Whether a feed may have missed something. Set by the hub, mended by the feed's task.
#[derive(Debug, Default)]
pub(crate) struct Disturbance {
    /// Asks the feed's task to read the stream again.
    asked: Notify,
    /// How often it was asked, and up to which of them it has read again since.
    times: AtomicU64,
    mended: AtomicU64,
}

impl Disturbance {
    pub(crate) fn set(&self) {
        self.times.fetch_add(1, Ordering::SeqCst);
        self.asked.notify_one();
    }

    pub(crate) fn is_mended(&self) -> bool {
        self.mended.load(Ordering::SeqCst) == self.times.load(Ordering::SeqCst)
    }
}
