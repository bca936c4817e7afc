//! The service: its routes, its life.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderMap, HeaderValue, Method, header},
    middleware,
    routing::{get, patch, post},
};
use chasqui_directory::Directory;
use chasqui_kit::{
    Bus, Platform,
    docs::{Documentation, Documents},
    stream,
};
use chasqui_proto::{Tenant, subject::NodeToken, v1::EntryKind};
use rand::Rng;
use tokio::time::{Instant, Interval};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    asyncapi,
    auth::{Gate, Identity, Leases},
    canary,
    clients::{Clients, device},
    close::CloseCode,
    config::Config,
    engineio::{Origins, Settings},
    error::Error,
    fallback,
    files::Files,
    hub::Hub,
    json,
    limit::{Handshakes, Paces, pace_handshakes},
    openapi,
    peers::NatsPeers,
    rest,
    roster::Roster,
    socketio,
    sockets::Sockets,
    upload,
};

/// How long a browser may remember what a preflight allowed.
const PREFLIGHT_AGE: Duration = Duration::from_hours(1);

/// The pause between two looks at every socket for whoever is suspended: the directory of a busy system never rests.
const EXPEL_PAUSE: Duration = Duration::from_secs(1);

/// What of the directory the edge asks for.
const DIRECTORY_KINDS: [EntryKind; 3] = [EntryKind::Tenant, EntryKind::User, EntryKind::Agent];

/// What every socket of the node shares.
pub(crate) struct Edge {
    pub(crate) config: Config,
    pub(crate) bus: Bus,
    pub(crate) node: NodeToken,
    pub(crate) tenant: Tenant,
    /// Who belongs to the tenants.
    pub(crate) directory: Directory,
    /// Who is let in.
    pub(crate) gate: Arc<Gate>,
    /// Whose token ends when.
    pub(crate) leases: Arc<Leases>,
    /// How fast clients may send.
    pub(crate) paces: Paces,
    pub(crate) sockets: Arc<Sockets>,
    pub(crate) hub: Arc<Hub>,
    /// The files of messages.
    pub(crate) files: Files,
    /// Who is connected, here and elsewhere.
    pub(crate) roster: Arc<Roster>,
    /// Every socket's task, and what they left to be done.
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    origins: Origins,
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Edge {
    /// Whether a user may see all of its tenant.
    pub(crate) fn admits_staff(&self, identity: &Identity) -> Result<(), Error> {
        if !identity.is_user() {
            return Err(Error::Forbidden("a contact's token opens the widget only"));
        }
        let is_staff = self.config.users_are_staff || identity.has_staff_role || identity.is_active_agent();
        is_staff
            .then_some(())
            .ok_or(Error::Forbidden("the user is not staff: no active agent, no role `staff`"))
    }

    /// Whether the page that opens a connection may do so. Programs send no origin.
    pub(crate) fn admits_origin(&self, headers: &HeaderMap) -> bool {
        match (&self.origins, headers.get(header::ORIGIN)) {
            (Origins::Any, _) | (_, None) => true,
            (Origins::Only(allowed), Some(origin)) => allowed.contains(origin),
        }
    }

    /// How long a connection may be silent: interval and time-out of the heartbeat.
    pub(crate) fn longest_silence(&self) -> Duration {
        self.config.heartbeat_interval() + self.config.heartbeat_timeout()
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
    if config.users_are_staff {
        tracing::warn!("edge.users_are_staff is on: every user of a tenant sees all of its conversations");
    }
    let drained = CancellationToken::new();
    let files = Files::open(&config.media)?;
    let edge = Arc::new(edge(config, files, &platform, (&stop, &drained)));
    edge.tasks.spawn(edge.gate.clone().run(drained.clone()));
    edge.tasks.spawn(edge.leases.clone().run(drained.clone()));
    edge.tasks.spawn(expel_the_suspended(edge.clone(), drained.clone()));
    let hub = tokio::spawn(edge.hub.clone().run());
    // Nobody is asked for before it is known who belongs to the tenants.
    platform.health.not_ready(canary::PART, "the directory is being read");
    stop.run_until_cancelled(edge.directory.ready()).await;
    let (peers, inbox) = NatsPeers::listen(&platform.bus, &platform.node).await?;
    let settings = Settings { peers: Some(peers.clone()), ..client_settings(&edge) };
    let handshakes =
        Handshakes::new(edge.config.handshakes_per_second_max, edge.sockets.clone(), settings.path);
    let clients = Arc::new(Clients::new(edge.clone()));
    let clients = socketio::server(settings, &[socketio::ROOT], clients, drained.clone());
    // Until the last session has ended, so that clients on other nodes hear why.
    let alone = CancellationToken::new();
    let serving = tokio::spawn(peers.serve(inbox, clients.clone(), alone.clone()));
    let sockets = socket_routes(&edge).merge(clients.router());
    let sockets = sockets.layer(middleware::from_fn_with_state(handshakes, pace_handshakes));
    let mounted =
        platform.door.mount_documented("edge", routes(&edge).merge(sockets), Documentation::new(documents));
    let interval = Duration::from_millis(edge.config.canary_interval_ms);
    let watched = canary::watch(platform.bus, platform.health, platform.node, interval, stop.clone()).await;
    // The canary ends when the service is stopped, or with the reason why it cannot go on.
    stop.cancelled().await;
    // Nobody is let in any more; those who are in are served until it is their turn.
    edge.sockets.drain(edge.config.drain()).await;
    drained.cancel();
    drop(mounted);
    clients.ended().await;
    alone.cancel();
    drop(serving.await);
    edge.tasks.close();
    edge.tasks.wait().await;
    edge.roster.farewell().await;
    drop(hub.await);
    watched
}

/// What `/docs` shows of the edge.
fn documents() -> Documents {
    let openapi = serde_json::to_value(openapi::document()).expect("a document is JSON");
    Documents { openapi, asyncapi: asyncapi::document() }
}

/// Closes the sockets of whoever is suspended while connected.
async fn expel_the_suspended(edge: Arc<Edge>, stop: CancellationToken) {
    let mut changed = edge.directory.changed();
    let expel = async {
        while changed.changed().await.is_ok() {
            let is_out = |identity: &Identity| edge.gate.check(identity).is_err();
            edge.sockets.close_those(CloseCode::UNAUTHORIZED, is_out).await;
            tokio::time::sleep(EXPEL_PAUSE).await;
        }
    };
    stop.run_until_cancelled(expel).await;
}

fn edge(
    config: Config,
    files: Files,
    platform: &Platform,
    (stop, drained): (&CancellationToken, &CancellationToken),
) -> Edge {
    let directory = Directory::open(&platform.bus, &DIRECTORY_KINDS);
    let addresses = files.addresses.clone();
    let hub = Hub::new(platform.bus.clone(), &platform.node, (&config, addresses), drained.clone());
    Edge {
        files,
        roster: Roster::new(platform.bus.clone(), platform.node.clone(), hub.clone(), &config),
        hub,
        bus: platform.bus.clone(),
        node: platform.node.clone(),
        tenant: platform.tenant.clone(),
        gate: Gate::new(&config, platform.tenant.clone(), directory.clone(), platform.bus.clone()),
        leases: Leases::new(config.lease_rules()),
        paces: Paces::new(config.frames_per_second_max, config.tenant_frames_per_second_max),
        sockets: Sockets::new(config.sockets_max),
        directory,
        tasks: TaskTracker::new(),
        stop: stop.clone(),
        origins: origins(&config),
        config,
    }
}

fn origins(config: &Config) -> Origins {
    let allowed: Vec<HeaderValue> =
        config.allowed_origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    if allowed.is_empty() { Origins::Any } else { Origins::Only(allowed) }
}

fn client_settings(edge: &Edge) -> Settings {
    Settings {
        ping_interval: edge.config.heartbeat_interval(),
        ping_timeout: edge.config.heartbeat_timeout(),
        max_payload_bytes: edge.config.frame_bytes_max,
        outbox_bytes_max: edge.config.outbox_bytes_max,
        sessions_max: edge.config.sockets_max,
        frames_per_second_max: edge.config.frames_per_second_max,
        origins: edge.origins.clone(),
        ..Settings::default()
    }
}

/// What is told in a small JSON body, if in any.
fn json_routes() -> Router<Arc<Edge>> {
    Router::new()
        .route("/api/conversations/{id}", patch(rest::responder::steer).options(preflight))
        .route("/api/conversations/{id}/take", post(rest::responder::take).options(preflight))
        .route("/api/conversations/{id}/release", post(rest::responder::release).options(preflight))
        .route("/api/appointments", get(rest::appointments::list).options(preflight))
        .route(
            "/api/appointments/{id}",
            get(rest::appointments::show).patch(rest::appointments::change).options(preflight),
        )
        .layer(DefaultBodyLimit::max(rest::BODY_BYTES_MAX))
}

fn routes(edge: &Arc<Edge>) -> Router {
    let rest = Router::new()
        .route("/api/conversations", get(rest::conversations).options(preflight))
        .route("/api/conversations/{id}/messages", get(rest::messages).options(preflight))
        .route("/api/events", get(fallback::events).options(preflight))
        .route("/api/whatsapp/qr", get(device::qr).options(preflight))
        .route("/api/whatsapp/get_conversations", get(device::conversations).options(preflight))
        .route("/api/whatsapp/get_messages", get(device::messages).options(preflight))
        .route("/api/media", post(upload::upload).options(preflight))
        .route("/api/whatsapp/media", post(device::upload).options(preflight))
        .merge(json_routes())
        // Uploads have limits of their own, by type.
        .layer(DefaultBodyLimit::disable());
    let rest = rest.with_state(edge.clone());
    let rest = match edge.files.shown(&edge.bus) {
        Some((store, urls, on_missing)) => rest.merge(chasqui_media::routes(store, urls, on_missing)),
        None => rest,
    };
    rest.layer(cross_origin(&edge.origins))
}

fn socket_routes(edge: &Arc<Edge>) -> Router {
    let stream = get(fallback::open_stream).options(preflight).layer(cross_origin(&edge.origins));
    let routes =
        Router::new().route("/ws", get(json::at_ws)).route("/", get(json::at_root)).route("/sse", stream);
    routes.with_state(edge.clone())
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
        // WAB-08. Whoever admits every page admits none with credentials.
        .allow_credentials(matches!(origins, Origins::Only(_)))
        .allow_methods([Method::GET, Method::POST, Method::PATCH])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, fallback::LAST_EVENT_ID])
        .max_age(PREFLIGHT_AGE)
}
