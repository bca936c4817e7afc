//! The door in the shape of the Cloud API: a client of it works here once its base URL is changed. Bodies, answers and
//! errors are WhatsApp's; keys, files and ids of messages are ours.

mod error;
mod media;
mod messages;
mod number;
mod openapi;
mod upload;
mod visitor;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use chasqui_directory::Directory;
use chasqui_kit::TraceContext;
use chasqui_media::{Limits, MediaError, MediaStore, MediaUrls};
use chasqui_proto::{
    Tenant,
    v1::{NumberEntry, Session},
};

use crate::{
    machine::Machines,
    publication::Publication,
    sessions::{SessionError, SessionName},
};
use error::DoorError;
pub(crate) use openapi::document;
use visitor::Visitor;

const MESSAGES_PATH: &str = "/v{version}/{phone_number_id}/messages";
const MEDIA_PATH: &str = "/v{version}/{phone_number_id}/media";
const OBJECT_PATH: &str = "/v{version}/{object_id}";

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct CloudDoor {
    pub(crate) machines: Arc<Machines>,
    pub(crate) directory: Directory,
    pub(crate) publication: Arc<Publication>,
    pub(crate) default_tenant: Tenant,
    /// The number of the configuration: the default tenant's, whether or not the directory knows it.
    pub(crate) phone_number_id: Option<String>,
    /// None where no files are kept.
    pub(crate) files: Option<Files>,
}

/// Where files are kept and shown.
#[derive(Debug)]
pub(crate) struct Files {
    store: MediaStore,
    urls: MediaUrls,
    limits: Limits,
}

impl Files {
    /// None without a key to sign their addresses with: a deployment may do without files.
    pub(crate) fn open(config: &chasqui_media::Config) -> Result<Option<Self>, MediaError> {
        if !config.has_url_key() {
            return Ok(None);
        }
        let (store, urls) = (MediaStore::open(config)?, MediaUrls::new(config)?);
        Ok(Some(Self { store, urls, limits: config.limits() }))
    }
}

impl CloudDoor {
    /// A number of the Cloud API, if it is the tenant's. Another's is as unknown as nobody's.
    fn number(&self, tenant: &Tenant, id: &str) -> Option<NumberEntry> {
        match self.directory.number(id) {
            Some(entry) => (entry.tenant == tenant.as_str()).then_some(entry),
            None if self.phone_number_id.as_deref() == Some(id) && *tenant == self.default_tenant => {
                Some(NumberEntry { tenant: tenant.to_string(), id: id.to_owned(), ..NumberEntry::default() })
            }
            None => None,
        }
    }

    /// A linked device of the tenant that is connected. Its id is its name, which digits alone never are.
    async fn device(
        &self,
        tenant: &Tenant,
        name: &str,
        trace: TraceContext,
    ) -> Result<Option<NumberEntry>, SessionError> {
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
        let Some(name) = name.parse::<SessionName>().ok().filter(|_| !is_number) else { return Ok(None) };
        match self.machines.sessions.taking(tenant, Some(&name), trace).await {
            Ok(Session { id, phone, .. }) => Ok(Some(NumberEntry {
                tenant: tenant.to_string(),
                id,
                display_phone_number: phone,
                ..NumberEntry::default()
            })),
            Err(SessionError::Unknown) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn files(&self) -> Result<&Files, DoorError> {
        self.files.as_ref().ok_or(DoorError::NoFiles)
    }
}

pub(crate) fn routes(door: CloudDoor) -> Router {
    Router::new()
        .route(MESSAGES_PATH, post(messages::receive).fallback(unsupported))
        .route(MEDIA_PATH, post(media::upload).fallback(unsupported))
        .route(OBJECT_PATH, get(media::show).delete(media::remove).fallback(unsupported))
        .with_state(Arc::new(door))
}

/// What the Cloud API has no such method for.
async fn unsupported(State(_): State<Arc<CloudDoor>>, visitor: Visitor) -> Response {
    visitor.answer(Err(visitor.unknown()))
}
