//! The same over S3: the test is the bucket, as far as files need one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use anyhow::Result;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chasqui_media::{Config, FileId, Incoming, MediaError, MediaStore};
use tokio::net::TcpListener;

use crate::world::{LARGE_BYTES, bytes, incoming, pieces, put, read, tenant};

/// Objects, and parts of objects that are not complete, by path.
#[derive(Clone, Default)]
struct Bucket {
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
    parts: Arc<Mutex<BTreeMap<String, BTreeMap<u32, Bytes>>>>,
}

fn held<T>(objects: &Mutex<T>) -> MutexGuard<'_, T> {
    objects.lock().expect("no holder of this lock panics")
}

async fn answer(State(bucket): State<Bucket>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let signed = parts.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !signed.contains("Credential=key/") || !signed.contains("/eu-south-2/s3/") {
        return StatusCode::FORBIDDEN.into_response();
    }
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default());
    bucket.answer(&parts.method, path, query, (&parts.headers, body))
}

impl Bucket {
    fn answer(
        &self,
        method: &Method,
        path: String,
        query: &str,
        (headers, body): (&HeaderMap, Bytes),
    ) -> Response {
        let number = query.split('&').find_map(|pair| pair.strip_prefix("partNumber="));
        let (mut objects, mut parts) = (held(&self.objects), held(&self.parts));
        match (method.as_str(), number) {
            ("PUT", Some(number)) => {
                parts.entry(path).or_default().insert(number.parse().expect("a number"), body);
                ([("etag", "\"part\"")], "").into_response()
            }
            ("PUT", None) => {
                objects.insert(path, body);
                ([("etag", "\"whole\"")], "").into_response()
            }
            ("POST", _) if query.contains("uploadId=") => {
                let whole: Vec<Bytes> = parts.remove(&path).unwrap_or_default().into_values().collect();
                objects.insert(path, whole.concat().into());
                "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"
                    .into_response()
            }
            ("POST", _) if query == "delete" => {
                let asked = String::from_utf8_lossy(&body);
                let keys = asked.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
                let deleted = keys.map(|key| {
                    objects.remove(&format!("{}/{key}", path.trim_end_matches('/')));
                    format!("<Deleted><Key>{key}</Key></Deleted>")
                });
                format!("<DeleteResult>{}</DeleteResult>", deleted.collect::<String>()).into_response()
            }
            ("POST", _) => {
                let begun =
                    "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>";
                begun.into_response()
            }
            ("DELETE", _) if query.contains("uploadId=") => {
                parts.remove(&path);
                StatusCode::NO_CONTENT.into_response()
            }
            _ => objects
                .get(&path)
                .map_or(StatusCode::NOT_FOUND.into_response(), |object| shown(object, headers)),
        }
    }
}

fn shown(object: &Bytes, headers: &HeaderMap) -> Response {
    let response =
        Response::builder().header("etag", "\"x\"").header("last-modified", "Wed, 21 Oct 2026 07:28:00 GMT");
    let range = headers.get("range").and_then(|value| value.to_str().ok()?.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
        return response.body(Body::from(object.clone())).expect("a response");
    };
    let (first, last): (usize, usize) = (first.parse().expect("a number"), last.parse().expect("a number"));
    let told = format!("bytes {first}-{last}/{}", object.len());
    let part = response.status(StatusCode::PARTIAL_CONTENT).header("content-range", told);
    part.body(Body::from(object.slice(first..=last))).expect("a response")
}

async fn store() -> Result<(MediaStore, Bucket)> {
    let (bucket, listener) = (Bucket::default(), TcpListener::bind("127.0.0.1:0").await?);
    let config = Config {
        store: "s3://files/chasqui/media".to_owned(),
        s3_endpoint: Some(format!("http://{}", listener.local_addr()?)),
        s3_region: "eu-south-2".to_owned(),
        s3_access_key: Some("key".to_owned()),
        s3_secret_key: Some("secret".into()),
        ..Config::default()
    };
    let router = Router::new().fallback(answer).with_state(bucket.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((MediaStore::open(&config)?, bucket))
}

#[tokio::test]
async fn files_are_kept_in_a_bucket_when_that_is_configured() -> Result<()> {
    let (store, bucket) = store().await?;
    for length in [1, 1_000, 2 * LARGE_BYTES] {
        let (id, file) = (FileId::now(), bytes(length));
        let stored = put(&store, id, &file).await?;
        assert_eq!(store.head(&tenant(), id).await?, stored);
        assert!(read(&store, id, None).await? == file, "the bytes differ");
        assert_eq!(read(&store, id, Some(0..1)).await?, file[..1]);
        assert!(held(&bucket.objects).contains_key(&format!("/files/chasqui/media/default/{id}")));
        store.delete(&tenant(), id).await?;
        assert!(matches!(store.head(&tenant(), id).await, Err(MediaError::NotFound)));
    }
    assert!(held(&bucket.objects).is_empty());
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_refused_leaves_no_parts_in_the_bucket() -> Result<()> {
    let (store, bucket) = store().await?;
    let limited = Incoming { bytes_max: 2 * LARGE_BYTES as u64 - 1, ..incoming("video/mp4", "") };
    let error = store.put(&tenant(), FileId::now(), limited, pieces(&bytes(2 * LARGE_BYTES))).await;
    assert!(matches!(error, Err(MediaError::TooLarge(_))), "{error:?}");
    assert!(held(&bucket.objects).is_empty());
    assert!(held(&bucket.parts).is_empty());
    Ok(())
}
