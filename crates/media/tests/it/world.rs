use std::convert::Infallible;

use anyhow::Result;
use bytes::Bytes;
use chasqui_media::{Config, FileId, Incoming, MediaError, MediaStore, Properties};
use chasqui_proto::{Tenant, v1::StoredMedia};
use futures::{Stream, TryStreamExt, stream};
use tempfile::TempDir;

/// One byte more than what is written at once: such a file is written in parts.
pub(crate) const LARGE_BYTES: usize = 5 * 1024 * 1024 + 1;

pub(crate) fn tenant() -> Tenant {
    "default".parse().expect("a tenant")
}

pub(crate) fn config(directory: &TempDir) -> Config {
    Config {
        store: directory.path().join("media").display().to_string(),
        url_key: Some("a-key-of-sixteen".into()),
        ..Config::default()
    }
}

pub(crate) fn store() -> Result<(MediaStore, TempDir)> {
    let directory = tempfile::tempdir()?;
    Ok((MediaStore::open(&config(&directory))?, directory))
}

pub(crate) fn incoming(mime_type: &str, filename: &str) -> Incoming {
    let properties = Properties { mime_type: mime_type.to_owned(), filename: filename.to_owned() };
    Incoming { properties, bytes_max: 100_000_000, sha256: None }
}

/// Bytes that are no two times the same in a row.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * 31 % 251).expect("less than 256")).collect()
}

/// A file in pieces, as a network brings it.
pub(crate) fn pieces(file: &[u8]) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    let pieces: Vec<Bytes> = file.chunks(7_001).map(Bytes::copy_from_slice).collect();
    stream::iter(pieces.into_iter().map(Ok))
}

pub(crate) async fn put(store: &MediaStore, id: FileId, file: &[u8]) -> Result<StoredMedia, MediaError> {
    store.put(&tenant(), id, incoming("image/png", "a.png"), pieces(file)).await
}

/// All bytes of a file, or those of a part.
pub(crate) async fn read(
    store: &MediaStore,
    id: FileId,
    range: Option<std::ops::Range<u64>>,
) -> Result<Vec<u8>, MediaError> {
    let pieces: Vec<Bytes> = store.get(&tenant(), id, range).await?.content.try_collect().await?;
    Ok(pieces.concat())
}
