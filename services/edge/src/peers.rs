//! The other edge nodes, over NATS: requests for sessions of theirs and ours, and the WebSockets lent between nodes.
//!
//! A node has one subject, which all others send to; so the order is kept, and no node waits for a subscription to be
//! known everywhere. Its name there is new with each process: what is sent to a process that has ended reaches nobody,
//! and the broker says so.

mod carrier;
mod desk;
mod neighbours;
mod segment;
mod sequence;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::Subscriber;
use bytes::Bytes;
use chasqui_kit::{Bus, TraceContext, request::RequestError};
use chasqui_proto::{
    subject::{self, NodeToken},
    v1::{BridgeSegment, Forward, ForwardAnswer, ForwardKind, ForwardOutcome, ForwardRequest, forward::What},
};
use futures::future::BoxFuture;
use prost::Message;
use tokio::{select, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    engineio::{Bridge, Peers, Question, Refusal, random_id},
    error::Error,
};
use carrier::{Carrier, SEGMENTS_MAX};
use neighbours::{ANSWER_WAIT, Neighbours, Sign};
use sequence::Sequence;

/// Time a node has to build its end of a bridge.
const BRIDGE_WAIT: Duration = Duration::from_secs(5);

/// This node among the others.
pub struct NatsPeers {
    bus: Bus,
    name: NodeToken,
    neighbours: Neighbours,
    /// The way into each bridge that ends here. Its carrier takes it out when it ends.
    bridges: Arc<Mutex<HashMap<String, mpsc::Sender<BridgeSegment>>>>,
    tasks: TaskTracker,
}

impl fmt::Debug for NatsPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsPeers").field("name", &self.name).finish_non_exhaustive()
    }
}

impl NatsPeers {
    /// Takes a name and listens under it; [`Self::serve`] works off what is heard.
    pub async fn listen(bus: &Bus, node: &NodeToken) -> Result<(Arc<Self>, Subscriber), Error> {
        // The random part first: a name that is cut keeps it.
        let name = NodeToken::new(&format!("{:08x}-{node}", rand::random::<u32>()));
        let subscribed = bus.client().subscribe(subject::edge_engineio(&name).as_str().to_owned()).await;
        let inbox = subscribed.map_err(|error| Error::Subscribe(error.to_string()))?;
        let tasks = TaskTracker::new();
        let (looking, own) = (bus.clone(), name.clone());
        let look = Box::new(move |name, ids| -> BoxFuture<'static, Sign> {
            Box::pin(look(looking.clone(), own.clone(), name, ids))
        });
        let neighbours = Neighbours::new(look, tasks.clone());
        let peers = Self { bus: bus.clone(), name, neighbours, bridges: Arc::default(), tasks };
        Ok((Arc::new(peers), inbox))
    }

    /// Carries a bridge to `neighbour` under `id`, once the other end has been told that id.
    fn carry(&self, id: String, neighbour: &NodeToken, segments: mpsc::Receiver<BridgeSegment>, end: Bridge) {
        let carrier = Carrier {
            tie: self.neighbours.tie(neighbour, &id),
            id: id.clone(),
            bus: self.bus.clone(),
            name: self.name.clone(),
            segments,
            end,
            sequence: Sequence::default(),
            unsent: VecDeque::new(),
            undelivered: VecDeque::new(),
        };
        let bridges = Arc::clone(&self.bridges);
        metrics::gauge!("chasqui_edge_bridges").increment(1);
        self.tasks.spawn(async move {
            carrier.run().await;
            lock(&bridges).remove(&id);
            metrics::gauge!("chasqui_edge_bridges").decrement(1);
        });
    }

    /// The way into a bridge, before its carrier runs.
    fn enter(&self, id: &str) -> mpsc::Receiver<BridgeSegment> {
        let (sender, segments) = mpsc::channel(SEGMENTS_MAX);
        lock(&self.bridges).insert(id.to_owned(), sender);
        segments
    }

    async fn request(
        &self,
        owner: &str,
        request: ForwardRequest,
        limit: Duration,
    ) -> Result<String, Refusal> {
        let owner = NodeToken::new(owner);
        let kind = request.kind();
        let mut disruptions = self.bus.disruptions();
        disruptions.mark_unchanged();
        let id = request.id.clone();
        let mut hanging = Hanging { peers: self, owner: &owner, id: id.clone(), told: false };
        let answer = select! {
            // In this order: a request is tied once it is on its way, and an answer that is here counts.
            biased;
            answer = send(&self.bus, &owner, request, limit) => answer.map_err(|error| outcome_of(&error)),
            // The answer may be among what was lost.
            _ = disruptions.changed() => Err(ForwardOutcome::Unspecified),
            () = async { self.neighbours.tie(&owner, &id).cut().await } => Err(ForwardOutcome::Unspecified),
        };
        hanging.told = !matches!(answer, Err(ForwardOutcome::Unspecified));
        let (outcome, payload) = match answer {
            Ok(answer) => (answer.outcome(), answer.payload),
            Err(outcome) => (outcome, String::new()),
        };
        let labels = [("kind", kind.as_str_name()), ("outcome", outcome.as_str_name())];
        metrics::counter!("chasqui_edge_forwarded_requests_total", &labels).increment(1);
        match outcome {
            ForwardOutcome::Done => Ok(payload),
            ForwardOutcome::BadRequest => Err(Refusal::BadRequest),
            ForwardOutcome::Busy => Err(Refusal::Busy),
            // Also what became of the owner nobody knows: the client opens a session elsewhere.
            ForwardOutcome::UnknownSession | ForwardOutcome::Unspecified => Err(Refusal::UnknownSession),
        }
    }

    fn question(&self, kind: ForwardKind, session_id: &str, body: Bytes) -> ForwardRequest {
        let (id, node, session_id) = (random_id(), self.name.to_string(), session_id.to_owned());
        ForwardRequest { id, kind: kind.into(), session_id, node, body, held: Vec::new() }
    }
}

impl Peers for NatsPeers {
    fn name(&self) -> &str {
        self.name.as_str()
    }

    fn ask<'a>(
        &'a self,
        owner: &'a str,
        session_id: &'a str,
        question: Question,
        limit: Duration,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        Box::pin(async move {
            let (kind, body) = match question {
                Question::Poll => (ForwardKind::Poll, Bytes::new()),
                Question::Post(body) => (ForwardKind::Post, body),
            };
            let request = self.question(kind, session_id, body);
            self.request(owner, request, limit).await
        })
    }

    fn bridge<'a>(&'a self, owner: &'a str, session_id: &'a str) -> BoxFuture<'a, Result<Bridge, Refusal>> {
        Box::pin(async move {
            let request = self.question(ForwardKind::Bridge, session_id, Bytes::new());
            let id = request.id.clone();
            let entered = Entered { peers: self, id: &id, kept: false };
            let segments = self.enter(&id);
            self.request(owner, request, BRIDGE_WAIT).await?;
            let (ours, theirs) = Bridge::pair();
            entered.keep();
            self.carry(id.clone(), &NodeToken::new(owner), segments, theirs);
            Ok(ours)
        })
    }
}

/// A request on its way; when its client goes away before the answer, the owner is told.
struct Hanging<'a> {
    peers: &'a NatsPeers,
    owner: &'a NodeToken,
    id: String,
    told: bool,
}

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let forward = Forward { what: Some(What::Withdrawn(std::mem::take(&mut self.id))) };
        let subject = subject::edge_engineio(self.owner).as_str().to_owned();
        let client = self.peers.bus.client().clone();
        self.peers.tasks.spawn(async move {
            if let Err(error) = client.publish(subject, forward.encode_to_vec().into()).await {
                tracing::debug!(%error, "nobody was told that a client has gone");
            }
        });
    }
}

/// A bridge that the other end is not known to have; it is forgotten unless it is kept.
struct Entered<'a> {
    peers: &'a NatsPeers,
    id: &'a str,
    kept: bool,
}

impl Entered<'_> {
    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if !self.kept {
            lock(&self.peers.bridges).remove(self.id);
        }
    }
}

/// Whether a node is there, and knows of what this one has to do with it.
async fn look(bus: Bus, own: NodeToken, name: NodeToken, held: Vec<String>) -> Sign {
    let node = own.to_string();
    let ping = ForwardRequest { kind: ForwardKind::Ping.into(), node, held, ..ForwardRequest::default() };
    match send(&bus, &name, ping, ANSWER_WAIT).await {
        Ok(_) => Sign::There,
        Err(RequestError::NoResponders(_)) => Sign::Gone,
        Err(_) => Sign::Silent,
    }
}

async fn send(
    bus: &Bus,
    to: &NodeToken,
    request: ForwardRequest,
    limit: Duration,
) -> Result<ForwardAnswer, RequestError> {
    let forward = Forward { what: Some(What::Request(request)) };
    bus.ask_subject(subject::edge_engineio(to).as_str(), &forward, TraceContext::root(), limit).await
}

fn outcome_of(error: &RequestError) -> ForwardOutcome {
    if matches!(error, RequestError::NoResponders(_)) {
        return ForwardOutcome::UnknownSession;
    }
    tracing::debug!(%error, "the owner of a session did not answer");
    ForwardOutcome::Unspecified
}

fn lock<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code under this lock can leave the map half changed.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a request's client withdrew, by the request's id.
type Withdrawals = HashMap<String, CancellationToken>;
