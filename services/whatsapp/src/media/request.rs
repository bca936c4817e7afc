//! Asking the owner of a session for a file: only it may talk to the provider.

use std::time::Duration;

use chasqui_kit::{Bus, TraceContext};
use chasqui_media::{MediaError, MediaStore};
use chasqui_proto::{
    Tenant, subject,
    subject::NodeToken,
    v1::{FetchMedia, OwnerRequest, StoredMedia, owner_request::What},
};

use super::FetchError;

/// How long the owner may take: as long as downloading 100 MiB at 7 Mbit/s does.
const OWNER_WAIT: Duration = Duration::from_mins(2);

/// A file of the provider in the media store: as it is there, or brought by the owner of its session.
pub(crate) async fn request(
    bus: &Bus,
    store: &MediaStore,
    request: &FetchMedia,
    trace: TraceContext,
) -> Result<StoredMedia, FetchError> {
    let invalid = |field, expected| FetchError::Invalid { field, expected };
    let tenant: Tenant = request.tenant.parse().map_err(|_| invalid("tenant", "the name of a tenant"))?;
    let id = request.message_id.parse().map_err(|_| invalid("message_id", "the UUID of a message"))?;
    match store.head(&tenant, id).await {
        Err(MediaError::NotFound) => {}
        found => return found.map_err(FetchError::from),
    }
    if request.session.is_empty() {
        return Err(invalid("session", "the session that the message came through"));
    }
    let owner = subject::whatsapp_owner(&tenant, &NodeToken::new(&request.session));
    let question = OwnerRequest { what: Some(What::Fetch(request.clone())) };
    Ok(bus.ask_subject(owner.as_str(), &question, trace, OWNER_WAIT).await?)
}
