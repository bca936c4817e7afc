//! The store: a directory or a bucket. A file's bytes stand under `<tenant>/<id>`, what is known of it beside them under
//! `<tenant>/<id>.json`, written last: a file is there when that is, so nobody sees half of one.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use chasqui_proto::{Tenant, v1::StoredMedia};
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, aws::AmazonS3Builder,
    buffered::BufWriter, local::LocalFileSystem, path::Path, prefix::PrefixStore,
};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use crate::{Config, FileId, MediaError, Properties, config::Place};

/// How much of a file is held in memory before it is written in parts: the least a bucket takes as one.
const PART_BYTES: usize = 5 * 1024 * 1024;
/// How many parts of one file are on their way at once.
const PARTS_MAX: usize = 2;
/// How long one request to a bucket may take.
const BUCKET_WAIT: Duration = Duration::from_secs(30);
/// How long the connection to a bucket may take.
const BUCKET_CONNECT_WAIT: Duration = Duration::from_secs(5);

/// A file that is brought.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// What is said of it.
    pub properties: Properties,
    /// The most bytes it may have; see [`Limits`](crate::Limits).
    pub bytes_max: u64,
    /// Its SHA-256, where that was announced: other bytes are refused.
    pub sha256: Option<[u8; 32]>,
}

/// A file that is read.
pub struct Opened {
    /// The file.
    pub file: StoredMedia,
    /// Its bytes, or those of them that were asked for.
    pub content: BoxStream<'static, Result<Bytes, MediaError>>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("file", &self.file).finish_non_exhaustive()
    }
}

/// What stands beside a file's bytes.
#[derive(Debug, Deserialize, Serialize)]
struct Beside {
    mime_type: String,
    filename: String,
    size_bytes: u64,
    sha256: String,
}

/// The files of all tenants. Clones share it.
#[derive(Clone, Debug)]
pub struct MediaStore {
    objects: Arc<dyn ObjectStore>,
}

impl MediaStore {
    /// Opens the store; a directory that is missing is made. A bucket is not asked for anything yet.
    pub fn open(config: &Config) -> Result<Self, MediaError> {
        let unopened = |cause: &dyn fmt::Display| MediaError::Unopened(cause.to_string());
        let objects: Arc<dyn ObjectStore> = match config.place().map_err(|cause| unopened(&cause))? {
            Place::Directory(path) => {
                let named = |error: std::io::Error| unopened(&format!("{}: {error}", path.display()));
                std::fs::create_dir_all(&path).map_err(named)?;
                // A file that was acknowledged survives a power cut.
                let directory = LocalFileSystem::new_with_prefix(&path).map_err(|error| unopened(&error))?;
                Arc::new(directory.with_fsync(true))
            }
            Place::Bucket { name, prefix } => {
                let bucket = bucket(config, &name).build().map_err(|error| unopened(&error))?;
                let prefix = Path::parse(prefix).map_err(|error| unopened(&error))?;
                Arc::new(PrefixStore::new(bucket, prefix))
            }
        };
        Ok(Self { objects })
    }

    /// Keeps a file. It is there when this returns, and not at all when this fails. An id names the same file for ever:
    /// bringing it again replaces it by itself.
    pub async fn put<S, E>(
        &self,
        tenant: &Tenant,
        id: FileId,
        incoming: Incoming,
        content: S,
    ) -> Result<StoredMedia, MediaError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut writer = BufWriter::with_capacity(self.objects.clone(), bytes_of(tenant, id), PART_BYTES)
            .with_max_concurrency(PARTS_MAX);
        let beside = match receive(&mut writer, incoming, content).await {
            Ok(beside) => beside,
            Err(error) => {
                if let Err(error) = writer.abort().await {
                    tracing::debug!(%error, %tenant, %id, "the parts of a file that was given up stay behind");
                }
                return Err(error);
            }
        };
        writer.shutdown().await.map_err(|error| MediaError::Store(stored(error)))?;
        let text = serde_json::to_vec(&beside).expect("texts and a number are JSON");
        self.objects.put(&beside_of(tenant, id), text.into()).await?;
        metrics::counter!("chasqui_media_stored_total").increment(1);
        metrics::counter!("chasqui_media_stored_bytes_total").increment(beside.size_bytes);
        Ok(beside.of(id))
    }

    /// What is known of a file.
    pub async fn head(&self, tenant: &Tenant, id: FileId) -> Result<StoredMedia, MediaError> {
        let text = self.objects.get(&beside_of(tenant, id)).await?.bytes().await?;
        let beside: Beside = serde_json::from_slice(&text).map_err(MediaError::Unreadable)?;
        Ok(beside.of(id))
    }

    /// Opens a file, or `range` of its bytes.
    pub async fn get(
        &self,
        tenant: &Tenant,
        id: FileId,
        range: Option<Range<u64>>,
    ) -> Result<Opened, MediaError> {
        let file = self.head(tenant, id).await?;
        let content = self.content(tenant, id, range).await?;
        Ok(Opened { file, content })
    }

    /// The bytes of a file that is known to be there.
    pub(crate) async fn content(
        &self,
        tenant: &Tenant,
        id: FileId,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, Result<Bytes, MediaError>>, MediaError> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let opened = self.objects.get_opts(&bytes_of(tenant, id), options).await?;
        Ok(opened.into_stream().map_err(MediaError::from).boxed())
    }

    /// Removes a file. Removing what is not there is no error.
    pub async fn delete(&self, tenant: &Tenant, id: FileId) -> Result<(), MediaError> {
        // In this order, so that what is left behind by a failure is no file.
        for path in [beside_of(tenant, id), bytes_of(tenant, id)] {
            match self.objects.delete(&path).await.map_err(MediaError::from) {
                Ok(()) | Err(MediaError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Beside {
    fn of(self, id: FileId) -> StoredMedia {
        let Self { mime_type, filename, size_bytes, sha256 } = self;
        StoredMedia { id: id.to_string(), mime_type, filename, size_bytes, sha256 }
    }
}

fn bytes_of(tenant: &Tenant, id: FileId) -> Path {
    Path::from_iter([tenant.as_str(), &id.to_string()])
}

fn beside_of(tenant: &Tenant, id: FileId) -> Path {
    Path::from_iter([tenant.as_str(), &format!("{id}.json")])
}

fn bucket(config: &Config, name: &str) -> AmazonS3Builder {
    let client = ClientOptions::new()
        .with_timeout(BUCKET_WAIT)
        .with_connect_timeout(BUCKET_CONNECT_WAIT)
        .with_allow_http(config.s3_endpoint.as_deref().is_some_and(|url| url.starts_with("http://")));
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(name)
        .with_region(&config.s3_region)
        .with_virtual_hosted_style_request(!config.s3_path_style)
        .with_client_options(client);
    if let Some(endpoint) = &config.s3_endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let (Some(key), Some(secret)) = (&config.s3_access_key, &config.s3_secret_key) {
        builder = builder.with_access_key_id(key).with_secret_access_key(secret.expose_secret());
    }
    builder
}

/// Writes the bytes as they come, and tells what they are.
async fn receive<S, E>(writer: &mut BufWriter, incoming: Incoming, content: S) -> Result<Beside, MediaError>
where
    S: Stream<Item = Result<Bytes, E>> + Send,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut content = std::pin::pin!(content);
    let (mut size_bytes, mut hash) = (0_u64, Sha256::new());
    while let Some(piece) = content.next().await {
        let piece = piece.map_err(|error| MediaError::Interrupted(error.into()))?;
        size_bytes = size_bytes.saturating_add(piece.len() as u64);
        if size_bytes > incoming.bytes_max {
            return Err(MediaError::TooLarge(incoming.bytes_max));
        }
        hash.update(&piece);
        writer.put(piece).await?;
    }
    let sha256: [u8; 32] = hash.finalize().into();
    if incoming.sha256.is_some_and(|announced| announced != sha256) {
        return Err(MediaError::Altered(hex::encode(sha256)));
    }
    let Properties { mime_type, filename } = incoming.properties;
    Ok(Beside { mime_type, filename, size_bytes, sha256: hex::encode(sha256) })
}

/// The store's own error, which comes wrapped from the writer's end.
fn stored(error: std::io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "media", source: error.into() }
}
