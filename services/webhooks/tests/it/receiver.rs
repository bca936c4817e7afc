//! The listeners' side: an HTTP server that answers as it is told, and remembers what came.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use anyhow::Result;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio::{net::TcpListener, task::JoinHandle};

/// How a listener answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    With(u16),
    After(u16, &'static str),
    Redirect(String),
    Never,
    /// 200 at once, and then a text that never ends.
    Endless,
}

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) listener: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

#[derive(Default)]
struct Desk {
    answers: HashMap<String, Answer>,
    received: Vec<Received>,
    /// Texts that a listener does not survive.
    poison: HashMap<String, String>,
    taken: Vec<Received>,
    hanging: usize,
}

/// A server with a path for each listener.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    desk: Arc<Mutex<Desk>>,
    _server: Arc<Server>,
}

struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whoever leaves is no longer hanging.
struct Hanging(Arc<Mutex<Desk>>);

impl Drop for Hanging {
    fn drop(&mut self) {
        lock(&self.0).hanging -= 1;
    }
}

impl Receiver {
    pub(crate) async fn start() -> Result<Self> {
        Self::start_at(0).await
    }

    pub(crate) async fn start_at(port: u16) -> Result<Self> {
        let socket = TcpListener::bind(("127.0.0.1", port)).await?;
        let url = format!("http://{}", socket.local_addr()?);
        let desk = Arc::new(Mutex::new(Desk::default()));
        let routes = Router::new().route("/{listener}", post(take)).with_state(desk.clone());
        let server =
            tokio::spawn(
                async move { axum::serve(socket, routes).await.expect("it serves until it is aborted") },
            );
        Ok(Self { url, desk, _server: Arc::new(Server(server)) })
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }

    pub(crate) fn answers(&self, listener: &str, answer: Answer) {
        self.desk().answers.insert(listener.to_owned(), answer);
    }

    /// What came for a listener, oldest first.
    pub(crate) fn of(&self, listener: &str) -> Vec<Received> {
        self.all().into_iter().filter(|received| received.listener == listener).collect()
    }

    pub(crate) fn all(&self) -> Vec<Received> {
        self.desk().received.clone()
    }

    /// The listener answers 200 to everything but this text, to which it answers as one that is away.
    pub(crate) fn poisoned(&self, listener: &str, text: &str) {
        let mut desk = self.desk();
        desk.poison.insert(listener.to_owned(), text.to_owned());
        desk.answers.remove(listener);
    }

    /// What a listener took.
    pub(crate) fn taken(&self, listener: &str) -> Vec<Received> {
        let desk = self.desk();
        desk.taken.iter().filter(|received| received.listener == listener).cloned().collect()
    }

    /// How many events came for each listener.
    pub(crate) fn counts(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for received in &self.desk().received {
            *counts.entry(received.listener.clone()).or_default() += 1;
        }
        counts
    }

    /// How many requests wait for an answer that never comes.
    pub(crate) fn hanging(&self) -> usize {
        self.desk().hanging
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().expect("no holder of this lock panics")
}

async fn take(
    State(desk): State<Arc<Mutex<Desk>>>,
    Path(listener): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = {
        let mut desk = lock(&desk);
        let received = Received { listener: listener.clone(), headers, body, at: Instant::now() };
        desk.received.push(received.clone());
        let is_poison = desk.poison.get(&listener).is_some_and(|text| *text == received.text());
        let usual = if is_poison { Answer::With(503) } else { Answer::With(200) };
        let answer = desk.answers.get(&listener).cloned().unwrap_or(usual);
        if matches!(answer, Answer::With(200)) {
            desk.taken.push(received);
        }
        answer
    };
    let status = |status: u16| StatusCode::from_u16(status).expect("it is a status");
    match answer {
        Answer::With(code) => status(code).into_response(),
        Answer::After(code, secs) => (status(code), [("retry-after", secs)]).into_response(),
        Answer::Redirect(to) => (StatusCode::FOUND, [("location", to)]).into_response(),
        Answer::Endless => {
            Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>()).into_response()
        }
        Answer::Never => {
            lock(&desk).hanging += 1;
            let _hanging = Hanging(desk.clone());
            std::future::pending().await
        }
    }
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().expect("it is text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("events are JSON")
    }

    /// The text of a message in the flat form.
    pub(crate) fn text(&self) -> String {
        self.json()["body"].as_str().expect("it has a text").to_owned()
    }

    /// Which of its signatures a secret made.
    pub(crate) fn signed_by(&self, secret: &str) -> Option<usize> {
        let key = STANDARD.decode(secret.trim_start_matches("whsec_")).expect("it is base64");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("every length will do");
        mac.update(format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp")).as_bytes());
        mac.update(&self.body);
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.header("webhook-signature").split(' ').position(|signature| signature == expected)
    }
}
