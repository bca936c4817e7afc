//! The HTTP door of a process: one or several ports, the routes of every service in it, and the probes.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, RwLock},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, Request},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde::Deserialize;
use serde_json::json;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    config::{self, Problems, Section},
    docs::{self, Documentation},
    health::Health,
    telemetry::Metrics,
};

/// A peer that acknowledges nothing for this long is gone: without it, a client that stopped reading stays for minutes.
const PEER_SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long a client may take to send a request's headers.
const HEADER_WAIT: Duration = Duration::from_secs(10);
/// The most bytes of a request's line and headers.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Connections the kernel queues for us during a reconnect storm.
const BACKLOG: u32 = 4_096;

/// Section `http`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// The port. Default 3001.
    pub port: u16,
    /// The address it is bound to. Default `0.0.0.0`.
    pub host: String,
    /// Further ports that answer the same, for front ends that were built for another one. Default none.
    #[serde(deserialize_with = "config::list")]
    pub further_ports: Vec<u16>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { port: 3001, host: "0.0.0.0".to_owned(), further_ports: Vec::new() }
    }
}

impl Section for HttpConfig {
    const NAME: &'static str = "http";

    fn check(&self, problems: &mut Problems) {
        if self.host.parse::<IpAddr>().is_err() {
            problems.add("http.host", "must be an IP address");
        }
    }
}

impl HttpConfig {
    /// Whether only this machine can connect.
    pub fn is_local(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback())
    }
}

/// The routes of a process. Services mount theirs and take them away again; clones share the same routes.
#[derive(Clone, Debug)]
pub struct Door {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What is mounted, in order.
    mounts: Mutex<Vec<Mount>>,
    /// All of it and the probes as one router: what requests read.
    current: RwLock<Router>,
    probes: Router,
}

/// A service's routes, and what it says of them.
#[derive(Debug)]
struct Mount {
    name: &'static str,
    routes: Router,
    documentation: Documentation,
}

/// Routes that stay mounted while this lives.
#[derive(Debug)]
#[must_use = "dropping it takes the routes away"]
pub struct Mounted {
    door: Door,
    name: &'static str,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.door.change(|mounts| mounts.retain(|mount| mount.name != self.name));
    }
}

impl Door {
    /// A door with nothing behind it but `/healthz`, `/readyz`, `/metrics` and `/docs`.
    pub fn new(health: &Health, metrics: &Metrics) -> Self {
        let probes = probes(health.clone(), metrics.clone());
        let shared =
            Shared { mounts: Mutex::new(Vec::new()), current: RwLock::new(whole(&probes, &[])), probes };
        Self { shared: Arc::new(shared) }
    }

    /// Puts a service's routes behind the door.
    pub fn mount(&self, name: &'static str, routes: Router) -> Mounted {
        self.mount_documented(name, routes, Documentation::default())
    }

    /// The same with what `/docs` shows of them.
    pub fn mount_documented(
        &self,
        name: &'static str,
        routes: Router,
        documentation: Documentation,
    ) -> Mounted {
        self.change(|mounts| mounts.push(Mount { name, routes, documentation }));
        Mounted { door: self.clone(), name }
    }

    /// Binds the ports.
    pub fn bind(config: &HttpConfig) -> io::Result<Vec<TcpListener>> {
        let mut listeners = Vec::new();
        for port in std::iter::once(&config.port).chain(&config.further_ports) {
            let address =
                format!("{}:{port}", config.host).parse::<SocketAddr>().map_err(io::Error::other)?;
            let taken = |error: io::Error| io::Error::new(error.kind(), format!("port {port}: {error}"));
            listeners.push(listen(address).map_err(taken)?);
        }
        Ok(listeners)
    }

    /// Answers on every listener until stopped, then waits for the requests in hand.
    pub async fn open(self, listeners: Vec<TcpListener>, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let accepting = listeners.into_iter().map(|listener| self.accept(listener, &connections, &stop));
        futures::future::join_all(accepting).await;
        connections.close();
        connections.wait().await;
    }

    async fn accept(&self, listener: TcpListener, connections: &TaskTracker, stop: &CancellationToken) {
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(self.clone().serve(stream, peer, stop.clone()));
                }
                Err(error) => {
                    // Most often too many open files: pause instead of spinning.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, stop: CancellationToken) {
        if let Err(error) = prepare(&stream) {
            tracing::debug!(%error, "a connection was gone before it began");
            return;
        }
        let service = tower::service_fn(move |request: hyper::Request<Incoming>| {
            let router = self.shared.current.read().expect("no holder of this lock panics").clone();
            async move {
                let mut request: Request = request.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                Ok::<Response, Infallible>(router.oneshot(request).await.into_response())
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_WAIT)
            .max_buf_size(HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::trace!(%error, "a connection ended early");
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Mount>)) {
        let mut mounts = self.shared.mounts.lock().expect("no holder of this lock panics");
        change(&mut mounts);
        let router = whole(&self.shared.probes, &mounts);
        *self.shared.current.write().expect("no holder of this lock panics") = router;
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket =
        if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_user_timeout(Some(PEER_SILENCE_MAX))
}

fn whole(probes: &Router, mounts: &[Mount]) -> Router {
    let bare =
        probes.clone().merge(docs::routes(mounts.iter().map(|mount| mount.documentation.clone()).collect()));
    let merged = mounts.iter().fold(bare, |whole, mount| whole.merge(mount.routes.clone()));
    merged.fallback(unknown_path).method_not_allowed_fallback(wrong_method).layer(CatchPanicLayer::new())
}

fn probes(health: Health, metrics: Metrics) -> Router {
    let ready = move || async move {
        let status = if health.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(health.report()))
    };
    let render = move || async move {
        ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
    };
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
}

async fn unknown_path(request: Request) -> Response {
    let error = format!("nothing answers {} {}", request.method(), request.uri().path());
    (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
}

async fn wrong_method(request: Request) -> Response {
    let error = format!("{} does not take {}", request.uri().path(), request.method());
    (StatusCode::METHOD_NOT_ALLOWED, Json(json!({ "error": error }))).into_response()
}
