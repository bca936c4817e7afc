//! What a lane does while time passes: it keeps what it has in hand, and tells how its listener is doing.

use chasqui_kit::clock;

use super::Lane;
use crate::{item::Origin, log};

/// How many upkeeps lie between two signs to the broker that an event is still in hand.
const HOLD_EVERY: u32 = 15;

impl Lane {
    pub(super) fn needs_upkeep(&self) -> bool {
        self.has_changed || self.queue.len() > 0 || !self.in_flight.is_empty() || self.registered.must_store()
    }

    pub(super) async fn keep_up(&mut self) {
        self.upkeeps = self.upkeeps.wrapping_add(1);
        if self.upkeeps.is_multiple_of(HOLD_EVERY) {
            self.hold().await;
        }
        if self.registered.must_store()
            && let Err(error) = self.registered.store(&self.office.bus).await
        {
            tracing::warn!(%error, listener = self.place.listener.as_str(), "a listener is not disabled yet");
        }
        self.tell().await;
    }

    /// Tells the broker that what is in hand is still in hand.
    async fn hold(&self) {
        let in_flight = self.in_flight.values().map(|(item, _)| item);
        for item in self.queue.iter().chain(in_flight) {
            if let Origin::Due(due) = &item.origin {
                due.hold().await;
            }
        }
    }

    /// Tells how the listener is doing, if that has changed.
    pub(super) async fn tell(&mut self) {
        if !std::mem::take(&mut self.has_changed) {
            return;
        }
        let now_ms = clock::now_ms();
        let waiting = (self.queue.len() + self.in_flight.len()) as u64 + self.lot.waiting();
        let in_flight = self.in_flight.values().map(|(item, _)| item);
        let oldest = self.queue.iter().chain(in_flight).map(|item| item.delivery.created_at_ms).min();
        let told = &mut self.standing.told;
        self.place.tenant.as_str().clone_into(&mut told.tenant);
        self.place.listener.as_str().clone_into(&mut told.listener);
        (told.pending, told.version, told.updated_at_ms) = (waiting, told.version + 1, now_ms);
        told.lag_ms = oldest.map_or(0, |oldest| now_ms.saturating_sub(oldest).max(0));
        self.share.set(waiting, self.standing.resting_until().is_some());
        let whose = (&self.place.tenant, &self.place.listener);
        if let Err(error) = log::tell_state(&self.office.bus, whose, &self.standing.told).await {
            tracing::debug!(%error, "a listener's state was not told; it is told again");
            self.has_changed = true;
        }
    }
}
