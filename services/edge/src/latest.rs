//! The newest state of a subject, as the stream of states has it.

use async_nats::jetstream::stream::DirectGetErrorKind;
use chasqui_kit::Bus;
use chasqui_proto::{Subject, stream::STATE};
use prost::Message;

use crate::error::Error;

/// What was told last on `subject`; `None` when nothing ever was.
pub(crate) async fn of<P: Message + Default>(bus: &Bus, subject: &Subject<P>) -> Result<Option<P>, Error> {
    let unread = |error: &dyn std::fmt::Display| Error::ReadStream(error.to_string());
    let stream = bus.jetstream().get_stream_no_info(STATE.name).await.map_err(|error| unread(&error))?;
    match stream.direct_get_last_for_subject(subject.as_str()).await {
        Ok(found) => P::decode(found.payload).map(Some).map_err(|error| unread(&error)),
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
        Err(error) => Err(unread(&error)),
    }
}
