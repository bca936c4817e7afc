//! What other nodes ask of this one, and what they send over its bridges.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::Subscriber;
use chasqui_proto::{
    subject::{self, NodeToken},
    v1::{
        BridgeSegment, Forgotten, Forward, ForwardAnswer, ForwardKind, ForwardOutcome, ForwardRequest,
        forward::What,
    },
};
use futures::StreamExt;
use prost::Message;
use tokio::{select, sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{NatsPeers, Withdrawals, lock, segment};
use crate::engineio::{Bridge, Protocol, Question, Refusal, Server};

/// How many requests of other nodes wait here at once; most are polls that hang. More are told that we are busy.
const REQUESTS_MAX: usize = 32_768;

/// Time to tell other nodes that this one stops.
const FAREWELL_WAIT: Duration = Duration::from_secs(2);

/// Where other nodes' messages are worked off.
struct Desk<P> {
    peers: Arc<NatsPeers>,
    server: Server<P>,
    /// The requests that may still be withdrawn.
    hanging: Arc<Mutex<Withdrawals>>,
    places: Arc<Semaphore>,
}

impl NatsPeers {
    /// Works off what other nodes send until stopped; then the bridges are closed. Stop it after the server has ended,
    /// so that other nodes' clients hear why.
    pub async fn serve<P: Protocol>(
        self: Arc<Self>,
        mut inbox: Subscriber,
        server: Server<P>,
        stop: CancellationToken,
    ) {
        let places = Arc::new(Semaphore::new(REQUESTS_MAX));
        let desk = Desk { peers: self, server, hanging: Arc::default(), places };
        let mut disruptions = desk.peers.bus.disruptions();
        loop {
            select! {
                () = stop.cancelled() => break,
                changed = disruptions.changed() => {
                    // Segments may be missing, and requests that say so to nobody.
                    desk.peers.neighbours.lose_all();
                    if changed.is_err() {
                        break;
                    }
                }
                message = inbox.next() => match message {
                    Some(message) => desk.take(message),
                    None => break,
                },
            }
        }
        // The server has ended, so all that is left is to say so.
        let Desk { peers, .. } = desk;
        peers.tasks.close();
        if timeout(FAREWELL_WAIT, peers.tasks.wait()).await.is_err() {
            peers.neighbours.lose_all();
            peers.tasks.wait().await;
        }
    }
}

impl<P: Protocol> Desk<P> {
    /// Works off one message at once, or begins to.
    fn take(&self, message: async_nats::Message) {
        let forward = match Forward::decode(message.payload.clone()) {
            Ok(forward) => forward,
            Err(error) => {
                tracing::warn!(%error, "another node's message cannot be decoded");
                return;
            }
        };
        match forward.what {
            Some(What::Request(request)) => self.request(request, message.reply),
            Some(What::Withdrawn(id)) => {
                if let Some(withdrawn) = lock(&self.hanging).remove(&id) {
                    withdrawn.cancel();
                }
            }
            Some(What::Forgotten(Forgotten { node, ids })) => {
                self.peers.neighbours.forgotten(&NodeToken::new(&node), &ids);
            }
            Some(What::Segment(segment)) => self.segment(segment, message.reply),
            None => tracing::warn!("another node sent something this version does not know"),
        }
    }

    fn request(&self, request: ForwardRequest, reply: Option<async_nats::Subject>) {
        let Some(reply) = reply else { return };
        let question = match request.kind() {
            ForwardKind::Poll => Question::Poll,
            ForwardKind::Post => Question::Post(request.body),
            ForwardKind::Bridge => return self.respond(reply, self.bridge(request)),
            ForwardKind::Ping => return self.looked_at(reply, request),
            ForwardKind::Unspecified => return self.respond(reply, Err(Refusal::BadRequest)),
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return self.respond(reply, Err(Refusal::Busy));
        };
        let withdrawn = CancellationToken::new();
        lock(&self.hanging).insert(request.id.clone(), withdrawn.clone());
        let (server, hanging, peers) = (self.server.clone(), self.hanging.clone(), self.peers.clone());
        self.peers.tasks.spawn(async move {
            let answer = withdrawn.run_until_cancelled(server.answer(&request.session_id, question)).await;
            if let Some(answer) = answer {
                peers.answer(reply, answer).await;
            }
            // Not before the answer is on its way: who asks whether the request is known must have heard it by then.
            lock(&hanging).remove(&request.id);
            drop(place);
        });
    }

    fn bridge(&self, request: ForwardRequest) -> Result<String, Refusal> {
        let (ours, theirs) = Bridge::pair();
        self.server.take_over(&request.session_id, theirs)?;
        let segments = self.peers.enter(&request.id);
        self.peers.carry(request.id, &NodeToken::new(&request.node), segments, ours);
        Ok(String::new())
    }

    fn segment(&self, segment: BridgeSegment, reply: Option<async_nats::Subject>) {
        let mut bridges = lock(&self.peers.bridges);
        match (bridges.get(&segment.bridge), reply) {
            (Some(way), _) => {
                let bridge = segment.bridge.clone();
                if way.try_send(segment).is_err() {
                    // Too much at once, which the window forbids, or it ends right now: its carrier hears of both.
                    bridges.remove(&bridge);
                }
            }
            // Who sends to a bridge that is not here should know.
            (None, Some(reply)) if !segment.closed => {
                let closed = BridgeSegment { bridge: segment.bridge, ..segment::closed(None) };
                let forward = Forward { what: Some(What::Segment(closed)) };
                self.publish(reply, forward.encode_to_vec());
            }
            (None, _) => {}
        }
    }

    /// Another node asks whether this one is there, and what of the ids it holds is not here.
    fn looked_at(&self, reply: async_nats::Subject, request: ForwardRequest) {
        let ForwardRequest { node, held: mut ids, .. } = request;
        {
            let (bridges, hanging) = (lock(&self.peers.bridges), lock(&self.hanging));
            ids.retain(|id| !bridges.contains_key(id) && !hanging.contains_key(id));
        }
        if !ids.is_empty() {
            let to = subject::edge_engineio(&NodeToken::new(&node));
            let forgotten = Forgotten { node: self.peers.name.to_string(), ids };
            let forward = Forward { what: Some(What::Forgotten(forgotten)) };
            self.publish(to.as_str().into(), forward.encode_to_vec());
        }
        self.respond(reply, Ok(String::new()));
    }

    fn respond(&self, reply: async_nats::Subject, answer: Result<String, Refusal>) {
        let peers = Arc::clone(&self.peers);
        self.peers.tasks.spawn(async move { peers.answer(reply, answer).await });
    }

    fn publish(&self, subject: async_nats::Subject, payload: Vec<u8>) {
        let client = self.peers.bus.client().clone();
        self.peers.tasks.spawn(async move {
            if let Err(error) = client.publish(subject, payload.into()).await {
                tracing::debug!(%error, "another node was not told");
            }
        });
    }
}

impl NatsPeers {
    async fn answer(&self, reply: async_nats::Subject, answer: Result<String, Refusal>) {
        let (outcome, payload) = match answer {
            Ok(payload) => (ForwardOutcome::Done, payload),
            Err(Refusal::UnknownSession) => (ForwardOutcome::UnknownSession, String::new()),
            Err(Refusal::Busy) => (ForwardOutcome::Busy, String::new()),
            Err(_) => (ForwardOutcome::BadRequest, String::new()),
        };
        let answer = ForwardAnswer { outcome: outcome.into(), payload };
        if let Err(error) = self.bus.client().publish(reply.clone(), answer.encode_to_vec().into()).await {
            tracing::warn!(%error, "an answer for another node's client was not sent; the client begins anew");
            // Perhaps it was too large; this one is not. If the broker is away, the client's request runs out.
            let refused =
                ForwardAnswer { outcome: ForwardOutcome::BadRequest.into(), payload: String::new() };
            let _ = self.bus.client().publish(reply, refused.encode_to_vec().into()).await;
        }
    }
}
