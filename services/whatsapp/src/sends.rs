//! The bucket `sends`: where each message stands, changed by compare and set only.

use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use chasqui_kit::{Bus, bucket::CompareAndSetError};
use chasqui_proto::{
    MessageId, Tenant,
    stream::{SENDS, bucket_stream, bucket_subject, send_key},
    subject::NodeToken,
    v1::Send,
};
use prost::Message as _;

/// A message's `Send` as it was read or written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) send: Send,
    revision: u64,
}

impl Record {
    /// A message that nobody has tried.
    pub(crate) fn none(send: Send) -> Self {
        Self { send, revision: 0 }
    }
}

/// Why a `Send` was not written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendsError {
    /// Somebody else wrote it meanwhile.
    #[error("somebody else changed it meanwhile")]
    Overtaken,
    /// Whether it was written is unknown.
    #[error("the bucket cannot be reached: {0}")]
    Away(String),
}

/// The bucket.
#[derive(Debug, Clone)]
pub(crate) struct Sends {
    bus: Bus,
    stream: Stream,
}

impl Sends {
    /// Opens the bucket.
    pub(crate) async fn open(bus: &Bus) -> Result<Self, SendsError> {
        let opened = bus.jetstream().get_stream(bucket_stream(&SENDS)).await;
        let stream = opened.map_err(|error| SendsError::Away(error.to_string()))?;
        Ok(Self { bus: bus.clone(), stream })
    }

    /// The stream that the bucket is.
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// How a message stands; `None` if nobody has tried it. The stream's leader answers: a copy elsewhere may not know
    /// yet that a message was given back.
    pub(crate) async fn get(
        &self,
        tenant: &Tenant,
        session: &NodeToken,
        id: &MessageId,
    ) -> Result<Option<Record>, SendsError> {
        let subject = bucket_subject(&SENDS, &send_key(tenant, session, id));
        match self.stream.get_last_raw_message_by_subject(&subject).await {
            Ok(found) => {
                let send =
                    Send::decode(found.payload).map_err(|error| SendsError::Away(error.to_string()))?;
                Ok(Some(Record { send, revision: found.sequence }))
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(SendsError::Away(error.to_string())),
        }
    }

    /// Writes what becomes of `record`, unless somebody else changed it.
    pub(crate) async fn put(
        &self,
        tenant: &Tenant,
        session: &NodeToken,
        id: &MessageId,
        (record, send): (&Record, Send),
    ) -> Result<Record, SendsError> {
        let (key, value) = (send_key(tenant, session, id), send.encode_to_vec().into());
        match self.bus.compare_and_set(&SENDS, &key, value, record.revision).await {
            Ok(revision) => Ok(Record { send, revision }),
            Err(CompareAndSetError::Overtaken) => Err(SendsError::Overtaken),
            Err(CompareAndSetError::Away(error)) => Err(SendsError::Away(error)),
        }
    }
}
