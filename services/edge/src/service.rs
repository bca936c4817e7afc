//! The service: its routes, its life.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, Method, header},
    routing::get,
};
use chasqui_kit::{Bus, Platform, stream};
use chasqui_proto::{Tenant, subject::NodeToken};
use rand::Rng;
use tokio::time::{Instant, Interval};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    auth::Authenticator,
    canary,
    config::Config,
    engineio::{Origins, Settings},
    error::Error,
    hub::Hub,
    rest, socketio, websocket,
    widget::Widget,
};

/// How long a browser may remember what a preflight allowed.
const PREFLIGHT_AGE: Duration = Duration::from_hours(1);

/// What every socket of the node shares.
pub(crate) struct Edge {
    pub(crate) config: Config,
    pub(crate) bus: Bus,
    pub(crate) node: NodeToken,
    pub(crate) tenant: Tenant,
    pub(crate) authenticator: Authenticator,
    pub(crate) hub: Arc<Hub>,
    /// Every socket's task, and what they left to be done.
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    origins: Origins,
    sockets: Arc<AtomicUsize>,
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge").field("node", &self.node).finish_non_exhaustive()
    }
}

/// One of the node's places for sockets; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct SocketPlace(Arc<AtomicUsize>);

impl Drop for SocketPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("chasqui_edge_sockets").decrement(1);
    }
}

impl Edge {
    /// A place for one more socket, unless the node is full.
    pub(crate) fn take_place(&self) -> Option<SocketPlace> {
        let taken = self.sockets.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!("chasqui_edge_sockets").increment(1);
        let place = SocketPlace(self.sockets.clone());
        (taken < self.config.sockets_max).then_some(place)
    }

    /// Whether the page that opens a connection may do so. Programs send no origin.
    pub(crate) fn admits_origin(&self, headers: &HeaderMap) -> bool {
        match (&self.origins, headers.get(header::ORIGIN)) {
            (Origins::Any, _) | (_, None) => true,
            (Origins::Only(allowed), Some(origin)) => allowed.contains(origin),
        }
    }

    /// Ticks at the node's interval, at a phase of the socket's own, so that not all beat at once.
    pub(crate) fn heartbeat(&self) -> Interval {
        let interval = self.config.heartbeat_interval();
        let phase = rand::rng().random_range(0.1..1.0);
        tokio::time::interval_at(Instant::now() + interval.mul_f64(phase), interval)
    }
}

/// Runs the edge until stopped; returning means that every socket is closed.
pub async fn run(config: Config, platform: Platform, stop: CancellationToken) -> Result<(), Error> {
    stream::ensure_all(&platform.bus).await?;
    if config.widget_anonymous {
        tracing::warn!("edge.widget_anonymous is on: anyone who knows a phone number can read its replies");
    }
    let edge = Arc::new(edge(config, &platform, &stop));
    let hub = tokio::spawn(edge.hub.clone().run());
    let widgets = socketio::server(
        widget_settings(&edge),
        &[socketio::ROOT],
        Arc::new(Widget::new(edge.clone())),
        stop.clone(),
    );
    let mounted = platform.door.mount("edge", routes(&edge).merge(widgets.router()));
    let interval = Duration::from_millis(edge.config.canary_interval_ms);
    let watched = canary::watch(platform.bus, platform.health, platform.node, interval, stop.clone()).await;
    // The canary ends when the service is stopped, or with the reason why it cannot go on.
    stop.cancelled().await;
    drop(mounted);
    widgets.ended().await;
    edge.tasks.close();
    edge.tasks.wait().await;
    drop(hub.await);
    watched
}

fn edge(config: Config, platform: &Platform, stop: &CancellationToken) -> Edge {
    let secret = config.jwt_secret.clone().unwrap_or_default();
    Edge {
        hub: Hub::new(platform.bus.clone(), &config, stop.clone()),
        bus: platform.bus.clone(),
        node: platform.node.clone(),
        tenant: platform.tenant.clone(),
        authenticator: Authenticator::new(&secret, platform.tenant.clone()),
        tasks: TaskTracker::new(),
        stop: stop.clone(),
        origins: origins(&config),
        sockets: Arc::default(),
        config,
    }
}

fn origins(config: &Config) -> Origins {
    let allowed: Vec<HeaderValue> =
        config.allowed_origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    if allowed.is_empty() { Origins::Any } else { Origins::Only(allowed) }
}

fn widget_settings(edge: &Edge) -> Settings {
    Settings {
        ping_interval: edge.config.heartbeat_interval(),
        ping_timeout: edge.config.heartbeat_timeout(),
        max_payload_bytes: edge.config.frame_bytes_max,
        outbox_bytes_max: edge.config.outbox_bytes_max,
        sessions_max: edge.config.sockets_max,
        origins: edge.origins.clone(),
        ..Settings::default()
    }
}

fn routes(edge: &Arc<Edge>) -> Router {
    let rest = Router::new()
        .route("/api/conversations", get(rest::conversations).options(preflight))
        .route("/api/conversations/{id}/messages", get(rest::messages).options(preflight))
        .layer(cross_origin(&edge.origins));
    Router::new().route("/ws", get(websocket::open)).merge(rest).with_state(edge.clone())
}

/// Makes `OPTIONS` a method of the route, so that the layer around it answers and not the door's "wrong method".
async fn preflight() {}

/// Which pages of other origins may read history. Tokens come in a header, so no page needs cookies.
fn cross_origin(origins: &Origins) -> CorsLayer {
    let allowed = match origins {
        Origins::Any => AllowOrigin::any(),
        Origins::Only(allowed) => AllowOrigin::list(allowed.clone()),
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .max_age(PREFLIGHT_AGE)
}
