//! The HTTP side: which request opens a session, which one belongs to one, which one is refused.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts as _, Request as HttpRequest, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use chasqui_websocket::Upgrade;
use http::request::Parts;
use http::{Method, header};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::conversation::Protocol;
use super::forward;
use super::handshake::{Handshake, query_pairs};
use super::heartbeat::Heartbeat;
use super::link::Link;
use super::peers;
use super::polling::{Polling, REQUESTS_MAX, Request};
use super::refusal::Refusal;
use super::registry::{Reach, Registration, Registry};
use super::session::Session;
use super::settings::{Origins, Settings, random_id};
use super::transport::Transport;
use super::{upgrade, websocket};
use crate::close::CloseCode;
use crate::outbox::{Frame, Outbox};

/// An Engine.IO v4 server for one protocol.
pub struct Server<P> {
    pub(super) shared: Arc<Shared<P>>,
}

impl<P> Clone for Server<P> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

pub(super) struct Shared<P> {
    pub(super) settings: Settings,
    pub(super) registry: Arc<Registry>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    /// Places for the WebSockets that sessions of other nodes use.
    pub(super) lent: Arc<Semaphore>,
    protocol: P,
}

/// A session about to start.
struct Opening {
    handshake: Arc<Handshake>,
    outbox: Arc<Outbox>,
    registration: Registration,
}

impl<P: Protocol> Server<P> {
    /// A server that runs until `stop`: then all sessions are closed as [`CloseCode::GOING_AWAY`] and no more are
    /// opened. Needs a Tokio runtime.
    pub fn new(settings: Settings, protocol: P, stop: CancellationToken) -> Self {
        let (registry, tasks) = (Arc::new(Registry::default()), TaskTracker::new());
        let lent = Arc::new(Semaphore::new(settings.sessions_max.min(Semaphore::MAX_PERMITS)));
        tasks.spawn({
            let (registry, tasks, stop) = (Arc::clone(&registry), tasks.clone(), stop.clone());
            async move {
                stop.cancelled().await;
                registry.stop(CloseCode::GOING_AWAY);
                tasks.close();
            }
        });
        Self { shared: Arc::new(Shared { settings, registry, tasks, stop, lent, protocol }) }
    }

    /// The routes of the server, at the path of its settings.
    pub fn router(&self) -> Router {
        let Settings { path, origins, .. } = &self.shared.settings;
        Router::new().route(path, any(serve::<P>)).with_state(Arc::clone(&self.shared)).layer(cors(origins))
    }

    /// Returns when the server was stopped and every session has ended.
    pub async fn ended(&self) {
        self.shared.tasks.wait().await;
    }
}

async fn serve<P: Protocol>(State(shared): State<Arc<Shared<P>>>, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    shared.answer(parts, body).await.unwrap_or_else(IntoResponse::into_response)
}

impl<P: Protocol> Shared<P> {
    async fn answer(self: Arc<Self>, mut parts: Parts, body: Body) -> Result<Response, Refusal> {
        let query = query_pairs(&parts);
        let parameter = |name| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let websocket = match parameter("transport") {
            Some("websocket") => true,
            Some("polling") => false,
            _ => return Err(Refusal::UnknownTransport),
        };
        let session_id = parameter("sid").filter(|sid| !sid.is_empty());
        let reach = match session_id.map(|sid| (sid, self.registry.find(sid))) {
            None => None,
            Some((_, Ok(reach))) => Some(reach),
            Some((sid, Err(_))) => {
                let elsewhere = self.elsewhere(sid)?;
                if !websocket {
                    return self.forward(elsewhere, &parts, body).await;
                }
                let upgrade = upgrade_of(&mut parts).await?;
                return self.lend(elsewhere, upgrade).await;
            }
        };
        if reach.is_none() && parts.method != Method::GET {
            return Err(Refusal::BadHandshakeMethod);
        }
        let upgrade = if websocket { Some(upgrade_of(&mut parts).await?) } else { None };
        if reach.is_none() && parameter("EIO") != Some("4") {
            return Err(Refusal::UnsupportedVersion);
        }
        match (reach, upgrade) {
            (None, None) => self.open_polling(&parts),
            (None, Some(upgrade)) => self.open_websocket(&parts, upgrade),
            (Some(Reach::Polling(requests)), None) if parts.method == Method::GET => {
                forward::poll(&requests).await.map(payload)
            }
            (Some(Reach::Polling(requests)), None) if parts.method == Method::POST => {
                let body = self.body(&parts, body).await?;
                forward::post(&requests, &body).await.map(|()| received())
            }
            (Some(Reach::Polling(requests)), Some(upgrade)) => Ok(self.upgrade(requests, upgrade)),
            (Some(Reach::WebSocket), Some(upgrade)) => Ok(websocket::turn_away(upgrade)),
            (Some(_), None) => Err(Refusal::BadRequest),
        }
    }

    fn open_polling(self: Arc<Self>, parts: &Parts) -> Result<Response, Refusal> {
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        let opening = self.register(parts, Reach::Polling(sender))?;
        let packet = self.open_packet(&opening, &["websocket"]);
        let transport = Transport::Polling(Box::new(Polling::new(requests)));
        let session = self.session(opening, transport, Vec::new());
        self.tasks.spawn(session.run());
        Ok(payload(packet))
    }

    fn open_websocket(self: Arc<Self>, parts: &Parts, upgrade: Upgrade) -> Result<Response, Refusal> {
        let opening = self.register(parts, Reach::WebSocket)?;
        let task = self.tasks.token();
        let upgrade = websocket::bounded(upgrade, self.settings.max_payload_bytes);
        Ok(upgrade.on_upgrade(move |socket| {
            let replies = vec![self.open_packet(&opening, &[]).into()];
            let session = self.session(opening, Transport::WebSocket(Link::Near(socket)), replies);
            // Boxed, so that the task of the upgrade does not hold room for it twice.
            let running = Box::pin(session.run());
            async move {
                running.await;
                drop(task);
            }
        }))
    }

    fn upgrade(&self, requests: mpsc::Sender<Request>, upgrade: Upgrade) -> Response {
        let (limit, task) = (self.settings.upgrade_timeout, self.tasks.token());
        let upgrade = websocket::bounded(upgrade, self.settings.max_payload_bytes);
        upgrade.on_upgrade(move |socket| async move {
            upgrade::run(Link::Near(socket), requests, limit).await;
            drop(task);
        })
    }

    /// The body of a POST, within its bounds.
    pub(super) async fn body(&self, parts: &Parts, body: Body) -> Result<Bytes, Refusal> {
        if parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/octet-stream") {
            return Err(Refusal::BadRequest);
        }
        let body = timeout(self.settings.write_timeout, to_bytes(body, self.settings.max_payload_bytes));
        body.await.map_err(|_| Refusal::BadRequest)?.map_err(|_| Refusal::TooLarge)
    }

    fn register(&self, parts: &Parts, reach: Reach) -> Result<Opening, Refusal> {
        let secret = random_id();
        let session_id = match &self.settings.peers {
            Some(peers) => peers::session_id(&secret, peers.name()),
            None => secret,
        };
        let handshake = Arc::new(Handshake::new(&session_id, parts)?);
        let outbox = Outbox::new(self.settings.outbox_bytes_max);
        let id = handshake.session_id.clone();
        let registration = self.registry.add(id, Arc::clone(&outbox), reach, self.settings.sessions_max)?;
        Ok(Opening { handshake, outbox, registration })
    }

    fn session(
        &self,
        opening: Opening,
        transport: Transport,
        replies: Vec<Frame>,
    ) -> Session<P::Conversation> {
        let Opening { handshake, outbox, registration } = opening;
        let Settings { ping_interval, ping_timeout, write_timeout, .. } = self.settings;
        Session {
            transport,
            heartbeat: Heartbeat::new(ping_interval, ping_timeout, phase(ping_interval), Instant::now()),
            conversation: self.protocol.open(handshake, Arc::clone(&outbox)),
            outbox,
            registration,
            write_timeout,
            replies,
            parked: VecDeque::new(),
            call: None,
            closing: None,
        }
    }

    fn open_packet(&self, opening: &Opening, upgrades: &[&str]) -> String {
        let handshake = json!({
            "sid": opening.handshake.session_id,
            "upgrades": upgrades,
            "pingInterval": self.settings.ping_interval.as_millis(),
            "pingTimeout": self.settings.ping_timeout.as_millis(),
            "maxPayload": self.settings.max_payload_bytes,
        });
        format!("0{handshake}")
    }
}

async fn upgrade_of(parts: &mut Parts) -> Result<Upgrade, Refusal> {
    Upgrade::from_request_parts(parts, &()).await.map_err(|_| Refusal::BadRequest)
}

/// The answer to a GET.
pub(super) fn payload(packets: String) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=UTF-8"), (header::CACHE_CONTROL, "no-store")];
    (headers, packets).into_response()
}

/// The answer to a POST.
pub(super) fn received() -> Response {
    ([(header::CONTENT_TYPE, "text/html"), (header::CACHE_CONTROL, "no-store")], "ok").into_response()
}

/// When the first ping goes out: somewhere in the second half of the interval, so that sessions opened together do not
/// beat together.
fn phase(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.5..1.0))
}

fn cors(origins: &Origins) -> CorsLayer {
    let layer = CorsLayer::new().allow_methods([Method::GET, Method::POST]);
    let layer = layer.allow_headers(AllowHeaders::mirror_request());
    match origins {
        Origins::Any => layer.allow_origin(AllowOrigin::any()),
        Origins::Only(list) => layer.allow_origin(AllowOrigin::list(list.clone())).allow_credentials(true),
    }
}
