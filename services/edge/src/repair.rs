//! Reading the stream for what went past a feed.

use std::{sync::Arc, time::Duration};

use chasqui_kit::Bus;
use chasqui_proto::stream::MESSAGES;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    campaigns,
    feed::Feed,
    feeds::Feeds,
    flow::Missing,
    tail::{self, Tail},
};

/// How many feeds read the stream at once: after a disturbance every feed of the node wants to.
const REPAIRS_MAX: usize = 8;
/// The most events one repair reads. A feed that lost more is ended, and its sockets come back with their cursors.
const REPAIR_EVENTS_MAX: usize = 20_000;
/// The pause before a repair that failed is tried again.
const REPAIR_PAUSE: Duration = Duration::from_millis(250);

/// Why a feed that stands still is looked at again.
const SECOND_LOOK: &str = "second_look";

/// Repairs feeds, each by a task that ends with the repair.
#[derive(Debug)]
pub(crate) struct Repairs {
    bus: Bus,
    places: Semaphore,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Repairs {
    pub(crate) fn new(bus: Bus, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self { bus, places: Semaphore::new(REPAIRS_MAX), tasks: TaskTracker::new(), stop })
    }

    /// Repairs a feed if something is missing. What comes meanwhile is held back by the feed.
    pub(crate) fn start(
        self: &Arc<Self>,
        feeds: &Arc<Feeds>,
        feed: Arc<Feed>,
        missing: Option<Missing>,
        reason: &'static str,
    ) {
        if let Some(missing) = missing {
            let (repairs, feeds) = (self.clone(), feeds.clone());
            self.tasks.spawn(async move {
                repairs.repair(&feeds, &feed, missing, reason).await;
                repairs.read_campaigns(&feeds, &feed).await;
            });
        }
    }

    /// Looks whether something went past a feed a while ago; what comes meanwhile is shown as it comes.
    pub(crate) fn look(self: &Arc<Self>, feeds: &Arc<Feeds>, feed: Arc<Feed>) {
        if let Some(missing) = feed.look() {
            let (repairs, feeds) = (self.clone(), feeds.clone());
            self.tasks.spawn(async move {
                repairs.look_from(&feeds, &feed, missing).await;
                repairs.read_campaigns(&feeds, &feed).await;
            });
        }
    }

    async fn look_from(&self, feeds: &Feeds, feed: &Feed, mut missing: Missing) {
        while let Some(tail) = self.read(feed, &missing, SECOND_LOOK).await {
            let events: Vec<_> = tail.events.into_iter().filter_map(|event| feeds.place(event)).collect();
            metrics::counter!("chasqui_edge_mended_events_total", "reason" => SECOND_LOOK)
                .increment(feed.add(&events) as u64);
            match events.last().and_then(|event| event.seq) {
                Some(last) if tail.truncated => missing.after = last,
                _ => return,
            }
        }
    }

    async fn repair(&self, feeds: &Feeds, feed: &Feed, mut missing: Missing, reason: &'static str) {
        loop {
            let Some(tail) = self.read(feed, &missing, reason).await else { return };
            if tail.truncated {
                // Before anything of it is shown: what was held back lies beyond what is still missing.
                feed.give_up();
                return;
            }
            let events: Vec<_> = tail.events.into_iter().filter_map(|event| feeds.place(event)).collect();
            let (mended, more) = feed.mend(&events);
            metrics::counter!("chasqui_edge_mended_events_total", "reason" => reason)
                .increment(mended as u64);
            match more {
                Some(more) => missing = more,
                None => return,
            }
        }
    }

    /// What is lost of a campaign may be its end, which nothing comes after.
    async fn read_campaigns(&self, feeds: &Feeds, feed: &Feed) {
        while !feed.has_ended() {
            let place = self.places.acquire().await.expect("the semaphore is never closed");
            let Err(error) = campaigns::read(&self.bus, feeds, feed).await else { return };
            drop(place);
            tracing::warn!(%error, "how campaigns stand cannot be read; trying again");
            if self.stop.run_until_cancelled(tokio::time::sleep(REPAIR_PAUSE)).await.is_none() {
                return;
            }
        }
    }

    /// Reads until it succeeds: going on without would lose what is missing. `None` once nobody needs it.
    async fn read(&self, feed: &Feed, missing: &Missing, reason: &'static str) -> Option<Tail> {
        let _place = self.places.acquire().await.expect("the semaphore is never closed");
        while !feed.has_ended() {
            match tail::read(&self.bus, &MESSAGES, &feed.scope().stored(), missing.after, REPAIR_EVENTS_MAX)
                .await
            {
                Ok(tail) => return Some(tail),
                Err(error) => tracing::warn!(%error, reason, "a repair failed and is tried again"),
            }
            self.stop.run_until_cancelled(tokio::time::sleep(REPAIR_PAUSE)).await?;
        }
        None
    }
}
