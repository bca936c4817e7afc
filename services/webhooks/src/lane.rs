//! A listener's lane: its events, in order, as many at once as it has earned; what it cannot take now waits in its lot.
//!
//! Two failures are told apart. A listener that refuses an event gets it again by the schedule, and meanwhile the others.
//! One that does not answer would take none: it is left alone for a while, and its events wait in the stream in the order
//! they came in, so that they take neither memory nor the partition's places, and arrive in order when it is back.

mod upkeep;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use chasqui_kit::{TraceContext, clock, consume, publish::PublishError};
use chasqui_proto::{
    subject,
    v1::{Delivery, DeliveryOutcome, ListenerEntry},
};
use tokio::{
    sync::mpsc,
    task::{Id, JoinError, JoinSet},
    time::{MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    attempt::Attempted,
    dead_letter,
    entry::Registered,
    faults::Faults,
    item::{Item, Origin},
    later, log,
    lot::Lot,
    meter,
    office::Office,
    place::Place,
    queue::{Ordered, Queue},
    standing::Standing,
    verdict::Verdict,
};

/// How many events wait in memory for one listener; the others wait in its lot.
const QUEUE_MAX: usize = 32;
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
    arrivals: u64,
    /// The position of the oldest event that an owner before left in the lot: what comes from before it was in its
    /// hands.
    lot_oldest: u64,
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
        let mut lot = Lot::open(&office.bus, lot_subject, parked).await?;
        let lot_oldest = lot.oldest().await?;
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
            arrivals: 0,
            lot_oldest,
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
        loop {
            self.begin_attempts().await;
            let rest_end = self.standing.resting_until();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.attempts.join_next_with_id() => self.settle(ended).await,
                arrival = self.inbox.recv() => match arrival {
                    Some(arrival) => self.arrive(arrival).await,
                    None => break,
                },
                () = sleep_until(rest_end.unwrap_or_else(Instant::now).into()), if rest_end.is_some() => {
                    self.standing.wake();
                    self.has_changed = true;
                }
                _ = upkeep.tick(), if self.needs_upkeep() => self.keep_up().await,
            }
        }
        let drained = async {
            while let Some(ended) = self.attempts.join_next_with_id().await {
                self.settle(ended).await;
            }
        };
        if timeout(DRAIN_WAIT, drained).await.is_err() {
            tracing::info!(
                listener = self.place.listener.as_str(),
                "attempts were cut off; they are made again"
            );
        }
        self.tell().await;
    }

    async fn arrive(&mut self, (due, delivery): Arrival) {
        self.has_changed = true;
        let trace = TraceContext::of_nats(due.headers());
        let is_first = delivery.attempts == 0 && !delivery.replayed;
        if is_first && delivery.seq < self.lot_oldest && self.lot.waiting() > 0 {
            return self.queue.insert(Item::new(delivery, Origin::Due(Box::new(due)), trace, 0));
        }
        let item = self.item(delivery, Origin::Due(Box::new(due)), trace);
        self.queue.push(item);
        let has_older_elsewhere = self.lot.waiting() > 0;
        let rests = self.standing.resting_until().is_some() && self.in_flight.is_empty();
        if has_older_elsewhere || rests || self.queue.len() > QUEUE_MAX {
            self.clear_desk().await;
        }
    }

    fn item(&mut self, delivery: Delivery, origin: Origin, trace: TraceContext) -> Item {
        self.arrivals += 1;
        Item::new(delivery, origin, trace, self.arrivals)
    }

    /// Moves what waits in memory to the lot, in order. What something newer was parked before stays.
    async fn clear_desk(&mut self) {
        let (mut kept, mut can_park) = (Vec::new(), true);
        for item in self.queue.drain() {
            match &item.origin {
                Origin::Parked(seq) => self.lot.put_back(*seq),
                Origin::Due(due) if can_park && item.arrival() > self.parked_last => {
                    match self.lot.park(&item).await {
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
                Origin::Due(_) => kept.push(item),
            }
        }
        for item in kept {
            self.queue.push(item);
        }
    }

    async fn begin_attempts(&mut self) {
        while self.in_flight.len() < self.standing.attempts_max() {
            self.refill().await;
            let Some(item) = self.queue.take() else { return };
            self.has_changed = true;
            match self.registered.entry() {
                Ok(entry) => {
                    let (office, delivery, listener) =
                        (self.office.clone(), item.delivery.clone(), entry.clone());
                    let attempt = async move { office.poster.post(&listener, &delivery).await };
                    let id = self.attempts.spawn(attempt).id();
                    self.in_flight.insert(id, (item, entry));
                }
                Err(ended) => self.give_up(item, None, ended.as_str()).await,
            }
        }
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

    async fn settle(&mut self, ended: Result<(Id, Attempted), JoinError>) {
        self.has_changed = true;
        let (id, attempted) = match ended {
            Ok((id, attempted)) => (id, attempted),
            Err(error) => {
                tracing::error!(%error, "an attempt failed by our own mistake");
                (error.id(), Attempted::failed_here())
            }
        };
        let (item, entry) =
            self.in_flight.remove(&id).expect("every attempt is in flight until it is settled");
        match attempted.verdict {
            Verdict::Delivered => self.delivered(item, &attempted).await,
            Verdict::Gone => {
                self.registered.disable(&entry, "gone");
                self.give_up(item, Some(&attempted), "").await;
            }
            Verdict::Refused { retry_after } => {
                let too_often = self.standing.refused(&attempted.error, clock::now_ms());
                self.retry(item, &attempted, retry_after).await;
                if let Some(times) = too_often {
                    self.rest(times, retry_after);
                }
            }
            Verdict::Away { retry_after } => self.unanswered(item, &attempted, retry_after).await,
        }
        self.disable_if_it_only_fails(&entry);
        if self.standing.resting_until().is_some() && self.in_flight.is_empty() {
            self.clear_desk().await;
        }
    }

    async fn delivered(&mut self, item: Item, attempted: &Attempted) {
        let now_ms = clock::now_ms();
        self.standing.delivered(now_ms);
        meter::lag(now_ms - item.delivery.created_at_ms);
        let attempt = item.delivery.attempts + self.faults.forget(&item.delivery.id) + 1;
        self.log(&item, attempt, (DeliveryOutcome::Delivered, 0), attempted).await;
        self.forget(item).await;
    }

    /// The listener does not answer. Where others were delivered since this event failed first, the event is at fault.
    async fn unanswered(&mut self, item: Item, attempted: &Attempted, asked: Option<Duration>) {
        let delivered = self.standing.told.delivered;
        let times = self.faults.count(&item.delivery.id, delivered);
        if self.faults.is_its_own(&item.delivery.id, delivered) {
            self.faults.forget(&item.delivery.id);
            return self.retry(item, attempted, asked).await;
        }
        let now_ms = clock::now_ms();
        let silences = self.standing.silent(&attempted.error, now_ms);
        if item.is_older_than(self.office.schedule.patience(), now_ms) {
            return self.bury(item, attempted).await;
        }
        self.rest(silences, asked);
        let next_at_ms = self.standing.told.resting_until_ms;
        let attempt = item.delivery.attempts + times;
        self.log(&item, attempt, (DeliveryOutcome::Retrying, next_at_ms), attempted).await;
        self.queue.put_back(item);
    }

    fn rest(&mut self, times: u32, asked: Option<Duration>) {
        let pause = self.office.schedule.rest(times, asked, rand::random());
        self.standing.rest(pause, Instant::now(), clock::now_ms());
    }

    /// The event comes again at its next time, or never.
    async fn retry(&mut self, item: Item, attempted: &Attempted, asked: Option<Duration>) {
        let attempts = item.delivery.attempts + 1;
        let Some(pause) = self.office.schedule.retry(attempts, asked, rand::random()) else {
            return self.bury(item, attempted).await;
        };
        let delivery = Delivery { attempts, ..(*item.delivery).clone() };
        let next_at_ms = clock::now_ms() + i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        let (Place { partition, tenant, listener }, bus) = (&self.place, &self.office.bus);
        let due = subject::deliveries_due(*partition, tenant, listener);
        match later::schedule(bus, (tenant, &due), &delivery, next_at_ms, item.trace).await {
            Ok(()) => {
                self.log(&item, attempts, (DeliveryOutcome::Retrying, next_at_ms), attempted).await;
                self.forget(item).await;
            }
            Err(error) => self.put_back_for_broker(item, &error),
        }
    }

    /// The event was tried for as long as anybody tries.
    async fn bury(&mut self, item: Item, attempted: &Attempted) {
        let Place { partition, tenant, listener } = &self.place;
        let due = subject::deliveries_due(*partition, tenant, listener);
        let attempts = item.delivery.attempts + 1;
        let why = (attempts, attempted.error.as_str(), item.trace);
        match dead_letter::bury(&self.office.bus, &item.delivery, &due, why).await {
            Ok(()) => self.give_up(item, Some(attempted), "").await,
            Err(error) => self.put_back_for_broker(item, &error),
        }
    }

    /// The event is given up, and the log says why.
    async fn give_up(&mut self, item: Item, attempted: Option<&Attempted>, why: &str) {
        self.standing.gave_up();
        let attempt = item.delivery.attempts + self.faults.forget(&item.delivery.id) + 1;
        match attempted {
            Some(attempted) => self.log(&item, attempt, (DeliveryOutcome::Failed, 0), attempted).await,
            None => self.publish(&log::record_unattempted(&item.delivery, why), item.trace).await,
        }
        self.forget(item).await;
    }

    async fn log(&self, item: &Item, attempt: u32, outcome: (DeliveryOutcome, i64), attempted: &Attempted) {
        self.publish(&log::record(&item.delivery, attempt, outcome, attempted), item.trace).await;
    }

    /// A record that is lost must not make the event come twice.
    async fn publish(&self, record: &chasqui_proto::v1::DeliveryAttempt, trace: TraceContext) {
        if let Err(error) = log::publish(&self.office.bus, &self.place.tenant, record, trace).await {
            tracing::warn!(%error, delivery = record.delivery_id, "an attempt is missing in the log");
        }
    }

    /// The event is settled.
    async fn forget(&mut self, item: Item) {
        self.queue.finished(&item);
        match &item.origin {
            Origin::Due(due) => due.done().await,
            Origin::Parked(seq) => {
                if let Err(error) = self.lot.remove(*seq).await {
                    tracing::warn!(%error, delivery = item.delivery.id, "an event may be delivered again");
                }
            }
        }
    }

    fn put_back_for_broker(&mut self, item: Item, error: &PublishError) {
        self.queue.put_back(item);
        self.pause_for_broker(error);
    }

    fn pause_for_broker(&mut self, error: &dyn std::fmt::Display) {
        tracing::warn!(%error, listener = self.place.listener.as_str(), "a listener's events wait for the broker");
        self.standing.rest(BROKER_PAUSE, Instant::now(), clock::now_ms());
    }

    fn disable_if_it_only_fails(&mut self, entry: &ListenerEntry) {
        let patience_ms = i64::try_from(self.office.config.disable_after_secs.saturating_mul(1_000));
        let patience_ms = patience_ms.unwrap_or(i64::MAX);
        let changed_at_ms = entry.created_at_ms.max(entry.updated_at_ms);
        let since = self.standing.failing_since_ms(changed_at_ms);
        let is_over = since.is_some_and(|since| clock::now_ms().saturating_sub(since) >= patience_ms);
        if patience_ms > 0 && is_over && self.registered.entry().is_ok() {
            self.registered.disable(entry, "failing");
        }
    }
}
