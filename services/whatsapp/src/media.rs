//! Files that contacts send: from the provider into the media store, under the id of their message.

mod consumer;
mod request;
mod turns;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use chasqui_kit::{Code, Coded, request::RequestError};
use chasqui_media::{FileId, Incoming, Limits, MediaError, MediaStore, Properties};
use chasqui_proto::v1::{FetchMedia, Media, StoredMedia};
use tokio::sync::Semaphore;

use crate::{connector::ConnectorError, line::Line};

pub(crate) use consumer::run;
pub(crate) use request::request;
use turns::Turns;

/// How many files one process brings at once; more wait.
const FETCHES_MAX: usize = 16;

/// Why a file was not brought.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The request is wrong: the text names the field.
    #[error("{field}: expected {expected}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What would have been right.
        expected: &'static str,
    },
    /// The provider or its connector did not give it.
    #[error(transparent)]
    Connector(ConnectorError),
    /// The media store did not take it.
    #[error(transparent)]
    Store(MediaError),
    /// The owner of the session did not bring it, or there is none.
    #[error(transparent)]
    Owner(#[from] RequestError),
}

impl Coded for FetchError {
    fn code(&self) -> Code {
        match self {
            Self::Invalid { .. } | Self::Connector(ConnectorError::Unsupported(_)) => Code::InvalidInput,
            // It expired, or was never there.
            Self::Connector(ConnectorError::Refused(_)) => Code::NotFound,
            Self::Connector(ConnectorError::TooLarge(_)) => Code::TooLarge,
            Self::Connector(ConnectorError::Away(_)) => Code::Unavailable,
            Self::Store(error) => error.code(),
            Self::Owner(error) => error.code(),
        }
    }
}

impl From<MediaError> for FetchError {
    /// What broke while the bytes came is the connector's, also where the store tells it.
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::Interrupted(cause) => match cause.downcast() {
                Ok(error) => Self::Connector(*error),
                Err(cause) => Self::Store(MediaError::Interrupted(cause)),
            },
            error => Self::Store(error),
        }
    }
}

/// Brings files for the sessions that this process owns. Clones share its bounds.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    store: MediaStore,
    limits: Limits,
    places: Arc<Semaphore>,
    turns: Turns,
}

impl Fetcher {
    /// Brings nothing yet.
    pub(crate) fn new(store: MediaStore, limits: Limits) -> Self {
        Self { store, limits, places: Arc::new(Semaphore::new(FETCHES_MAX)), turns: Turns::default() }
    }

    /// The store that files are brought into.
    pub(crate) fn store(&self) -> &MediaStore {
        &self.store
    }

    /// Brings a file of `line`'s provider, unless it is there. Whoever asks for one that is just being brought waits.
    pub(crate) async fn fetch(&self, line: &Line, request: &FetchMedia) -> Result<StoredMedia, FetchError> {
        let media = request.media.as_ref().filter(|media| !media.id.is_empty());
        let media = media
            .ok_or(FetchError::Invalid { field: "media.id", expected: "the provider's id of a file" })?;
        let expected = "the UUID of a message";
        let id =
            request.message_id.parse().map_err(|_| FetchError::Invalid { field: "message_id", expected })?;
        let turn = self.turns.of(id);
        let _held = turn.lock.lock().await;
        let _place = self.places.acquire().await.expect("the semaphore is never closed");
        match self.store.head(&line.tenant, id).await {
            Err(MediaError::NotFound) => self.bring(line, id, media).await,
            found => Ok(found?),
        }
    }

    async fn bring(&self, line: &Line, id: FileId, media: &Media) -> Result<StoredMedia, FetchError> {
        let fetched = line.connector.fetch(media).await.map_err(FetchError::Connector)?;
        let mime_type =
            [fetched.mime_type, media.mime_type.clone()].into_iter().find(|name| !name.is_empty());
        let properties =
            Properties { mime_type: mime_type.unwrap_or_default(), filename: media.filename.clone() };
        let bytes_max = self.limits.of_mime_type(&properties.mime_type);
        let incoming = Incoming { properties, bytes_max, sha256: sha256_of(&media.sha256) };
        Ok(self.store.put(&line.tenant, id, incoming, fetched.content).await?)
    }
}

/// The hash that a provider announced: base64 or hexadecimal. What is neither announces nothing.
fn sha256_of(text: &str) -> Option<[u8; 32]> {
    let read = if text.len() == 64 { hex::decode(text).ok() } else { STANDARD.decode(text).ok() };
    read.and_then(|bytes| bytes.try_into().ok())
}
