//! What becomes of an event once its attempt has ended.

use std::time::{Duration, Instant};

use chasqui_kit::{TraceContext, clock, publish::PublishError};
use chasqui_proto::{
    Tenant, subject,
    v1::{Delivery, DeliveryAttempt, DeliveryOutcome, ListenerEntry},
};
use tokio::task::{Id, JoinError};

use super::{BROKER_PAUSE, Lane};
use crate::{
    attempt::Attempted,
    dead_letter,
    item::{Item, Origin},
    later, log, meter,
    office::Office,
    place::Place,
    verdict::Verdict,
};

impl Lane {
    pub(super) async fn settle(&mut self, ended: Result<(Id, Attempted), JoinError>) {
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
        let record = log::record(&item.delivery, attempt, (DeliveryOutcome::Delivered, 0), attempted);
        if let Origin::Parked(_) = item.origin {
            self.publish(&record, item.trace).await;
            return self.forget(item).await;
        }
        self.queue.finished(&item);
        let (office, tenant) = (self.office.clone(), self.place.tenant.clone());
        self.closing.spawn(async move {
            store(&office, &tenant, &record, item.trace).await;
            if let Origin::Due(due) = &item.origin {
                due.done().await;
            }
        });
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
    pub(super) async fn give_up(&mut self, item: Item, attempted: Option<&Attempted>, why: &str) {
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

    async fn publish(&self, record: &DeliveryAttempt, trace: TraceContext) {
        store(&self.office, &self.place.tenant, record, trace).await;
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

    pub(super) fn pause_for_broker(&mut self, error: &dyn std::fmt::Display) {
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

/// Logs an attempt. A record that is lost must not make the event come twice.
async fn store(office: &Office, tenant: &Tenant, record: &DeliveryAttempt, trace: TraceContext) {
    if let Err(error) = log::publish(&office.bus, tenant, record, trace).await {
        tracing::warn!(%error, delivery = record.delivery_id, "an attempt is missing in the log");
    }
}
