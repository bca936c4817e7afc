//! Values in buckets that several processes change: by compare and set.

use async_nats::jetstream::{context::PublishErrorKind, message::PublishMessage};
use bytes::Bytes;
use chasqui_proto::stream::{Bucket, bucket_subject};

use crate::Bus;

/// Why a value was not written.
#[derive(Debug, thiserror::Error)]
pub enum CompareAndSetError {
    /// Somebody else wrote it meanwhile.
    #[error("somebody else changed it meanwhile")]
    Overtaken,
    /// Whether it was written is unknown.
    #[error("the bucket cannot be reached: {0}")]
    Away(String),
}

impl Bus {
    /// Writes what is kept under a key, unless somebody else did since it was read at `revision`; 0 is a key that was not
    /// there. Returns the revision it has now.
    pub async fn compare_and_set(
        &self,
        bucket: &Bucket,
        key: &str,
        value: Bytes,
        revision: u64,
    ) -> Result<u64, CompareAndSetError> {
        let message = PublishMessage::build().payload(value).expected_last_subject_sequence(revision);
        let written =
            async { self.jetstream().send_publish(bucket_subject(bucket, key), message).await?.await };
        written.await.map(|ack| ack.sequence).map_err(|error| match error.kind() {
            PublishErrorKind::WrongLastSequence => CompareAndSetError::Overtaken,
            _ => CompareAndSetError::Away(error.to_string()),
        })
    }
}
