//! Files that clients bring, and those of contacts that are not here yet.

use std::{error::Error as StdError, fmt};

use bytes::Bytes;
use chasqui_kit::{Bus, TraceContext};
use chasqui_media::{
    FileId, Incoming, Limits, MediaError, MediaStore, MediaUrls, OnMissing, Properties, bring,
};
use chasqui_proto::{
    Tenant,
    v1::{self, StoredMedia},
};
use futures::Stream;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    addresses::Addresses,
    dialect::attachment::{Attachment, Source, kind_of, type_of_name},
    error::Error,
    speech::Attached,
};

/// How many files a node takes in at once; who comes beyond is asked to try again.
const UPLOADS_MAX: usize = 32;

/// The files of all tenants, as far as they are configured.
pub(crate) struct Files {
    pub(crate) addresses: Addresses,
    open: Option<(MediaStore, MediaUrls)>,
    limits: Limits,
    uploads: Semaphore,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("open", &self.open.is_some()).finish_non_exhaustive()
    }
}

impl Files {
    /// Opens the store. Without a key for addresses there is nothing to open: nobody could be shown a file.
    pub(crate) fn open(config: &chasqui_media::Config) -> Result<Self, MediaError> {
        let open = if config.has_url_key() {
            Some((MediaStore::open(config)?, MediaUrls::new(config)?))
        } else {
            tracing::warn!("media.url_key is not set: files are neither shown nor taken in");
            None
        };
        let addresses = Addresses::new(open.as_ref().map(|(_, urls)| urls.clone()));
        Ok(Self { addresses, open, limits: config.limits(), uploads: Semaphore::new(UPLOADS_MAX) })
    }

    /// What is needed to show files; none where they are not configured.
    pub(crate) fn shown(&self, bus: &Bus) -> Option<(MediaStore, MediaUrls, OnMissing)> {
        let (store, urls) = self.open.clone()?;
        let bus = bus.clone();
        let bring = move |tenant, id| {
            let bus = bus.clone();
            Box::pin(async move { bring(&bus, &tenant, id, TraceContext::root()).await }) as _
        };
        Some((store, urls, OnMissing::new(bring)))
    }

    /// A place to bring a file in.
    pub(crate) fn place(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.uploads.try_acquire().map_err(|_| {
            metrics::counter!("chasqui_edge_limited_total", "limit" => "uploads").increment(1);
            Error::NotNow("too many files are being uploaded; try again")
        })
    }

    /// Keeps a file that a client brings.
    pub(crate) async fn keep<S, E>(
        &self,
        tenant: &Tenant,
        properties: Properties,
        content: S,
    ) -> Result<StoredMedia, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let bytes_max = self.limits.of_mime_type(&properties.mime_type);
        let incoming = Incoming { properties, bytes_max, sha256: None };
        let (store, id) = (self.store()?, FileId::now());
        let file = store.put(tenant, id, incoming, content).await?;
        if file.size_bytes == 0 {
            store.delete(tenant, id).await?;
            return Err(Error::Invalid("file: it is empty".to_owned()));
        }
        Ok(file)
    }

    /// The file that goes with a message, kept first where it came with it.
    pub(crate) async fn attach(&self, tenant: &Tenant, attachment: Attachment) -> Result<Attached, Error> {
        let Attachment { source, mime_type, filename, kind } = attachment;
        let file = match source {
            Source::Link(url) => {
                let named = type_of_name(if filename.is_empty() { &url } else { &filename });
                let mime_type = if mime_type.is_empty() { named.to_owned() } else { mime_type };
                let kind = kind.unwrap_or_else(|| kind_of(&mime_type));
                let media = v1::Media { url, mime_type, filename, ..v1::Media::default() };
                return Ok(Attached { kind, media });
            }
            Source::Stored(id) => self.store()?.head(tenant, id).await?,
            Source::Inline(bytes) => {
                let _place = self.place()?;
                let properties = Properties { mime_type, filename: filename.clone() };
                let content = futures::stream::iter([Ok::<_, MediaError>(bytes)]);
                self.keep(tenant, properties, content).await?
            }
        };
        let kind = kind.unwrap_or_else(|| kind_of(&file.mime_type));
        let limit = self.limits.of(kind);
        if file.size_bytes > limit {
            return Err(MediaError::TooLarge(limit).into());
        }
        let media = v1::Media {
            id: file.id,
            mime_type: file.mime_type,
            sha256: file.sha256,
            filename: if filename.is_empty() { file.filename } else { filename },
            size_bytes: file.size_bytes,
            ..v1::Media::default()
        };
        Ok(Attached { kind, media })
    }

    fn store(&self) -> Result<&MediaStore, Error> {
        let (store, _) = self.open.as_ref().ok_or(Error::NotNow("no media store is configured here"))?;
        Ok(store)
    }
}
