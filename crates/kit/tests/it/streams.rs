//! The streams and buckets, as the broker has them.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, RetentionPolicy};
use chasqui_kit::stream;
use chasqui_proto::stream::{ALL, BUCKETS, OUTBOX, REPUBLISH_TO, bucket_stream};

use crate::broker;

#[tokio::test]
async fn every_stream_and_bucket_is_made_as_declared_and_made_again_it_stays() {
    let (_nats, bus) = broker().await;
    let config = async |name: &str| -> Config {
        bus.jetstream().get_stream(name).await.unwrap().cached_info().config.clone()
    };
    stream::ensure_all(&bus).await.unwrap();
    for declared in ALL {
        let made = config(declared.name).await;
        assert_eq!(made.subjects, declared.subjects, "{}", declared.name);
        assert_eq!(made.max_age, Duration::from_secs(declared.age_max_secs.unwrap_or(0)));
        assert_eq!(made.duplicate_window, Duration::from_secs(declared.duplicate_window_secs));
        let repeated = made.republish.map(|republish| republish.destination);
        assert_eq!(repeated, declared.republish.then(|| REPUBLISH_TO.to_owned()));
        let retention = if declared.is_queue { RetentionPolicy::WorkQueue } else { RetentionPolicy::Limits };
        assert_eq!((made.retention, made.allow_message_schedules), (retention, declared.is_queue));
    }
    for declared in BUCKETS {
        let made = config(&bucket_stream(&declared)).await;
        assert_eq!(
            made.max_age,
            Duration::from_secs(declared.age_max_secs.unwrap_or(0)),
            "{}",
            declared.name
        );
        assert_eq!(made.allow_message_ttl, declared.has_ttls);
    }
}

/// What waits to be sent is dropped for nothing: only the broker's own storage bounds it, and that refuses.
#[tokio::test]
async fn a_queue_never_drops_its_oldest() {
    let (_nats, bus) = broker().await;
    let made = bus.jetstream().get_stream(OUTBOX.name).await.unwrap().cached_info().config.clone();
    assert_eq!((made.max_bytes, made.max_messages, made.max_messages_per_subject), (-1, -1, -1));
}
