//! What operators can watch.

use std::time::Duration;

use chasqui_kit::clock;

use crate::{
    campaign_recipient::{Change, STATES},
    fact::Fact,
    opt_out::Wish,
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
    wishes(&written.wishes);
    written.recipients.values().for_each(recipients);
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

/// Contacts opted out of campaigns, or came back.
pub(crate) fn wishes(wishes: &[Wish]) {
    for wish in wishes {
        let source = wish.source.name();
        if wish.opted_out {
            metrics::counter!("chasqui_opt_outs_total", "source" => source).increment(1);
        } else {
            metrics::counter!("chasqui_opt_ins_total", "source" => source).increment(1);
        }
    }
}

/// A campaign became what `status` says.
pub(crate) fn campaign(status: &'static str) {
    metrics::counter!("chasqui_persistence_campaigns_total", "status" => status).increment(1);
}

/// Recipients of campaigns went to other states.
pub(crate) fn recipients(change: &Change) {
    for state in STATES {
        if let Ok(count @ 1..) = u64::try_from(change.of(state)) {
            metrics::counter!("chasqui_persistence_campaign_recipients_total", "state" => state.name())
                .increment(count);
        }
    }
}

/// Campaigns were removed whose upload was given up.
pub(crate) fn uploads_pruned(count: u64) {
    metrics::counter!("chasqui_persistence_campaign_uploads_pruned_total").increment(count);
}

/// Something is tried again because `whom` is away.
pub(crate) fn retry(whom: &'static str) {
    metrics::counter!("chasqui_persistence_retries_total", "of" => whom).increment(1);
}
