//! Files of contacts that are not here yet: the owner of the number brings them.

use std::time::Duration;

use chasqui_kit::{Bus, Code, Coded, TraceContext, request::RequestError};
use chasqui_proto::{
    Tenant,
    service::{MEDIA_FETCH, MESSAGES_GET},
    v1::{Direction, FetchMedia, GetMessage, StoredMedia},
};

use crate::{FileId, MediaError};

/// How long the owner of a number may take to bring a file of a contact.
const FETCH_WAIT: Duration = Duration::from_secs(20);

/// Has the owner of the number bring the file of a contact's message, which is named as the message is. Fails with
/// [`MediaError::NotFound`] where there is no such message of the tenant, or its file is no more.
pub async fn bring(bus: &Bus, tenant: &Tenant, id: FileId, trace: TraceContext) -> Result<(), MediaError> {
    let question = GetMessage { tenant: tenant.to_string(), message_id: id.to_string() };
    let stored = bus.ask(MESSAGES_GET, &question, trace).await.map_err(|error| not_brought(&error))?;
    let message = stored.message.filter(|message| message.direction() == Direction::In);
    let message = message.ok_or(MediaError::NotFound)?;
    let question = FetchMedia {
        tenant: tenant.to_string(),
        session: message.channel.map(|channel| channel.id).unwrap_or_default(),
        message_id: message.id,
        media: Some(message.media.ok_or(MediaError::NotFound)?),
    };
    let asked = bus.ask_subject(MEDIA_FETCH.subject, &question, trace, FETCH_WAIT).await;
    let _: StoredMedia = asked.map_err(|error| not_brought(&error))?;
    Ok(())
}

fn not_brought(error: &RequestError) -> MediaError {
    match error.code() {
        Code::NotFound => MediaError::NotFound,
        code => MediaError::NotBrought { code, message: error.to_string() },
    }
}
