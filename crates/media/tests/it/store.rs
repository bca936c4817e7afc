use std::{fs, path::Path};

use anyhow::Result;
use bytes::Bytes;
use chasqui_media::{Config, FileId, Incoming, MediaError, MediaStore};
use futures::{StreamExt, stream};
use sha2::{Digest, Sha256};

use crate::world::{LARGE_BYTES, bytes, incoming, pieces, put, read, store, tenant};

/// What lies in the store, whatever it is.
fn files(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).map(|entries| entries.flatten().collect()).unwrap_or(vec![]);
    entries.iter().map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

#[tokio::test]
async fn a_file_comes_back_as_it_was_brought() -> Result<()> {
    let (store, _directory) = store()?;
    for length in [0, 1, 100_000, LARGE_BYTES, 2 * LARGE_BYTES] {
        let (id, file) = (FileId::now(), bytes(length));
        let stored = put(&store, id, &file).await?;
        assert_eq!((stored.id.clone(), stored.size_bytes), (id.to_string(), length as u64));
        assert_eq!(stored.sha256, hex::encode(Sha256::digest(&file)));
        assert_eq!((stored.mime_type.as_str(), stored.filename.as_str()), ("image/png", "a.png"));
        assert_eq!(store.head(&tenant(), id).await?, stored);
        if length > 0 {
            assert_eq!(read(&store, id, None).await?, file);
            assert_eq!(read(&store, id, Some(0..1)).await?, file[..1]);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_too_large_or_breaks_off_leaves_nothing() -> Result<()> {
    let (store, directory) = store()?;
    let id = FileId::now();
    for length in [100_000, 2 * LARGE_BYTES] {
        let limited = Incoming { bytes_max: length as u64 - 1, ..incoming("image/png", "") };
        let error =
            store.put(&tenant(), id, limited, pieces(&bytes(length))).await.expect_err("it is too large");
        assert!(matches!(error, MediaError::TooLarge(_)), "{error}");
        let exact = Incoming { bytes_max: length as u64, ..incoming("image/png", "") };
        store.put(&tenant(), FileId::now(), exact, pieces(&bytes(length))).await?;
        let whole = pieces(&bytes(length)).map(|piece| Ok(piece.expect("infallible")));
        let broken = whole.chain(stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]));
        let error = store.put(&tenant(), id, incoming("", ""), broken).await.expect_err("it broke off");
        let MediaError::Interrupted(cause) = error else { panic!("{error}") };
        assert_eq!(cause.downcast::<std::io::Error>().expect("the cause is kept").to_string(), "gone");
    }
    assert!(matches!(store.head(&tenant(), id).await, Err(MediaError::NotFound)));
    assert_eq!(files(directory.path()), 4, "two files with what is known of them");
    Ok(())
}

#[tokio::test]
async fn only_the_bytes_that_were_announced_are_taken() -> Result<()> {
    let (store, directory) = store()?;
    let file = bytes(1_000);
    let announced = |sha256: [u8; 32]| Incoming { sha256: Some(sha256), ..incoming("image/png", "") };
    let right = Sha256::digest(&file).into();
    let error =
        store.put(&tenant(), FileId::now(), announced([7; 32]), pieces(&file)).await.expect_err("altered");
    assert!(matches!(error, MediaError::Altered(_)), "{error}");
    assert_eq!(files(directory.path()), 0);
    store.put(&tenant(), FileId::now(), announced(right), pieces(&file)).await?;
    Ok(())
}

#[tokio::test]
async fn nobody_sees_half_a_file() -> Result<()> {
    let (store, _directory) = store()?;
    let (id, file) = (FileId::now(), bytes(2 * LARGE_BYTES));
    let looks = store.clone();
    let watched = pieces(&file).then(move |piece| {
        let store = looks.clone();
        async move {
            let found = store.head(&tenant(), id).await;
            assert!(matches!(found, Err(MediaError::NotFound)), "{found:?}");
            piece
        }
    });
    store.put(&tenant(), id, incoming("video/mp4", ""), watched).await?;
    assert_eq!(store.head(&tenant(), id).await?.size_bytes, file.len() as u64);
    Ok(())
}

#[tokio::test]
async fn tenants_do_not_share_files() -> Result<()> {
    let (store, _directory) = store()?;
    let id = FileId::now();
    put(&store, id, b"picture").await?;
    let other = "other".parse()?;
    assert!(matches!(store.head(&other, id).await, Err(MediaError::NotFound)));
    assert!(matches!(store.get(&other, id, None).await, Err(MediaError::NotFound)));
    store.delete(&other, id).await?;
    assert_eq!(read(&store, id, None).await?, b"picture");
    Ok(())
}

#[tokio::test]
async fn a_file_that_was_removed_is_gone_and_may_come_back() -> Result<()> {
    let (store, directory) = store()?;
    let id = FileId::now();
    put(&store, id, b"picture").await?;
    put(&store, id, b"picture").await?;
    store.delete(&tenant(), id).await?;
    store.delete(&tenant(), id).await?;
    assert!(matches!(read(&store, id, None).await, Err(MediaError::NotFound)));
    assert_eq!(files(directory.path()), 0);
    put(&store, id, b"picture").await?;
    assert_eq!(read(&store, id, Some(3..7)).await?, b"ture");
    Ok(())
}

#[test]
fn a_store_that_cannot_be_opened_says_why() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("file");
    fs::write(&file, "x")?;
    let config = Config { store: file.join("media").display().to_string(), ..Config::default() };
    let told = MediaStore::open(&config).expect_err("a file is no directory").to_string();
    assert!(told.starts_with("media.store cannot be opened: ") && told.contains("file/media"), "{told}");
    Ok(())
}
