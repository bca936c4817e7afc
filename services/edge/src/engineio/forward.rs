//! What lands on the wrong node: requests for sessions of other nodes, and other nodes' requests for sessions of ours.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use chasqui_websocket::Upgrade;
use http::Method;
use http::request::Parts;
use tokio::sync::{mpsc, oneshot};

use super::bridge::Bridge;
use super::conversation::Protocol;
use super::link::Link;
use super::packet::Packet;
use super::peers::{self, Peers, Question};
use super::polling::Request;
use super::refusal::Refusal;
use super::registry::Reach;
use super::server::{Server, Shared, payload, received};
use super::{relay, upgrade, websocket};

/// What the way between two nodes may add to the longest time a session lets a GET hang, or a POST wait.
const WAY_TIME_MAX: Duration = Duration::from_secs(2);

/// A session of another node.
pub(super) struct Elsewhere {
    peers: Arc<dyn Peers>,
    owner: Box<str>,
    session_id: Box<str>,
}

impl<P: Protocol> Server<P> {
    /// Answers for a session of this node what a client asked at another node. A GET whose future is dropped counts as
    /// cancelled by its client.
    pub async fn answer(&self, session_id: &str, question: Question) -> Result<String, Refusal> {
        let Reach::Polling(requests) = self.shared.registry.find(session_id)? else {
            return Err(Refusal::BadRequest);
        };
        match question {
            Question::Poll => poll(&requests).await,
            Question::Post(body) => post(&requests, &body).await.map(|()| String::new()),
        }
    }

    /// Lets a WebSocket that another node holds take over a session of this node, once it has been probed.
    pub fn take_over(&self, session_id: &str, bridge: Bridge) -> Result<(), Refusal> {
        let Reach::Polling(requests) = self.shared.registry.find(session_id)? else {
            return Err(Refusal::BadRequest);
        };
        let limit = self.shared.settings.upgrade_timeout;
        self.shared.tasks.spawn(upgrade::run(Link::from(bridge), requests, limit));
        Ok(())
    }
}

impl<P: Protocol> Shared<P> {
    /// Where a session that is not here is, if there is any such place.
    pub(super) fn elsewhere(&self, session_id: &str) -> Result<Elsewhere, Refusal> {
        let unknown = Refusal::UnknownSession;
        let peers = self.settings.peers.as_ref().ok_or(unknown)?;
        let owner = peers::owner(session_id).filter(|owner| *owner != peers.name()).ok_or(unknown)?;
        Ok(Elsewhere { peers: Arc::clone(peers), owner: owner.into(), session_id: session_id.into() })
    }

    /// Has a request answered by the session's owner.
    pub(super) async fn forward(
        &self,
        elsewhere: Elsewhere,
        parts: &Parts,
        body: Body,
    ) -> Result<Response, Refusal> {
        let (question, limit) = match parts.method {
            Method::GET => (Question::Poll, self.settings.ping_interval + self.settings.ping_timeout),
            Method::POST => (Question::Post(self.body(parts, body).await?), self.settings.ping_timeout),
            _ => return Err(Refusal::BadRequest),
        };
        let polls = question == Question::Poll;
        let Elsewhere { peers, owner, session_id } = elsewhere;
        let packets = peers.ask(&owner, &session_id, question, limit + WAY_TIME_MAX).await?;
        Ok(if polls { payload(packets) } else { received() })
    }

    /// Lends a WebSocket to a session of another node.
    pub(super) async fn lend(&self, elsewhere: Elsewhere, upgrade: Upgrade) -> Result<Response, Refusal> {
        let Elsewhere { peers, owner, session_id } = elsewhere;
        let place = Arc::clone(&self.lent).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let bridge = match peers.bridge(&owner, &session_id).await {
            Ok(bridge) => bridge,
            // It has one already.
            Err(Refusal::BadRequest) => return Ok(websocket::turn_away(upgrade)),
            Err(refusal) => return Err(refusal),
        };
        let (limit, stop, task) = (self.settings.write_timeout, self.stop.clone(), self.tasks.token());
        let upgrade = websocket::bounded(upgrade, self.settings.max_payload_bytes);
        Ok(upgrade.on_upgrade(move |socket| async move {
            relay::run(socket, bridge, limit, stop).await;
            drop((place, task));
        }))
    }
}

/// Waits for packets of a session.
pub(super) async fn poll(requests: &mpsc::Sender<Request>) -> Result<String, Refusal> {
    let (answer, answered) = oneshot::channel();
    requests.send(Request::Poll(answer)).await.map_err(|_| Refusal::UnknownSession)?;
    answered.await.unwrap_or(Err(Refusal::BadRequest))
}

/// Hands packets to a session, and waits until it has room for more.
pub(super) async fn post(requests: &mpsc::Sender<Request>, body: &Bytes) -> Result<(), Refusal> {
    // What is not UTF-8 is no packet either; the session hears of it and ends.
    let packets = Packet::parse_payload(str::from_utf8(body).unwrap_or_default());
    let (answer, answered) = oneshot::channel();
    requests.send(Request::Post(packets, answer)).await.map_err(|_| Refusal::UnknownSession)?;
    answered.await.unwrap_or(Err(Refusal::BadRequest))
}
