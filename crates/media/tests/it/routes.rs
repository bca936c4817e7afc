use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use anyhow::Result;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use chasqui_kit::{Code, clock};
use chasqui_media::{Config, FileId, MediaError, MediaStore, MediaUrls, OnMissing, routes};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::world::{LARGE_BYTES, bytes, config, incoming, pieces, put, tenant};

/// A store behind its routes.
struct Shown {
    store: MediaStore,
    urls: MediaUrls,
    routes: Router,
    config: Config,
    _directory: TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    fn error(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).expect("an error is JSON");
        body["error"].as_str().expect("an error is a text").to_owned()
    }
}

impl Shown {
    fn new() -> Result<Self> {
        Self::bringing(|_| OnMissing::nobody())
    }

    fn bringing(on_missing: impl FnOnce(&MediaStore) -> OnMissing) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let config = config(&directory);
        let (store, urls) = (MediaStore::open(&config)?, MediaUrls::new(&config)?);
        let routes = routes(store.clone(), urls.clone(), on_missing(&store));
        Ok(Self { store, urls, routes, config, _directory: directory })
    }

    fn url(&self, id: FileId) -> String {
        self.urls.url(&tenant(), id, clock::now_ms())
    }

    async fn ask(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.routes.clone().oneshot(request.body(Body::empty())?).await?;
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await?.to_vec();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    async fn get(&self, url: &str) -> Result<Answer> {
        self.ask("GET", url, &[]).await
    }
}

#[tokio::test]
async fn whoever_has_the_address_sees_the_file_and_nothing_of_it_runs() -> Result<()> {
    let shown = Shown::new()?;
    let (id, file) = (FileId::now(), bytes(LARGE_BYTES));
    let stored = put(&shown.store, id, &file).await?;
    let answer = shown.get(&shown.url(id)).await?;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, file.len()));
    assert!(answer.body == file, "the bytes differ");
    assert_eq!(answer.header("content-type"), "image/png");
    assert_eq!(answer.header("content-length"), file.len().to_string());
    assert_eq!(answer.header("content-disposition"), "inline; filename=\"a.png\"; filename*=UTF-8''a.png");
    assert_eq!(answer.header("etag"), format!("\"{}\"", stored.sha256));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(answer.header("content-security-policy").starts_with("sandbox; default-src 'none'"));
    let caching = answer.header("cache-control");
    let fresh = caching.strip_prefix("private, max-age=").and_then(|rest| rest.strip_suffix(", immutable"));
    let fresh: i64 = fresh.expect(caching).parse()?;
    assert!((3_590..=4_500).contains(&fresh), "{fresh}");
    Ok(())
}

#[tokio::test]
async fn a_page_that_a_contact_sends_is_saved_and_not_shown() -> Result<()> {
    let shown = Shown::new()?;
    let id = FileId::now();
    let page = b"<script>steal()</script>";
    shown.store.put(&tenant(), id, incoming("text/html", "../\"x\".html"), pieces(page)).await?;
    let answer = shown.get(&shown.url(id)).await?;
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"_x_.html\"; filename*=UTF-8''%22x%22.html"
    );
    assert!(answer.header("content-security-policy").starts_with("sandbox"));
    Ok(())
}

#[tokio::test]
async fn a_player_gets_the_part_it_asks_for() -> Result<()> {
    let shown = Shown::new()?;
    let (id, file) = (FileId::now(), bytes(1_000));
    let tag = format!("\"{}\"", put(&shown.store, id, &file).await?.sha256);
    let url = shown.url(id);
    let part = async |header: &str| shown.ask("GET", &url, &[("range", header)]).await;
    for (header, told, expected) in [
        ("bytes=0-9", "bytes 0-9/1000", &file[..10]),
        ("bytes=990-", "bytes 990-999/1000", &file[990..]),
        ("bytes=-1", "bytes 999-999/1000", &file[999..]),
    ] {
        let answer = part(header).await?;
        assert_eq!((answer.status, answer.header("content-range")), (StatusCode::PARTIAL_CONTENT, told));
        assert_eq!(answer.header("content-length"), expected.len().to_string());
        assert_eq!(answer.body, expected);
    }
    let beyond = part("bytes=1000-").await?;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(
        (beyond.header("content-range"), beyond.error().as_str()),
        ("bytes */1000", "the file has only 1000 bytes")
    );
    let other = shown.ask("GET", &url, &[("range", "bytes=0-9"), ("if-range", "\"other\"")]).await?;
    assert_eq!((other.status, other.body.len()), (StatusCode::OK, 1_000));
    let same = shown.ask("GET", &url, &[("range", "bytes=0-9"), ("if-range", &tag)]).await?;
    assert_eq!(same.status, StatusCode::PARTIAL_CONTENT);
    Ok(())
}

#[tokio::test]
async fn what_a_browser_has_is_not_sent_again() -> Result<()> {
    let shown = Shown::new()?;
    let id = FileId::now();
    let tag = format!("\"{}\"", put(&shown.store, id, b"picture").await?.sha256);
    for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let answer = shown.ask("GET", &shown.url(id), &[("if-none-match", &known)]).await?;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
        assert_eq!(answer.header("etag"), tag);
    }
    let head = shown.ask("HEAD", &shown.url(id), &[]).await?;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (StatusCode::OK, "7", 0));
    Ok(())
}

#[tokio::test]
async fn an_empty_file_is_a_file() -> Result<()> {
    let shown = Shown::new()?;
    let id = FileId::now();
    put(&shown.store, id, b"").await?;
    let answer = shown.get(&shown.url(id)).await?;
    assert_eq!((answer.status, answer.header("content-length"), answer.body.len()), (StatusCode::OK, "0", 0));
    Ok(())
}

#[tokio::test]
async fn a_forged_or_old_address_opens_nothing() -> Result<()> {
    let shown = Shown::new()?;
    let id = FileId::now();
    put(&shown.store, id, b"picture").await?;
    let url = shown.url(id);
    let (path, query) = url.split_once('?').expect("an address has a query");
    let (expires, signature) = query.split_once('&').expect("two parameters");
    let other_keys = Config { url_key: Some("another-key-of-theirs".into()), ..shown.config.clone() };
    let now_ms = clock::now_ms();
    for forged in [
        path.to_owned(),
        format!("{path}?{expires}"),
        format!("{path}?{signature}"),
        format!("{path}?{expires}0&{signature}"),
        format!("{path}?{expires}&{signature}&{expires}"),
        url.replace("default", "other"),
        url.replace("default", "..%2Fdefault"),
        url.replace(&id.to_string(), &FileId::now().to_string()),
        url.replace(&id.to_string(), "..%2F..%2Fetc%2Fpasswd"),
        url.replace(&id.to_string(), &format!("{id}.json")),
        MediaUrls::new(&other_keys)?.url(&tenant(), id, now_ms),
    ] {
        let answer = shown.get(&forged).await?;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{forged}");
        assert_eq!(answer.error(), "the address of this file is not valid");
    }
    let old = shown.get(&shown.urls.url(&tenant(), id, now_ms - 4_501_000)).await?;
    assert_eq!(
        (old.status, old.error().as_str()),
        (StatusCode::FORBIDDEN, "the address of this file has expired")
    );
    let young = shown.get(&shown.urls.url(&tenant(), id, now_ms - 3_590_000)).await?;
    assert_eq!(young.status, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_not_there_yet_is_brought_and_shown() -> Result<()> {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = asked.clone();
    let shown = Shown::bringing(move |store| {
        let store = store.clone();
        OnMissing::new(move |tenant, id| {
            counted.fetch_add(1, Ordering::Relaxed);
            let store = store.clone();
            Box::pin(async move {
                store.put(&tenant, id, incoming("image/png", ""), pieces(b"picture")).await.map(|_| ())
            })
        })
    })?;
    let url = shown.url(FileId::now());
    for _ in 0..2 {
        assert_eq!(shown.get(&url).await?.body, b"picture");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    Ok(())
}

#[tokio::test]
async fn a_file_that_nobody_has_is_told_so() -> Result<()> {
    let shown = Shown::new()?;
    let missing = shown.get(&shown.url(FileId::now())).await?;
    assert_eq!((missing.status, missing.error().as_str()), (StatusCode::NOT_FOUND, "there is no such file"));
    let away = || MediaError::NotBrought {
        code: Code::Unavailable,
        message: "no whatsapp service is running".into(),
    };
    let shown = Shown::bringing(|_| OnMissing::new(move |_, _| Box::pin(async move { Err(away()) })))?;
    let later = shown.get(&shown.url(FileId::now())).await?;
    assert_eq!(later.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(later.error(), json!("the file is not there yet: no whatsapp service is running"));
    Ok(())
}
