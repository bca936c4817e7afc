//! What operators can watch.

use std::time::Duration;

use chasqui_kit::clock;
use chasqui_proto::v1::{Message, Priority};

/// An attempt ended: `accepted`, `again`, `fallback`, `failed`, `uncertain`; `class` says why in one word.
pub(crate) fn attempt(result: &'static str, class: &'static str, priority: Priority) {
    metrics::counter!("chasqui_whatsapp_sends_total", "result" => result, "class" => class, "priority" => priority.name())
        .increment(1);
}

/// A message was accepted.
pub(crate) fn accepted(message: &Message, priority: Priority) {
    if message.received_at_ms > 0 {
        let took_ms = u64::try_from(clock::now_ms() - message.received_at_ms).unwrap_or_default();
        metrics::histogram!("chasqui_whatsapp_accepted_seconds", "priority" => priority.name())
            .record(Duration::from_millis(took_ms));
    }
}

/// A template was sent in place of a message.
pub(crate) fn fallback() {
    metrics::counter!("chasqui_whatsapp_fallbacks_total").increment(1);
}

/// A number or a contact was throttled by the provider.
pub(crate) fn throttled(whom: &'static str) {
    metrics::counter!("chasqui_whatsapp_throttled_total", "whom" => whom).increment(1);
}

/// How many messages of a session wait, here and in the stream.
pub(crate) fn waiting(session: &str, priority: Priority, count: usize) {
    metrics::gauge!("chasqui_whatsapp_queue_depth", "session" => session.to_owned(), "priority" => priority.name())
        .set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

/// How many messages of a session are uncertain.
pub(crate) fn uncertain(session: &str, count: usize) {
    metrics::gauge!("chasqui_whatsapp_uncertain", "session" => session.to_owned())
        .set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}
