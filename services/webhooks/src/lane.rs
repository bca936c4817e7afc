//! A listener's lane: its events, in order, as many at once as it has earned; what it cannot take now waits in its lot.
//!
//! Two failures are told apart. A listener that refuses an event gets it again by the schedule, and meanwhile the others.
//! One that does not answer would take none: it is left alone for a while, and its events wait in the stream in the order
//! they came in, so that they take neither memory nor the partition's places, and arrive in order when it is back.

mod settling;
mod upkeep;

use std::{
    collections::HashMap,
    future::ready,
    sync::Arc,
    time::{Duration, Instant},
};

use chasqui_kit::{TraceContext, clock, consume};
use chasqui_proto::{
    subject,
    v1::{Delivery, ListenerEntry},
};
use tokio::{
    sync::mpsc,
    task::{Id, JoinSet},
    time::{MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    attempt::Attempted,
    entry::Registered,
    faults::Faults,
    item::{Item, Origin},
    log,
    lot::Lot,
    meter,
    office::Office,
    place::Place,
    queue::{Ordered, Queue},
    standing::Standing,
};

/// How many events wait in memory for one listener; the others wait in its lot.
const QUEUE_MAX: usize = 32;
/// How many taken events wait at once until the log has them; the next attempt waits for one of them.
const CLOSING_MAX: usize = 32;
/// How many events are given up before the lane looks whether it is to stop.
const GIVEN_UP_AT_ONCE_MAX: usize = 32;
/// How often a listener's state is told while it changes, and what is in hand is kept.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);
/// How long the broker may take until it is tried again.
const BROKER_PAUSE: Duration = Duration::from_secs(1);
/// How long a new owner waits at least before it takes from a lot: the partition tells first what is not settled.
const FIRST_REST: Duration = Duration::from_secs(1);
/// How long attempts may go on once the lane is to end. What is cut off is delivered again, under the same id.
const DRAIN_WAIT: Duration = Duration::from_secs(5);

/// An event that has just come in.
pub(crate) type Arrival = (consume::Delivery, Delivery);

/// One listener's events.
pub(crate) struct Lane {
    office: Arc<Office>,
    place: Place,
    inbox: mpsc::Receiver<Arrival>,
    registered: Registered,
    standing: Standing,
    faults: Faults,
    queue: Queue<Item>,
    lot: Lot,
    attempts: JoinSet<Attempted>,
    in_flight: HashMap<Id, (Item, ListenerEntry)>,
    /// Events that the listener took: logged, then acknowledged, while the next one is posted.
    closing: JoinSet<()>,
    arrivals: u64,
    /// Where the event that an owner before parked last was due: what comes from before it was in its hands.
    was_in_hand_before: u64,
    /// The arrival that was parked last: whatever came before it cannot be parked behind it.
    parked_last: u64,
    has_changed: bool,
    upkeeps: u32,
    share: meter::Share,
}

impl Lane {
    /// A lane for a listener in whose lot `parked` events wait.
    pub(crate) async fn open(
        office: Arc<Office>,
        place: Place,
        parked: u64,
        inbox: mpsc::Receiver<Arrival>,
    ) -> Result<Self, Error> {
        let Place { partition, tenant, listener } = &place;
        let lot_subject = subject::deliveries_parked(*partition, tenant, listener);
        let lot = Lot::open(&office.bus, lot_subject, parked).await?;
        let was_in_hand_before = lot.parked_last().await?;
        let told = log::state_of(&office.bus, tenant, listener).await;
        let config = &office.config;
        let now_ms = clock::now_ms();
        let told_rest = Duration::from_millis(u64::try_from(told.resting_until_ms - now_ms).unwrap_or(0));
        let mut standing = Standing::new(told, config.listener_attempts_max, config.refusals_max);
        if parked > 0 {
            // Its rest goes on; and what the owner before had in hand must come before what is parked.
            let rest = told_rest.min(office.schedule.rest_max()).max(FIRST_REST);
            standing.rest(rest, Instant::now(), now_ms);
        } else {
            standing.wake();
        }
        let registered = Registered::new(office.directory.clone(), tenant.clone(), listener.as_str());
        Ok(Self {
            office,
            inbox,
            registered,
            standing,
            faults: Faults::default(),
            queue: Queue::new(),
            lot,
            attempts: JoinSet::new(),
            in_flight: HashMap::new(),
            closing: JoinSet::new(),
            arrivals: 0,
            was_in_hand_before,
            parked_last: 0,
            has_changed: parked > 0,
            upkeeps: 0,
            share: meter::Share::default(),
            place,
        })
    }

    /// Delivers until stopped. What is not settled then comes again to the next owner.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut upkeep = interval(UPKEEP_EVERY);
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = self.registered.changes();
        loop {
            let has_more = self.begin_attempts().await;
            let rest_end = self.standing.resting_until();
            tokio::select! {
                () = stop.cancelled() => break,
                () = ready(()), if has_more => {}
                Some(ended) = self.attempts.join_next_with_id() => self.settle(ended).await,
                Some(_) = self.closing.join_next() => {}
                arrival = self.inbox.recv() => match arrival {
                    Some(arrival) => self.arrive(arrival).await,
                    None => break,
                },
                () = sleep_until(rest_end.unwrap_or_else(Instant::now).into()), if rest_end.is_some() => {
                    self.wake().await;
                }
                // Who registers again is back, whatever rest it was given.
                Ok(()) = changes.changed() => {
                    if self.registered.is_renewed() && rest_end.is_some() {
                        self.wake().await;
                    }
                }
                _ = upkeep.tick(), if self.needs_upkeep() => self.keep_up().await,
            }
        }
        let drained = async {
            while let Some(ended) = self.attempts.join_next_with_id().await {
                self.settle(ended).await;
            }
            while self.closing.join_next().await.is_some() {}
        };
        if timeout(DRAIN_WAIT, drained).await.is_err() {
            tracing::info!(
                listener = self.place.listener.as_str(),
                "attempts were cut off; they are made again"
            );
        }
        self.tell().await;
    }

    async fn wake(&mut self) {
        self.standing.wake();
        self.has_changed = true;
        // What could not be parked before must not overtake what is.
        if self.lot.waiting() > 0 {
            self.park_newest().await;
        }
    }

    async fn arrive(&mut self, (due, delivery): Arrival) {
        self.has_changed = true;
        let trace = TraceContext::of_nats(due.headers());
        let is_first = delivery.attempts == 0 && !delivery.replayed;
        if is_first && due.seq < self.was_in_hand_before && self.lot.waiting() > 0 {
            return self.queue.insert(Item::new(delivery, Origin::Due(Box::new(due)), trace, 0));
        }
        let item = self.item(delivery, Origin::Due(Box::new(due)), trace);
        self.queue.push(item);
        let rests = self.standing.resting_until().is_some() && self.in_flight.is_empty();
        if self.lot.waiting() > 0 {
            self.park_newest().await;
        } else if rests || self.queue.len() > QUEUE_MAX {
            self.clear_desk().await;
        }
    }

    fn item(&mut self, delivery: Delivery, origin: Origin, trace: TraceContext) -> Item {
        self.arrivals += 1;
        Item::new(delivery, origin, trace, self.arrivals)
    }

    /// Moves what waits in memory to the lot, in order.
    async fn clear_desk(&mut self) {
        for item in self.queue.drain() {
            match &item.origin {
                Origin::Parked(seq) => self.lot.put_back(*seq),
                Origin::Due(_) => self.queue.push(item),
            }
        }
        self.park_newest().await;
    }

    /// Moves what came behind everything in the lot there, in order. What something newer was parked before stays.
    async fn park_newest(&mut self) {
        let (mut kept, mut can_park) = (Vec::new(), true);
        for item in self.queue.drain() {
            match &item.origin {
                Origin::Due(due) if can_park && item.arrival() > self.parked_last => {
                    match self.lot.park(&item, due.seq).await {
                        Ok(()) => {
                            self.parked_last = item.arrival();
                            due.done().await;
                        }
                        Err(error) => {
                            self.pause_for_broker(&error);
                            can_park = false;
                            kept.push(item);
                        }
                    }
                }
                Origin::Due(_) | Origin::Parked(_) => kept.push(item),
            }
        }
        for item in kept {
            self.queue.push(item);
        }
    }

    /// Whether there is more to do at once.
    async fn begin_attempts(&mut self) -> bool {
        let mut given_up = 0;
        while self.in_flight.len() < self.standing.attempts_max() && self.closing.len() < CLOSING_MAX {
            if given_up == GIVEN_UP_AT_ONCE_MAX {
                return true;
            }
            self.refill().await;
            let Some(item) = self.queue.take() else { return false };
            self.has_changed = true;
            match self.registered.entry() {
                Ok(entry) => {
                    let (office, delivery, listener) =
                        (self.office.clone(), item.delivery.clone(), entry.clone());
                    let attempt = async move { office.poster.post(&listener, &delivery).await };
                    let id = self.attempts.spawn(attempt).id();
                    self.in_flight.insert(id, (item, entry));
                }
                Err(ended) => {
                    self.give_up(item, None, ended.as_str()).await;
                    given_up += 1;
                }
            }
        }
        false
    }

    /// Takes from the lot what there is room for.
    async fn refill(&mut self) {
        while self.queue.len() < QUEUE_MAX && self.lot.waiting() > 0 {
            let waiting = match self.lot.next().await {
                Ok(Some(waiting)) => waiting,
                Ok(None) => return,
                Err(error) => return self.pause_for_broker(&error),
            };
            let Some(delivery) = waiting.delivery else {
                // Only our own deliveries are parked, so it was put there by hand.
                tracing::error!(seq = waiting.seq, "what cannot be decoded is removed from a lot");
                if let Err(error) = self.lot.remove(waiting.seq).await {
                    return self.pause_for_broker(&error);
                }
                continue;
            };
            let trace = TraceContext::of_nats(Some(&waiting.headers));
            let item = self.item(delivery, Origin::Parked(waiting.seq), trace);
            self.queue.push(item);
        }
    }
}
