//! What is told of deliveries and listeners.

use chasqui_kit::{
    Bus, TraceContext, clock,
    publish::{Fact, PublishError},
};
use chasqui_proto::{
    Tenant, stream,
    subject::{self, NodeToken},
    v1::{Delivery, DeliveryAttempt, DeliveryOutcome, ListenerState},
};
use prost::Message;

use crate::{attempt::Attempted, meter};

/// The record of an attempt. `next_at_ms` is when the next one follows, 0 if none does.
pub(crate) fn record(
    delivery: &Delivery,
    attempt: u32,
    (outcome, next_at_ms): (DeliveryOutcome, i64),
    attempted: &Attempted,
) -> DeliveryAttempt {
    DeliveryAttempt {
        delivery_id: delivery.id.clone(),
        tenant: delivery.tenant.clone(),
        listener: delivery.listener.clone(),
        event: delivery.event.clone(),
        seq: delivery.seq,
        attempt,
        outcome: outcome.into(),
        http_status: attempted.http_status.into(),
        error: attempted.error.clone(),
        duration_ms: u32::try_from(attempted.duration.as_millis()).unwrap_or(u32::MAX),
        attempted_at_ms: attempted.at_ms,
        next_at_ms,
    }
}

/// The record of a delivery that is given up without an attempt.
pub(crate) fn record_unattempted(delivery: &Delivery, why: &str) -> DeliveryAttempt {
    DeliveryAttempt {
        delivery_id: delivery.id.clone(),
        tenant: delivery.tenant.clone(),
        listener: delivery.listener.clone(),
        event: delivery.event.clone(),
        seq: delivery.seq,
        attempt: delivery.attempts,
        outcome: DeliveryOutcome::Failed.into(),
        error: why.to_owned(),
        attempted_at_ms: clock::now_ms(),
        ..DeliveryAttempt::default()
    }
}

/// Stores a record.
pub(crate) async fn publish(
    bus: &Bus,
    tenant: &Tenant,
    record: &DeliveryAttempt,
    trace: TraceContext,
) -> Result<(), PublishError> {
    meter::outcome(record.outcome());
    let subject = subject::deliveries_attempted(tenant, &NodeToken::new(&record.listener));
    let id = format!("{}.{}.{}", record.delivery_id, record.attempt, record.attempted_at_ms);
    bus.publish(Fact::new(subject, record, id, trace)).await.map(drop)
}

/// What was told of a listener last; nothing yet where that cannot be known.
pub(crate) async fn state_of(bus: &Bus, tenant: &Tenant, listener: &NodeToken) -> ListenerState {
    let subject = subject::listeners_updated(tenant, listener);
    let stored = async {
        let stream = bus.jetstream().get_stream_no_info(stream::STATE.name).await.ok()?;
        let message = stream.get_last_raw_message_by_subject(subject.as_str()).await.ok()?;
        ListenerState::decode(message.payload).ok()
    };
    stored.await.unwrap_or_default()
}

/// Tells how a listener is doing.
pub(crate) async fn tell_state(
    bus: &Bus,
    (tenant, listener): (&Tenant, &NodeToken),
    state: &ListenerState,
) -> Result<(), PublishError> {
    let id = format!("listener {tenant} {} {} {}", listener.as_str(), state.version, state.updated_at_ms);
    let subject = subject::listeners_updated(tenant, listener);
    bus.publish(Fact::new(subject, state, id, TraceContext::root())).await.map(drop)
}
