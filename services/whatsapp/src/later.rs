//! Messages that wait with the broker until they are due.

use async_nats::{
    HeaderMap,
    header::{NATS_SCHEDULE, NATS_SCHEDULE_TARGET},
};
use bytes::Bytes;
use chasqui_kit::{Bus, publish::PublishError};
use chasqui_proto::{Subject, header, v1::Message};
use prost::Name as _;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// When a message is due, and where.
#[derive(Debug)]
pub(crate) struct Due {
    /// Where it waits: a message waits there once.
    pub(crate) later: Subject<Message>,
    /// Where the broker moves it.
    pub(crate) target: Subject<Message>,
    /// Unix milliseconds.
    pub(crate) at_ms: i64,
    /// Makes it unique. What the broker moves is a new message without an id, so nothing takes it for a repetition.
    pub(crate) id: String,
}

/// Leaves a message with the broker.
pub(crate) async fn schedule(
    bus: &Bus,
    due: Due,
    payload: Bytes,
    mut headers: HeaderMap,
) -> Result<(), PublishError> {
    headers.insert(NATS_SCHEDULE, format!("@at {}", moment(due.at_ms)));
    headers.insert(NATS_SCHEDULE_TARGET, due.target.as_str());
    bus.publish_bytes(due.later.as_str(), payload, headers, &due.id).await?;
    Ok(())
}

/// The headers of a message of the queue.
pub(crate) fn headers_of(message_id: &str, message_seq: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::TYPE, Message::full_name());
    headers.insert(header::ID, message_id);
    headers.insert(header::MESSAGE_SEQUENCE, message_seq.to_string());
    headers
}

/// The next whole second, so that nothing comes early.
fn moment(at_ms: i64) -> String {
    let seconds = at_ms.div_euclid(1_000) + i64::from(at_ms.rem_euclid(1_000) > 0);
    let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.format(&Rfc3339).expect("a moment of these centuries has an RFC 3339 form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_due_early() {
        assert_eq!(moment(1_000), "1970-01-01T00:00:01Z");
        assert_eq!(moment(1_001), "1970-01-01T00:00:02Z");
    }
}
