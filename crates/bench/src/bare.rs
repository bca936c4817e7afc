//! The bare path: the shortest program that does the same over real sockets, and stores nothing.
//!
//! POST → acknowledged publish → republished → subscriber → WebSocket. No signature, no parsing, no conversation, no
//! database: what Chasqui takes above this is what Chasqui does.

use std::sync::Arc;

use axum::{
    Router,
    extract::{
        State,
        ws::{Message, WebSocketUpgrade},
    },
    http::StatusCode,
    response::Response,
    routing::{get, post},
    serve::ListenerExt,
};
use chasqui_kit::Bus;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    address::Address,
    audience::{Audience, Source},
    floor::{Floor, Listener, publish},
    ledger::Outcome,
    letter::Letter,
    load::Poster,
    marker,
    plan::Plan,
    trial::{self, Load, Measurement},
    websocket::WebSocket,
};

const ENTRY_PATH: &str = "/texts";
const SOCKET_PATH: &str = "/ws";
/// As the edge's: the default of 128 KiB a socket is slower to allocate.
const BUFFER_BYTES: usize = 4 * 1024;

/// Measures the bare path under the given load, with so many sockets.
pub(crate) async fn measure(floor: &Floor, load: &Load<'_>, sockets: u32) -> anyhow::Result<Measurement> {
    let plan = load.plan();
    let server = Server::start(floor, &plan).await?;
    let measured = drive(&server.address, &plan, load, sockets).await;
    server.stop().await;
    measured
}

async fn drive(server: &Address, plan: &Plan, load: &Load<'_>, sockets: u32) -> anyhow::Result<Measurement> {
    let mut audience = Audience::new(plan);
    for _ in 0..sockets {
        let mut websocket = WebSocket::open(server, SOCKET_PATH).await?;
        // The first frame says that the subscription stands.
        websocket.expect_frame("`ready`").await?;
        audience.join(None, BareSocket(websocket));
    }
    let letter = Letter::bare(server, plan, load.text_bytes, ENTRY_PATH);
    let posters = Poster::several(load.lanes, server, &letter, None).await?;
    Ok(trial::run(plan, posters, audience, load).await?.0)
}

struct BareSocket(WebSocket);

impl Source for BareSocket {
    async fn next_text(&mut self) -> Option<String> {
        self.0.frame().await.map(|frame| frame.as_str().to_owned())
    }
}

/// The bare server, in our own process.
struct Server {
    address: Address,
    stop: CancellationToken,
    running: JoinSet<std::io::Result<()>>,
}

/// What its handlers share.
struct Shared {
    publisher: Bus,
    listener: Bus,
    plan: Plan,
    stop: CancellationToken,
}

impl Server {
    async fn start(floor: &Floor, plan: &Plan) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = Address::parse(&format!("http://{}", listener.local_addr()?))?;
        let stop = CancellationToken::new();
        let shared = Shared {
            publisher: floor.publisher.clone(),
            listener: floor.listener.clone(),
            plan: plan.clone(),
            stop: stop.clone(),
        };
        let routes = Router::new()
            .route(ENTRY_PATH, post(enter))
            .route(SOCKET_PATH, get(listen))
            .with_state(Arc::new(shared));
        let listener = listener.tap_io(|stream| {
            // Where it fails the connection is gone already, which its reader notices.
            drop(stream.set_nodelay(true));
        });
        let mut running = JoinSet::new();
        let stopped = stop.clone().cancelled_owned();
        running.spawn(async move { axum::serve(listener, routes).with_graceful_shutdown(stopped).await });
        Ok(Self { address, stop, running })
    }

    async fn stop(mut self) {
        self.stop.cancel();
        self.running.shutdown().await;
    }
}

async fn enter(State(shared): State<Arc<Shared>>, text: String) -> StatusCode {
    let conversation =
        marker::find(&shared.plan.run, &text).map_or(0, |message| shared.plan.conversation_of(message));
    match publish(&shared.publisher, conversation, text).await {
        Outcome::Acknowledged => StatusCode::OK,
        Outcome::Refused(_) | Outcome::Failed => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn listen(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.read_buffer_size(BUFFER_BYTES).write_buffer_size(BUFFER_BYTES);
    upgrade.on_upgrade(async move |mut socket| {
        let Ok(mut listener) = Listener::open(&shared.listener).await else { return };
        let mut next = Some("ready".to_owned());
        while let Some(text) = next {
            if socket.send(Message::text(text)).await.is_err() {
                return;
            }
            next = shared.stop.run_until_cancelled(listener.next_text()).await.flatten();
        }
    })
}
