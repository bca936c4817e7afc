//! Deliveries that are given up.

use async_nats::HeaderMap;
use chasqui_kit::{Bus, TraceContext, publish::PublishError};
use chasqui_proto::{
    header, stream,
    subject::{self, Subject},
    v1::Delivery,
};
use prost::{Message, Name};

/// Under whose name dead letters are stored.
pub(crate) const SERVICE: &str = "webhooks";

/// Stores a delivery among the dead letters. `due` is where it would be due again.
pub(crate) async fn bury(
    bus: &Bus,
    delivery: &Delivery,
    due: &Subject<Delivery>,
    (attempts, error, trace): (u32, &str, TraceContext),
) -> Result<(), PublishError> {
    const REASON: &str = "undeliverable";
    let error: String = error.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut headers = HeaderMap::new();
    headers.insert(header::TYPE, Delivery::full_name());
    headers.insert(header::ID, delivery.id.as_str());
    headers.insert(header::TRACEPARENT, trace.to_header());
    headers.insert(header::DEAD_REASON, REASON);
    headers.insert(header::DEAD_ATTEMPTS, attempts.to_string());
    headers.insert(header::DEAD_SUBJECT, due.as_str());
    headers.insert(header::DEAD_STREAM, stream::DELIVERIES.name);
    headers.insert(header::DEAD_SEQUENCE, "0");
    headers.insert(header::DEAD_FIRST_ERROR, error.as_str());
    headers.insert(header::DEAD_LAST_ERROR, error.as_str());
    let letter = subject::dead_letter(SERVICE, due.as_str());
    let id = format!("{SERVICE}:{}:{}", delivery.id, delivery.created_at_ms);
    bus.publish_bytes(letter.as_str(), delivery.encode_to_vec().into(), headers, &id).await?;
    metrics::counter!("chasqui_dead_letters_total", "service" => SERVICE, "reason" => REASON).increment(1);
    tracing::error!(
        tenant = delivery.tenant,
        listener = delivery.listener,
        delivery = delivery.id,
        error,
        "an event was given up; it went to the dead letters"
    );
    Ok(())
}
