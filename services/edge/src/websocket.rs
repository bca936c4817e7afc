//! The JSON WebSocket at `/ws`: staff front ends, in dialect `crm`. One task a socket.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{
        Query, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use chasqui_kit::Coded;
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::time::{Interval, MissedTickBehavior, timeout};

use crate::{
    auth::Identity,
    close::CloseCode,
    dialect::{
        Dialect,
        crm::{self, Command},
    },
    event::Event,
    feed::{Greeting, Member, Membership},
    hub::{Cursor, Wish},
    outbox::{Delivery, Frame, Outbox},
    scope::Scope,
    service::{Edge, SocketPlace},
    speech,
};

/// Subprotocols a client may ask for beside its token; the first of them is answered, the token never.
const SUBPROTOCOLS: [&str; 2] = ["chasqui", "echo-protocol"];
/// What the socket reads at once. Every idle socket owns this much.
const READ_BUFFER_BYTES: usize = 1_024;
/// How many bytes are gathered before they are written. Grown by the first burst, not owned by an idle socket.
const WRITE_BUFFER_BYTES: usize = 8 * 1_024;
/// How long one write to a socket may take before the client counts as gone.
const WRITE_WAIT: Duration = Duration::from_secs(10);

/// What a client may say in the URL.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Parameters {
    token: Option<String>,
    epoch: Option<String>,
    since: Option<u64>,
}

impl Parameters {
    fn cursor(&self) -> Option<Cursor> {
        Some(Cursor { epoch: self.epoch.clone()?, seq: self.since? })
    }
}

/// `GET /ws`
pub(crate) async fn open(
    State(edge): State<Arc<Edge>>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !edge.admits_origin(&headers) {
        return (StatusCode::FORBIDDEN, "this origin may not connect\n").into_response();
    }
    let Some(place) = edge.take_place() else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], "the node is full\n")
            .into_response();
    };
    let token = parameters.token.clone().or_else(|| token_of_subprotocols(&headers));
    let bytes_max = edge.config.frame_bytes_max;
    upgrade
        .protocols(SUBPROTOCOLS)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_frame_size(bytes_max)
        .max_message_size(bytes_max)
        .on_upgrade(move |socket| {
            // The task that answered the request ends here; this one is the socket's.
            let tasks = edge.tasks.clone();
            let socket = Box::pin(converse(edge, socket, token, parameters.cursor(), place));
            tasks.track_future(socket)
        })
}

/// BEN-02: the token stands beside the subprotocol, or alone.
fn token_of_subprotocols(headers: &HeaderMap) -> Option<String> {
    let offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    offered.split(',').map(str::trim).find(|item| !SUBPROTOCOLS.contains(item)).map(str::to_owned)
}

/// The member that a socket's feed shows events to.
#[derive(Debug)]
struct Staff {
    outbox: Arc<Outbox>,
    node: String,
    heartbeat_ms: u64,
}

impl Member for Staff {
    fn greet(&self, greeting: &Greeting) {
        let frame = crm::connected(greeting, &self.node, self.heartbeat_ms);
        let _ = self.outbox.push(frame, Delivery::Reply);
    }

    fn deliver(&self, event: &Arc<Event>) {
        if let Some(frame) = event.frame(Dialect::Crm) {
            // A full outbox closes itself, and the socket's task sees that.
            let _ = self.outbox.push(frame.clone(), Delivery::Reply);
        }
    }

    fn dismiss(&self) {
        self.outbox.close(CloseCode::SLOW_CONSUMER);
    }
}

async fn converse(
    edge: Arc<Edge>,
    mut socket: WebSocket,
    token: Option<String>,
    cursor: Option<Cursor>,
    _place: SocketPlace,
) {
    let refused = match Box::pin(introduce(&edge, &mut socket, token, cursor)).await {
        Ok(Some((identity, outbox, membership))) => {
            Session { edge: &edge, socket: &mut socket, identity, outbox, membership, heard: Instant::now() }
                .run()
                .await
        }
        Ok(None) => return,
        Err(code) => code,
    };
    metrics::counter!("chasqui_edge_closes_total", "dialect" => "crm", "reason" => refused.reason)
        .increment(1);
    let frame = CloseFrame { code: refused.code, reason: refused.reason.into() };
    drop(timeout(WRITE_WAIT, socket.send(Message::Close(Some(frame)))).await);
}

type Introduced = (Identity, Arc<Outbox>, Membership);

/// Learns who the client is and lets it into its tenant's feed; `None` when it left meanwhile.
async fn introduce(
    edge: &Arc<Edge>,
    socket: &mut WebSocket,
    token: Option<String>,
    cursor: Option<Cursor>,
) -> Result<Option<Introduced>, CloseCode> {
    let (token, cursor) = match token {
        Some(token) => (token, cursor),
        None => match timeout(edge.config.connect_wait(), first_frame(socket)).await {
            Ok(Some(Ok((token, since)))) => (token, since.or(cursor)),
            Ok(Some(Err(problem))) => {
                return Err(refuse(socket, "invalid_input", &problem, CloseCode::PROTOCOL_ERROR).await);
            }
            Ok(None) => return Ok(None),
            Err(_) => return Err(CloseCode::HANDSHAKE_TIMEOUT),
        },
    };
    let identity = match edge.authenticator.identify(&token) {
        Ok(identity) if identity.is_staff() => identity,
        Ok(_) => {
            return Err(refuse(
                socket,
                "forbidden",
                "a contact's token opens the widget only",
                CloseCode::UNAUTHORIZED,
            )
            .await);
        }
        Err(error) => {
            return Err(refuse(socket, "unauthorized", &error.to_string(), CloseCode::UNAUTHORIZED).await);
        }
    };
    let outbox = Outbox::new(edge.config.outbox_bytes_max);
    let staff: Arc<dyn Member> = Arc::new(Staff {
        outbox: outbox.clone(),
        node: edge.node.to_string(),
        heartbeat_ms: edge.config.heartbeat_interval_ms,
    });
    let wish = cursor.map_or(Wish::Live, Wish::Since);
    match edge.hub.join(&Scope::Tenant(identity.tenant.clone()), staff, &wish).await {
        Ok(membership) => Ok(Some((identity, outbox, membership))),
        Err(error) => {
            tracing::warn!(%error, "a client could not be let in");
            Err(refuse(
                socket,
                error.code().as_str(),
                "the node cannot reach the stream; try again",
                CloseCode::INTERNAL,
            )
            .await)
        }
    }
}

/// Says why in the client's dialect, before the close code says it to its library.
async fn refuse(socket: &mut WebSocket, code: &str, message: &str, close: CloseCode) -> CloseCode {
    drop(timeout(WRITE_WAIT, socket.send(Message::Text(crm::error(code, message)))).await);
    close
}

type FirstFrame = Result<(String, Option<Cursor>), String>;

async fn first_frame(socket: &mut WebSocket) -> Option<FirstFrame> {
    loop {
        let text = match socket.next().await?.ok()? {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Binary(_) => return Some(Err("frames must be text".to_owned())),
            Message::Close(_) => return None,
        };
        return Some(match crm::parse(&text) {
            Ok(Command::Connect { token: Some(token), since }) => Ok((token, since)),
            Ok(_) => Err("the first frame must be {\"type\":\"connect\",\"data\":{\"token\":…}}".to_owned()),
            Err(problem) => Err(problem),
        });
    }
}

/// A connected socket.
struct Session<'a> {
    edge: &'a Arc<Edge>,
    socket: &'a mut WebSocket,
    identity: Identity,
    outbox: Arc<Outbox>,
    membership: Membership,
    /// When the client last said anything.
    heard: Instant,
}

impl Session<'_> {
    /// Until somebody ends it; the code to close with.
    async fn run(mut self) -> CloseCode {
        let mut heartbeat = self.edge.heartbeat();
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Err(code) = self.step(&mut heartbeat).await {
                return code;
            }
        }
    }

    async fn step(&mut self, heartbeat: &mut Interval) -> Result<(), CloseCode> {
        tokio::select! {
            () = self.outbox.ready() => self.flush().await,
            () = self.edge.stop.cancelled() => Err(CloseCode::GOING_AWAY),
            frame = self.socket.next() => {
                self.heard = Instant::now();
                match frame {
                    Some(Ok(Message::Text(text))) => Box::pin(self.obey(text.as_str())).await,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
                    Some(Ok(Message::Binary(_))) => Err(CloseCode::PROTOCOL_ERROR),
                    Some(Ok(Message::Close(_))) | None => Err(CloseCode::CLIENT_LEFT),
                    Some(Err(error)) => Err(code_of(&error)),
                }
            }
            _ = heartbeat.tick() => self.beat().await,
        }
    }

    /// Writes everything that waits, with one flush.
    async fn flush(&mut self) -> Result<(), CloseCode> {
        if let Some(code) = self.outbox.drained() {
            return Err(code);
        }
        let mut frames: Vec<Frame> = Vec::new();
        self.outbox.take_batch(&mut frames);
        let write = async {
            for frame in frames {
                self.socket.feed(frame.into()).await?;
            }
            self.socket.flush().await
        };
        written(&timeout(WRITE_WAIT, write).await)
    }

    /// Protocol ping for liveness, and the position for the client's cursor.
    async fn beat(&mut self) -> Result<(), CloseCode> {
        let silence_max = self.edge.config.heartbeat_interval() + self.edge.config.heartbeat_timeout();
        if self.heard.elapsed() > silence_max {
            return Err(CloseCode::HEARTBEAT_TIMEOUT);
        }
        let seq = self.membership.head();
        self.flush().await?;
        // A heartbeat's position covers everything before it: not to be said while some of that still waits.
        let heartbeat = self.outbox.is_empty().then(|| crm::heartbeat(seq));
        let write = async {
            if let Some(frame) = heartbeat {
                self.socket.feed(Message::Text(frame)).await?;
            }
            self.socket.send(Message::Ping(bytes::Bytes::new())).await
        };
        written(&timeout(WRITE_WAIT, write).await)
    }

    async fn obey(&mut self, text: &str) -> Result<(), CloseCode> {
        let bus = &self.edge.bus;
        let done = match crm::parse(text) {
            Err(problem) => Err(crate::Error::Invalid(problem)),
            Ok(Command::Ping) => return self.reply(crm::pong()),
            Ok(Command::Connect { .. }) => {
                Err(crate::Error::Invalid("type: the connection stands already".to_owned()))
            }
            Ok(Command::SendMessage { conversation, text, client_id }) => {
                match speech::agent_wrote(bus, &self.identity, conversation, text).await {
                    Ok(accepted) => {
                        let frame =
                            crm::message_accepted(client_id.as_ref(), &accepted.message_id, accepted.seq);
                        return self.reply(frame);
                    }
                    Err(error) => Err(error),
                }
            }
            Ok(Command::MarkRead { conversation }) => {
                speech::agent_read(bus, &self.identity, conversation).await
            }
        };
        match done {
            Ok(()) => Ok(()),
            Err(error) => self.reply(crm::error(error.code().as_str(), &error.to_string())),
        }
    }

    fn reply(&self, frame: axum::extract::ws::Utf8Bytes) -> Result<(), CloseCode> {
        self.outbox.push(frame, Delivery::Reply).map(drop).map_err(|_| CloseCode::SLOW_CONSUMER)
    }
}

fn written(result: &Result<Result<(), axum::Error>, tokio::time::error::Elapsed>) -> Result<(), CloseCode> {
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(CloseCode::CLIENT_LEFT),
        Err(_) => Err(CloseCode::SLOW_CONSUMER),
    }
}

/// What a broken frame means.
fn code_of(error: &axum::Error) -> CloseCode {
    let text = error.to_string();
    // The library behind axum names its error only in words.
    if text.contains("too long") || text.contains("too big") || text.contains("exceeds") {
        CloseCode::FRAME_TOO_LARGE
    } else if text.contains("protocol") || text.contains("UTF-8") || text.contains("utf-8") {
        CloseCode::PROTOCOL_ERROR
    } else {
        CloseCode::CLIENT_LEFT
    }
}
