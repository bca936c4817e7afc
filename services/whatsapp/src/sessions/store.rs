//! The state of a session in the stream: read from its leader, written by compare and set.

use async_nats::{
    HeaderMap, header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, jetstream::stream::LastRawMessageErrorKind,
};
use chasqui_kit::{Bus, TraceContext, publish::PublishError};
use chasqui_proto::{header, stream::STATE, subject, v1::Session};
use prost::{Message, Name};

use super::SessionKey;
use crate::Error;

/// The state that is stored, with its position; a position of 0 where there is none.
pub(crate) async fn read(bus: &Bus, key: &SessionKey) -> Result<(Option<Session>, u64), Error> {
    let unread = |error: &dyn std::fmt::Display| Error::State(error.to_string());
    let stream = bus.jetstream().get_stream_no_info(STATE.name).await.map_err(|error| unread(&error))?;
    let subject = subject::sessions_updated(&key.tenant, &key.session);
    match stream.get_last_raw_message_by_subject(subject.as_str()).await {
        Ok(found) => {
            let session = Session::decode(found.payload).map_err(|error| unread(&error))?;
            Ok((Some(session), found.sequence))
        }
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok((None, 0)),
        Err(error) => Err(unread(&error)),
    }
}

/// Why a state was not written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Somebody else wrote after it was read.
    Overtaken,
    /// It may be stored all the same.
    Failed(PublishError),
}

/// Stores a state unless another one came after `last`; says where. `writer` tells the writers of one version apart.
pub(crate) async fn write(
    bus: &Bus,
    key: &SessionKey,
    session: &Session,
    last: u64,
    writer: &str,
) -> Result<u64, WriteError> {
    let id = format!("{key}/{}/{writer}", session.version);
    let mut headers = HeaderMap::new();
    headers.insert(header::TYPE, Session::full_name());
    headers.insert(header::ID, id.as_str());
    headers.insert(header::TRACEPARENT, TraceContext::root().to_header());
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, last.to_string());
    let subject = subject::sessions_updated(&key.tenant, &key.session);
    let stored = bus.publish_bytes(subject.as_str(), session.encode_to_vec().into(), headers, &id).await;
    match stored {
        Ok(stored) => Ok(stored.seq),
        Err(PublishError::Refused(_)) => Err(WriteError::Overtaken),
        Err(error) => Err(WriteError::Failed(error)),
    }
}
