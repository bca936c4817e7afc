//! What operators see.

use chasqui_proto::v1::{DeliveryOutcome, Responder};

use crate::{attempt::Attempted, verdict::Verdict};

/// One attempt.
pub(crate) fn attempt(attempted: &Attempted) {
    let verdict = match attempted.verdict {
        Verdict::Delivered => "delivered",
        Verdict::Gone => "gone",
        Verdict::Refused { .. } => "refused",
        Verdict::Away { .. } => "away",
    };
    metrics::histogram!("chasqui_webhooks_attempt_seconds", "verdict" => verdict).record(attempted.duration);
}

/// What became of a delivery, for now.
pub(crate) fn outcome(outcome: DeliveryOutcome) {
    metrics::counter!("chasqui_webhooks_deliveries_total", "outcome" => outcome.name()).increment(1);
}

/// How long an event took from the router to its listener.
pub(crate) fn lag(milliseconds: i64) {
    let milliseconds = u32::try_from(milliseconds.max(0)).unwrap_or(u32::MAX);
    metrics::histogram!("chasqui_webhooks_lag_seconds").record(f64::from(milliseconds) / 1_000.0);
}

/// Events that the router stored for listeners.
pub(crate) fn routed(count: u64) {
    metrics::counter!("chasqui_webhooks_routed_total").increment(count);
}

/// What contacts wrote that listeners which answer were not told of, because somebody else answers.
pub(crate) fn withheld(count: u64, responder: Responder) {
    metrics::counter!("chasqui_webhooks_withheld_total", "responder" => responder.name()).increment(count);
}

/// Partitions that this process owns.
pub(crate) fn partitions(count: usize) {
    metrics::gauge!("chasqui_webhooks_partitions").set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

/// What one listener adds to the gauges of all.
#[derive(Debug, Default)]
pub(crate) struct Share {
    waiting: u32,
    resting: bool,
}

impl Share {
    /// The listener has `waiting` events now, and rests or not.
    pub(crate) fn set(&mut self, waiting: u64, resting: bool) {
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        self.count(-1.0);
        // Field by field: a value that is replaced is dropped, and would be taken off once more.
        (self.waiting, self.resting) = (waiting, resting);
        self.count(1.0);
    }

    fn count(&self, sign: f64) {
        let state = if self.resting { "resting" } else { "active" };
        metrics::gauge!("chasqui_webhooks_waiting", "state" => state)
            .increment(sign * f64::from(self.waiting));
        metrics::gauge!("chasqui_webhooks_resting_listeners")
            .increment(sign * f64::from(u8::from(self.resting)));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.count(-1.0);
    }
}
