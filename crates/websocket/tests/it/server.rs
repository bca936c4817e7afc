//! A server that hands its sockets to the test.

use std::net::SocketAddr;
use std::time::Duration;

use axum::{Router, extract::State, response::Response, routing::get};
use chasqui_websocket::{Deflate, Limits, Message, Upgrade, WebSocket};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Every wait of these tests ends after this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Messages of these tests are not longer.
pub(crate) const BYTES_MAX: usize = 100_000;

type Sockets = mpsc::UnboundedSender<WebSocket>;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    sockets: mpsc::UnboundedReceiver<WebSocket>,
}

impl Server {
    /// Serves as the product does: on the TCP connection itself.
    pub(crate) async fn start() -> Self {
        let (listener, routes, server) = prepare().await;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(routes.clone());
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection.with_upgrades());
            }
        });
        server
    }

    /// Serves on a connection that is wrapped so that the TCP connection cannot be had back.
    pub(crate) async fn start_wrapped() -> Self {
        let (listener, routes, server) = prepare().await;
        tokio::spawn(async move { axum::serve(listener, routes).await });
        server
    }

    /// The server's end of the next connection.
    pub(crate) async fn socket(&mut self) -> WebSocket {
        within(self.sockets.recv()).await.expect("the server runs")
    }
}

async fn prepare() -> (TcpListener, Router, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (sender, sockets) = mpsc::unbounded_channel();
    let server = Server { address: listener.local_addr().unwrap(), sockets };
    (listener, Router::new().route("/", get(open)).with_state(sender), server)
}

async fn open(State(sockets): State<Sockets>, upgrade: Upgrade) -> Response {
    let upgrade = upgrade.protocols(["chasqui", "other"]).limits(Limits::of(BYTES_MAX));
    upgrade.compression(Some(Deflate::default())).on_upgrade(async move |socket| {
        // A test that is over wants no more sockets.
        let _ = sockets.send(socket);
    })
}

pub(crate) async fn within<T>(wait: impl Future<Output = T>) -> T {
    timeout(PATIENCE, wait).await.expect("it takes no longer")
}

/// The next message, which must be one.
pub(crate) async fn heard(socket: &mut WebSocket) -> Message {
    within(socket.recv()).await.expect("the connection stands").expect("the client keeps to the protocol")
}
