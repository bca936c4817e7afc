//! Making the streams that `chasqui-proto` declares.

use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    context::{CreateStreamError, CreateStreamErrorKind},
    kv,
    stream::{Config, Republish, RetentionPolicy, StorageType},
};
use chasqui_proto::stream::{ALL, BUCKETS, REPUBLISH_TO, Stream};

use crate::{Bus, Code, error::Coded};

/// How often the streams are tried to be made. A cluster that has just started leaves a request unanswered when every
/// service asks it for the same stream at once.
const ATTEMPTS_MAX: u32 = 5;
/// The pause before they are tried again.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(500);

/// How long a bucket remembers that a value ended.
const TTL_MARKERS_KEPT: Duration = Duration::from_mins(1);

/// A stream or bucket that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make {name}: {cause}")]
pub struct StreamError {
    name: &'static str,
    cause: String,
}

impl Coded for StreamError {
    fn code(&self) -> Code {
        Code::Unavailable
    }
}

/// Makes every stream and bucket that is missing, and brings those that differ to what is declared. Any service may
/// call it at any time; all of them do at start, so none depends on another having started.
pub async fn ensure_all(bus: &Bus) -> Result<(), StreamError> {
    for _ in 1..ATTEMPTS_MAX {
        match make_all(bus).await {
            Ok(()) => return Ok(()),
            Err(error) => tracing::warn!(%error, "not every stream is there yet; trying again"),
        }
        tokio::time::sleep(ATTEMPT_PAUSE).await;
    }
    make_all(bus).await
}

async fn make_all(bus: &Bus) -> Result<(), StreamError> {
    for stream in ALL {
        let config = config_of(&stream, bus);
        let made = bus.jetstream().create_or_update_stream(config).await;
        made.map_err(|error| StreamError { name: stream.name, cause: cause_of(&error) })?;
    }
    for bucket in BUCKETS {
        let config = kv::Config {
            bucket: bucket.name.to_owned(),
            description: bucket.description.to_owned(),
            num_replicas: bus.config().replicas,
            max_age: Duration::from_secs(bucket.age_max_secs.unwrap_or(0)),
            limit_markers: bucket.has_ttls.then_some(TTL_MARKERS_KEPT),
            ..kv::Config::default()
        };
        let made = bus.jetstream().create_or_update_key_value(config).await;
        made.map_err(|error| StreamError { name: bucket.name, cause: error.to_string() })?;
    }
    Ok(())
}

/// What the broker said, and what to do about it where that is not plain.
fn cause_of(error: &CreateStreamError) -> String {
    match error.kind() {
        CreateStreamErrorKind::JetStream(refused)
            if refused.error_code() == ErrorCode::STORAGE_RESOURCES_EXCEEDED =>
        {
            "the broker has no room for a stream of this size: lower nats.stream_bytes_max, or give the server more \
             (its max_file_store, by default three quarters of the free disk)"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

fn config_of(stream: &Stream, bus: &Bus) -> Config {
    Config {
        name: stream.name.to_owned(),
        description: Some(stream.description.to_owned()),
        subjects: stream.subjects.iter().map(|&subject| subject.to_owned()).collect(),
        storage: StorageType::File,
        num_replicas: bus.config().replicas,
        // The broker has no schedules where a full stream refuses, and one that drops would lose what is not sent yet: a
        // queue is bounded by the broker's own storage, which refuses.
        max_bytes: stream.bytes_divisor.map_or(-1, |divisor| bus.config().stream_bytes_max / divisor),
        max_messages_per_subject: stream.per_subject_max.unwrap_or(-1),
        max_age: Duration::from_secs(stream.age_max_secs.unwrap_or(0)),
        duplicate_window: Duration::from_secs(stream.duplicate_window_secs),
        allow_direct: true,
        retention: if stream.is_queue { RetentionPolicy::WorkQueue } else { RetentionPolicy::Limits },
        allow_message_schedules: stream.is_queue,
        // A canary replaces the one before it.
        allow_rollup: true,
        republish: stream.republish.then(|| Republish {
            source: ">".to_owned(),
            destination: REPUBLISH_TO.to_owned(),
            headers_only: false,
        }),
        ..Config::default()
    }
}
