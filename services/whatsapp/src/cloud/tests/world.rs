use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Result;
use axum::{
    Router,
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use chasqui_media::{Config as MediaConfig, FileId, Incoming, MediaStore, Properties};
use chasqui_proto::{
    Tenant, address,
    v1::{Contact, Message, MessageType},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};

use super::super::{CloudApi, Graph, Number, Settings};
use crate::connector::Outgoing;

pub(super) const NUMBER: &str = "100000000000001";
pub(super) const CONTACT: &str = "5491100000001";
pub(super) const TOKEN: &str = "token-that-nobody-may-see";
/// How long an answer may take here.
pub(super) const ANSWER_WAIT: Duration = Duration::from_millis(500);

/// A request as the Graph API got it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    /// With its query.
    pub(super) path: String,
    pub(super) authorization: String,
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

impl Seen {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

type Answers = Arc<dyn Fn(&Seen) -> Response + Send + Sync>;

/// One number, its files, and a Graph API that answers as the test says.
pub(super) struct World {
    pub(super) api: Arc<CloudApi>,
    pub(super) store: MediaStore,
    pub(super) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _files: TempDir,
}

#[derive(Clone)]
struct Shared {
    answers: Answers,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl World {
    /// A Graph API that answers every request with `answers`.
    pub(super) async fn answering(
        answers: impl Fn(&Seen) -> Response + Send + Sync + 'static,
    ) -> Result<Self> {
        let shared = Shared { answers: Arc::new(answers), seen: Arc::default() };
        let seen = shared.seen.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(answer).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self::at(url, seen)
    }

    /// A server that does with each connection what `serve` does.
    pub(super) async fn raw<F, R>(serve: F) -> Result<Self>
    where
        F: Fn(TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::raw_at("http", serve).await
    }

    pub(super) async fn raw_at<F, R>(scheme: &str, serve: F) -> Result<Self>
    where
        F: Fn(TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("{scheme}://{}", listener.local_addr()?);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        Self::at(url, Arc::default())
    }

    /// A number whose Graph API is at `url`.
    pub(super) fn at(url: String, seen: Arc<Mutex<Vec<Seen>>>) -> Result<Self> {
        let files = tempfile::tempdir()?;
        let media = MediaConfig { store: files.path().display().to_string(), ..MediaConfig::default() };
        let store = MediaStore::open(&media)?;
        let settings = Settings {
            graph_url: url.clone(),
            graph_version: "v23.0".to_owned(),
            connect_wait: Duration::from_secs(2),
            answer_wait: ANSWER_WAIT,
        };
        let number =
            Number { tenant: tenant(), phone_number_id: NUMBER.to_owned(), access_token: TOKEN.into() };
        let api = CloudApi::new(Graph::new(&settings)?, number, store.clone(), media.limits());
        Ok(Self { api: Arc::new(api), store, url, seen, _files: files })
    }

    /// Everything the Graph API was asked.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no holder of this lock panics").clone()
    }

    /// A file in our store.
    pub(super) async fn file(&self, mime_type: &str, filename: &str, bytes: &[u8]) -> Result<FileId> {
        let id = FileId::now();
        let properties = Properties { mime_type: mime_type.to_owned(), filename: filename.to_owned() };
        let incoming = Incoming { properties, bytes_max: u64::MAX, sha256: None };
        let content = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::copy_from_slice(bytes))]);
        self.store.put(&tenant(), id, incoming, content).await?;
        Ok(id)
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let text = |name: &str| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let seen = Seen {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        authorization: text("authorization"),
        content_type: text("content-type"),
        body: axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default(),
    };
    shared.seen.lock().expect("no holder of this lock panics").push(seen.clone());
    (shared.answers)(&seen)
}

pub(super) fn tenant() -> Tenant {
    "default".parse().expect("a tenant")
}

/// A text to the contact.
pub(super) fn text() -> Outgoing {
    let message = Message {
        id: FileId::now().to_string(),
        tenant: "default".to_owned(),
        conversation: CONTACT.to_owned(),
        contact: Some(Contact { aliases: vec![address::phone(CONTACT)], ..Contact::default() }),
        r#type: MessageType::Text.into(),
        text: "hola".to_owned(),
        ..Message::default()
    };
    Outgoing { message, answers: None, instead: None }
}

/// An answer with a body.
pub(super) fn json(status: u16, body: &Value) -> Response {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(body.to_string().into()).expect("a response")
}

/// What an accepted message is answered.
pub(super) fn accepted() -> Response {
    json(200, &serde_json::json!({ "messages": [{ "id": "wamid.A" }] }))
}

/// Reads a request to its end, whose body is JSON.
pub(super) async fn read_request(stream: &mut TcpStream) {
    let mut read = Vec::new();
    while !read.ends_with(b"}") {
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
    }
}
