//! Events that are tried again at a set time: the broker keeps them, and moves each to where it is due.

use async_nats::{
    HeaderMap,
    header::{NATS_SCHEDULE, NATS_SCHEDULE_TARGET},
};
use chasqui_kit::{Bus, TraceContext, publish::PublishError};
use chasqui_proto::{
    Tenant, header,
    subject::{self, NodeToken, Subject},
    v1::Delivery,
};
use prost::{Message, Name};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Stores a delivery that is due at a time; unix milliseconds.
pub(crate) async fn schedule(
    bus: &Bus,
    (tenant, due): (&Tenant, &Subject<Delivery>),
    delivery: &Delivery,
    at_ms: i64,
    trace: TraceContext,
) -> Result<(), PublishError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::TYPE, Delivery::full_name());
    headers.insert(header::ID, delivery.id.as_str());
    headers.insert(header::TRACEPARENT, trace.to_header());
    headers.insert(NATS_SCHEDULE, at(at_ms));
    headers.insert(NATS_SCHEDULE_TARGET, due.as_str());
    let Delivery { id, attempts, created_at_ms, .. } = delivery;
    let later = subject::deliveries_later(tenant, &NodeToken::new(id));
    // What fires has no id of its own any more, so a repeated schedule must never be stored twice.
    let once = format!("{id}.{attempts}.{created_at_ms}");
    bus.publish_bytes(later.as_str(), delivery.encode_to_vec().into(), headers, &once).await.map(drop)
}

fn at(at_ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000);
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!("@at {}", at.format(&Rfc3339).expect("years between 0 and 9999 have this form"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_what_the_broker_reads() {
        assert_eq!(at(1_700_000_000_250), "@at 2023-11-14T22:13:20.25Z");
        assert_eq!(at(i64::MAX), "@at 1970-01-01T00:00:00Z");
    }
}
