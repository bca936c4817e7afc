//! `GET /sse`: events as they happen, for clients that reconnect by themselves.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderName, header},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use rand::Rng;
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, timeout},
};
use utoipa::IntoParams;

use super::{
    stream::{self, END},
    viewer::{Admitted, Viewer, admit},
};
use crate::{
    auth::Hold,
    close::CloseCode,
    dialect::crm,
    error::Error,
    event::Event,
    feed::{Greeting, Member, Membership},
    hub::{Cursor, Wish},
    outbox::{Delivery, Frame, Outbox},
    rest,
    roster::Stay,
    service::Edge,
    sockets::SocketPlace,
    verdict::Claim,
};

/// Where browsers say what they saw last.
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How long one write may take before the client counts as gone.
const WRITE_WAIT: Duration = Duration::from_secs(10);
/// After how long a client comes back whose stream broke off, milliseconds; drawn, so that not all come at once.
const RETRY_MS: std::ops::Range<u64> = 1_000..3_000;
/// The same for the clients of a node that stops.
const RETRY_ELSEWHERE_MS: std::ops::Range<u64> = 0..5_000;

/// What a client may say in the URL.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// The JWT, for clients that cannot set a header.
    token: Option<String>,
    /// The cursor to go on from, for clients that cannot set `Last-Event-ID`; the header wins.
    since: Option<String>,
    /// `data.session` of the earlier connection, which is then ended.
    session: Option<String>,
}

type Asked = Result<Query<Parameters>, QueryRejection>;

/// Events as they happen
#[utoipa::path(
    get, operation_id = "stream_events", path = "/sse", tag = "events", security(("token" = [])),
    params(("Last-Event-ID" = Option<String>, Header, description = "The cursor to go on from"), Parameters),
    description = "Server-sent events: the frames of dialect crm, each with its cursor as id.",
    responses(
        (status = 200, description = "The stream", content_type = "text/event-stream", body = String),
        (status = 400, description = "A parameter is wrong", body = rest::Refusal),
        (status = 401, description = "The token is missing or refused", body = rest::Refusal),
        (status = 403, description = "The page's origin may not connect, or the user is not staff", body = rest::Refusal),
        (status = 429, description = "The user has too many open connections", body = rest::Refusal),
        (status = 503, description = "The node is full, stops, or cannot read the stream; try again", body = rest::Refusal),
    )
)]
pub(crate) async fn open(State(edge): State<Arc<Edge>>, headers: HeaderMap, asked: Asked) -> Response {
    rest::answer(begin(edge, &headers, asked).await)
}

/// Everything that can be refused is refused with a status, before the stream begins.
async fn begin(edge: Arc<Edge>, headers: &HeaderMap, asked: Asked) -> Result<Response, Error> {
    if !edge.admits_origin(headers) {
        return Err(Error::Forbidden("this origin may not connect"));
    }
    let Query(parameters) =
        asked.map_err(|error| Error::Invalid(format!("token, since, session: {}", error.body_text())))?;
    let cursor = cursor(headers, parameters.since.as_deref())?;
    let place =
        edge.sockets.take_place().map_err(|_| Error::NotNow("this node takes no more connections"))?;
    let Admitted { identity, scope, viewer } = admit(&edge, headers, parameters.token.as_deref()).await?;
    let identity = Arc::new(identity);
    let outbox = Outbox::new(edge.config.outbox_bytes_max);
    let claim = parameters.session.as_deref().and_then(Claim::of_ticket);
    let stay = edge
        .roster
        .enter((&*identity).into(), claim, outbox.clone())
        .map_err(|_| Error::RateLimited("this user has too many open connections; close one first"))?;
    place.attach(&identity, &outbox);
    let screen = Arc::new(Screen {
        viewer,
        outbox: outbox.clone(),
        cursor: Mutex::default(),
        node: edge.node.to_string(),
        heartbeat_ms: edge.config.heartbeat_interval_ms,
        session: stay.ticket().to_string(),
    });
    let wish = cursor.map_or(Wish::Live, Wish::Since);
    let joined = Box::pin(edge.hub.join(&scope, screen.clone(), &wish)).await;
    let membership = joined.map_err(|error| {
        tracing::warn!(%error, "a client could not be let in");
        Error::NotNow("the stream of events cannot be read just now; try again")
    })?;
    let lease = edge.leases.hold(identity.expires_at_ms, &outbox, stream::token_expiring);
    // One chunk on its way: what else there is waits in the outbox, which is bounded.
    let (writer, mut chunks) = mpsc::channel(1);
    let session = Session { screen, membership, writer, _lease: lease, _stay: stay, _place: place };
    edge.tasks.spawn(session.run(edge.heartbeat()));
    let body = futures::stream::poll_fn(move |context| chunks.poll_recv(context));
    let body = futures::StreamExt::map(body, Ok::<Bytes, Infallible>);
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx would gather frames before it sends them.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

fn cursor(headers: &HeaderMap, since: Option<&str>) -> Result<Option<Cursor>, Error> {
    let header = headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?"));
    let named = [("Last-Event-ID", header), ("since", since)];
    let given = named.iter().find_map(|(name, text)| Some((name, text.filter(|text| !text.is_empty())?)));
    let Some((name, text)) = given else { return Ok(None) };
    text.parse().map(Some).map_err(|error| Error::Invalid(format!("{name}: {error}")))
}

/// What the client shows: the member that its feed delivers to.
#[derive(Debug)]
struct Screen {
    viewer: Viewer,
    outbox: Arc<Outbox>,
    /// The cursor of a client that has seen everything so far; begun by the greeting, which comes first.
    cursor: Mutex<Option<Cursor>>,
    node: String,
    heartbeat_ms: u64,
    session: String,
}

impl Screen {
    /// The client's cursor after `what` moved it.
    fn moved(&self, what: impl FnOnce(&mut Cursor)) -> Option<Cursor> {
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let cursor = cursor.as_mut()?;
        what(cursor);
        Some(cursor.clone())
    }

    /// The client's cursor after an event; `None` where it stays.
    fn after(&self, event: &Event) -> Option<Cursor> {
        if let Some(seq) = event.seq {
            return self.moved(|cursor| cursor.seq = seq);
        }
        let epoch = event.mark.as_deref()?.epoch();
        self.moved(|cursor| cursor.epoch = epoch)
    }
}

impl Member for Screen {
    fn greet(&self, greeting: &Greeting) {
        let cursor = Cursor { epoch: greeting.cursor_epoch(), seq: greeting.seq };
        *self.cursor.lock().unwrap_or_else(PoisonError::into_inner) = Some(cursor.clone());
        let frame = crm::connected(greeting, &self.node, self.heartbeat_ms, &self.session);
        let retry = stream::retry(rand::rng().random_range(RETRY_MS));
        let event = retry + &stream::event(&frame, Some(&cursor));
        let _ = self.outbox.push(event, Delivery::Reply);
    }

    fn deliver(&self, event: &Arc<Event>) {
        let Some(frame) = self.viewer.frame(event) else { return };
        let opening = stream::opening(&frame, self.after(event).as_ref());
        // A full outbox closes itself, and the stream's task sees that.
        let _ = self.outbox.push_together(vec![opening.into(), frame.into(), END.into()], event.delivery());
    }

    fn dismiss(&self) {
        self.outbox.close(CloseCode::SLOW_CONSUMER);
    }
}

/// An open stream: one task writes what waits, and beats.
struct Session {
    screen: Arc<Screen>,
    membership: Membership,
    writer: mpsc::Sender<Bytes>,
    _lease: Hold,
    _stay: Stay,
    _place: SocketPlace,
}

impl Session {
    /// Until the client leaves, or somebody ends it.
    async fn run(self, mut heartbeat: Interval) {
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let code = loop {
            if let Err(code) = self.step(&mut heartbeat).await {
                break code;
            }
        };
        metrics::counter!("chasqui_edge_closes_total", "dialect" => "sse", "reason" => code.reason)
            .increment(1);
        let retry = (code == CloseCode::GOING_AWAY)
            .then(|| stream::retry(rand::rng().random_range(RETRY_ELSEWHERE_MS)));
        let _ = self.write((retry.unwrap_or_default() + &stream::closing(code)).into()).await;
    }

    async fn step(&self, heartbeat: &mut Interval) -> Result<(), CloseCode> {
        tokio::select! {
            () = self.screen.outbox.ready() => self.flush().await,
            () = self.writer.closed() => Err(CloseCode::CLIENT_LEFT),
            _ = heartbeat.tick() => self.beat().await,
        }
    }

    /// Writes everything that waits, at once.
    async fn flush(&self) -> Result<(), CloseCode> {
        if let Some(code) = self.screen.outbox.drained() {
            return Err(code);
        }
        let mut frames: Vec<Frame> = Vec::new();
        self.screen.outbox.take_batch(&mut frames);
        let mut chunk = BytesMut::with_capacity(frames.iter().map(Frame::len).sum());
        for frame in &frames {
            chunk.extend_from_slice(frame.payload());
        }
        self.write(chunk.freeze()).await
    }

    async fn beat(&self) -> Result<(), CloseCode> {
        let seq = self.membership.head();
        self.flush().await?;
        // The position covers everything before it: not to be said while some of that still waits.
        let is_written = self.screen.outbox.is_empty();
        let cursor = is_written.then(|| self.screen.moved(|cursor| cursor.seq = seq)).flatten();
        self.write(stream::heartbeat(cursor.as_ref()).into()).await
    }

    async fn write(&self, chunk: Bytes) -> Result<(), CloseCode> {
        if chunk.is_empty() {
            return Ok(());
        }
        match timeout(WRITE_WAIT, self.writer.send(chunk)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(CloseCode::CLIENT_LEFT),
            Err(_) => Err(CloseCode::SLOW_CONSUMER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(last_event_id: &str) -> HeaderMap {
        HeaderMap::from_iter([(LAST_EVENT_ID, last_event_id.parse().unwrap())])
    }

    #[test]
    fn the_header_of_browsers_comes_before_the_query_and_a_mistake_is_named() {
        let at = |seq| Some(Cursor { epoch: "18a".to_owned(), seq });
        assert_eq!(cursor(&headers("18a.7"), Some("18a.5")).unwrap(), at(7));
        assert_eq!(cursor(&headers(""), Some("18a.5")).unwrap(), at(5));
        assert_eq!(cursor(&HeaderMap::new(), Some("")).unwrap(), None);
        for (header, since, names) in [("7", None, "Last-Event-ID"), ("", Some("x"), "since")] {
            let error = cursor(&headers(header), since).unwrap_err().to_string();
            assert!(error.contains(names) && error.contains("<epoch>.<seq>"), "{error}");
        }
    }
}
