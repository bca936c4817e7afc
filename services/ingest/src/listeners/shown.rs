//! Listeners, how they are doing and what was delivered to them, as JSON. Times are unix milliseconds; 0 stands for never.

use chasqui_proto::{
    Tenant, stream,
    subject::{self, NodeToken},
    v1::{DeliveryAttempt, ListenerEntry, ListenerState, LoggedDelivery, directory_entry::Entry},
};
use prost::Message;
use serde_json::{Value, json};

use super::Listeners;

/// A listener with how it is doing; `null` where nothing was ever delivered to it, or that cannot be read now.
pub(super) fn shown(listener: ListenerEntry, state: Option<&ListenerState>) -> Value {
    let mut shown = chasqui_directory::shown(&Entry::Listener(listener));
    shown["state"] = state.map_or(Value::Null, |state| {
        json!({
            "pending": state.pending,
            "lag_ms": state.lag_ms,
            "delivered": state.delivered,
            "failed": state.failed,
            "failures_in_a_row": state.failures_in_a_row,
            "last_delivered_at_ms": state.last_delivered_at_ms,
            "last_failed_at_ms": state.last_failed_at_ms,
            "last_error": state.last_error,
            "resting_until_ms": state.resting_until_ms,
            "updated_at_ms": state.updated_at_ms,
        })
    });
    shown
}

/// A delivery by its last attempt.
pub(super) fn delivery(delivery: &LoggedDelivery) -> Value {
    let last = delivery.last.clone().unwrap_or_default();
    let mut shown = attempt(&last);
    shown["first_attempted_at_ms"] = json!(delivery.first_attempted_at_ms);
    shown
}

/// One attempt.
pub(super) fn attempt(attempt: &DeliveryAttempt) -> Value {
    json!({
        "id": attempt.delivery_id,
        "event": attempt.event,
        "seq": attempt.seq,
        "attempt": attempt.attempt,
        "outcome": attempt.outcome().name(),
        "http_status": Some(attempt.http_status).filter(|status| *status != 0),
        "error": attempt.error,
        "duration_ms": attempt.duration_ms,
        "attempted_at_ms": attempt.attempted_at_ms,
        "next_at_ms": attempt.next_at_ms,
    })
}

impl Listeners {
    /// How a listener was doing when that was last told.
    pub(super) async fn state(&self, tenant: &Tenant, id: &str) -> Option<ListenerState> {
        let subject = subject::listeners_updated(tenant, &NodeToken::new(id));
        let stream = self.bus().jetstream().get_stream_no_info(stream::STATE.name).await.ok()?;
        let newest = stream.direct_get_last_for_subject(subject.as_str()).await.ok()?;
        ListenerState::decode(newest.payload).ok()
    }
}
