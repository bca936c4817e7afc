//! What operators see.

use std::time::Duration;

/// How many campaigns this replica runs.
pub(crate) fn running(count: usize) {
    metrics::gauge!("chasqui_bulk_campaigns").set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

/// A message was published: `stored`; `repeated`, where the stream had it; `refused`, where it could not be made out or was
/// too large.
pub(crate) fn published(result: &'static str, took: Duration) {
    metrics::counter!("chasqui_bulk_messages_total", "result" => result).increment(1);
    metrics::histogram!("chasqui_bulk_publish_seconds").record(took.as_secs_f64());
}

/// Everybody was told how far a campaign is.
pub(crate) fn told() {
    metrics::counter!("chasqui_bulk_progress_total").increment(1);
}

/// A campaign goes on here in the middle: its runner before died, or gave it back.
pub(crate) fn taken_over() {
    metrics::counter!("chasqui_bulk_takeovers_total").increment(1);
}

/// A campaign stopped by itself.
pub(crate) fn stopped() {
    metrics::counter!("chasqui_bulk_stops_total").increment(1);
}

/// A campaign begins to wait: `quiet_hours`, `number`, `persistence`, `broker`.
pub(crate) fn waits(cause: &'static str) {
    metrics::counter!("chasqui_bulk_waits_total", "cause" => cause).increment(1);
}
