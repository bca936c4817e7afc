//! What operators can watch.

use std::time::Duration;

use chasqui_kit::clock;

use crate::{
    fact::Fact,
    store::{queue::Given, write::Written},
};

/// A batch was taken from the stream.
pub(crate) fn batch(size: usize) {
    metrics::histogram!("chasqui_persistence_batch_size")
        .record(f64::from(u32::try_from(size).unwrap_or(u32::MAX)));
}

/// A transaction was committed.
pub(crate) fn committed(took: Duration, facts: &[&Fact], written: &Written) {
    metrics::histogram!("chasqui_persistence_commit_seconds").record(took);
    metrics::counter!("chasqui_persistence_rows_total", "table" => "messages")
        .increment(written.messages_new);
    metrics::counter!("chasqui_persistence_rows_total", "table" => "message_statuses")
        .increment(written.statuses_new);
    // The longest wait of the batch, from entering the pipeline to being stored.
    let received = facts.iter().map(|fact| fact.received_at_ms).filter(|at| *at > 0).min();
    if let Some(received_at_ms) = received {
        let lag_ms = u64::try_from(clock::now_ms() - received_at_ms).unwrap_or_default();
        metrics::histogram!("chasqui_persistence_lag_seconds").record(Duration::from_millis(lag_ms));
    }
}

/// Chats were given to agents.
pub(crate) fn chats_given(given: &[Given]) {
    for chat in given {
        metrics::counter!("chasqui_chats_assigned_total").increment(1);
        if chat.again {
            metrics::counter!("chasqui_chats_reassigned_total").increment(1);
        }
        let waited = Duration::from_millis(u64::try_from(chat.waited_ms).unwrap_or_default());
        metrics::histogram!("chasqui_chats_wait_seconds").record(waited);
    }
}

/// How many chats wait for an agent, in all tenants.
pub(crate) fn chats_waiting(count: i64) {
    metrics::gauge!("chasqui_chats_waiting").set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

/// Users were marked as online or as not.
pub(crate) fn users_marked(count: usize) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    metrics::counter!("chasqui_persistence_rows_total", "table" => "users").increment(count);
}

/// Deliveries were stored in the log.
pub(crate) fn deliveries_logged(count: usize) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    metrics::counter!("chasqui_persistence_rows_total", "table" => "webhook_deliveries").increment(count);
}

/// Deliveries were forgotten because they are old.
pub(crate) fn deliveries_pruned(count: u64) {
    metrics::counter!("chasqui_persistence_deliveries_pruned_total").increment(count);
}

/// An appointment was made, or got further; `status` is what it is now.
pub(crate) fn appointment(status: &'static str) {
    metrics::counter!("chasqui_appointments_total", "status" => status).increment(1);
}

/// Something is tried again because `whom` is away.
pub(crate) fn retry(whom: &'static str) {
    metrics::counter!("chasqui_persistence_retries_total", "of" => whom).increment(1);
}
