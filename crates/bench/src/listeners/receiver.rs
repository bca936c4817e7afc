//! The server behind every listener: a path for each.

use std::{
    future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    routing::post,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::Cast;
use crate::audience::{Audience, Source};

/// The largest event that is read.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// How many events may wait to be counted at a listener; one that comes when there is no room waits.
const INBOX_MAX: usize = 256;

/// Requests that came to listeners that do not take them.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Attempts {
    /// At those that never answer.
    pub hanging: u32,
    /// At those that answer 500.
    pub failing: u32,
}

/// The server; it ends when dropped.
#[derive(Debug)]
pub(super) struct Receiver {
    base: String,
    shared: Arc<Shared>,
    _running: AbortOnDropHandle<std::io::Result<()>>,
}

#[derive(Debug)]
struct Shared {
    listeners: Vec<Listener>,
    hanging: AtomicU32,
    failing: AtomicU32,
}

#[derive(Debug)]
enum Listener {
    Healthy(mpsc::Sender<String>),
    Hanging,
    Failing,
}

/// What is read of an event in the flat form.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    body: String,
}

/// What a healthy listener is posted.
struct Posted(mpsc::Receiver<String>);

impl Source for Posted {
    async fn next_text(&mut self) -> Option<String> {
        self.0.recv().await
    }
}

impl Receiver {
    /// Serves the listeners of a run on this machine; the healthy ones join the audience.
    pub(super) async fn start(run: &str, cast: Cast, audience: &mut Audience) -> anyhow::Result<Self> {
        let listener = |number| {
            if number < cast.hanging {
                Listener::Hanging
            } else if number < cast.hanging + cast.failing {
                Listener::Failing
            } else {
                let (posted, inbox) = mpsc::channel(INBOX_MAX);
                audience.join(None, Posted(inbox));
                Listener::Healthy(posted)
            }
        };
        let listeners = (0..cast.all).map(listener).collect();
        let shared = Arc::new(Shared { listeners, hanging: AtomicU32::new(0), failing: AtomicU32::new(0) });
        let routes = Router::new()
            .route(&format!("/{run}/{{number}}"), post(receive))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(Arc::clone(&shared));
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}/{run}", socket.local_addr()?);
        let running = tokio::spawn(async move { axum::serve(socket, routes).await });
        Ok(Self { base, shared, _running: AbortOnDropHandle::new(running) })
    }

    /// Where each listener is reached.
    pub(super) fn urls(&self) -> Vec<String> {
        (0..self.shared.listeners.len()).map(|number| format!("{}/{number}", self.base)).collect()
    }

    /// What those that do not take it were sent so far.
    pub(super) fn attempts(&self) -> Attempts {
        let of = |count: &AtomicU32| count.load(Ordering::Relaxed);
        Attempts { hanging: of(&self.shared.hanging), failing: of(&self.shared.failing) }
    }
}

async fn receive(State(shared): State<Arc<Shared>>, Path(number): Path<usize>, body: Bytes) -> StatusCode {
    match shared.listeners.get(number) {
        None => StatusCode::NOT_FOUND,
        Some(Listener::Hanging) => {
            shared.hanging.fetch_add(1, Ordering::Relaxed);
            future::pending().await
        }
        Some(Listener::Failing) => {
            shared.failing.fetch_add(1, Ordering::Relaxed);
            StatusCode::INTERNAL_SERVER_ERROR
        }
        Some(Listener::Healthy(posted)) => {
            let Ok(event) = serde_json::from_slice::<Event>(&body) else { return StatusCode::BAD_REQUEST };
            // Nobody listens any more once the run is over.
            let _ = posted.send(event.body).await;
            StatusCode::OK
        }
    }
}
