//! Carries one end of a bridge over NATS: numbered both ways, never more on the way than a window.

use std::collections::VecDeque;

use chasqui_kit::Bus;
use chasqui_proto::{
    subject::{self, NodeToken},
    v1::{BridgeSegment, Forward, forward::What},
};
use prost::Message;
use tokio::{select, sync::mpsc};

use super::{
    neighbours::Tie,
    segment,
    sequence::{Sequence, WINDOW},
};
use crate::engineio::{Bridge, Carried};

/// Segments of one bridge that nobody has looked at: what the window allows, as much again of confirmations, the last.
pub(super) const SEGMENTS_MAX: usize = 2 * WINDOW + 1;

/// One end of a bridge and the way to the other.
pub(super) struct Carrier {
    pub(super) id: String,
    pub(super) bus: Bus,
    /// This node.
    pub(super) name: NodeToken,
    /// To the node at the other end.
    pub(super) tie: Tie,
    /// What the other end sends; closed when it was too much.
    pub(super) segments: mpsc::Receiver<BridgeSegment>,
    pub(super) end: Bridge,
    pub(super) sequence: Sequence,
    /// What the other end is still to be sent.
    pub(super) unsent: VecDeque<BridgeSegment>,
    /// What the engine has still to be given.
    pub(super) undelivered: VecDeque<Carried>,
}

/// Why a bridge ends, from this end's point of view.
enum End {
    /// The other end has said so, or cannot be told: it asks, and hears that the bridge is not here.
    Quiet,
    /// The other end must be told.
    Tell(BridgeSegment),
}

enum Happened {
    Cut,
    /// `None`: more than the window allows.
    Arrived(Option<BridgeSegment>),
    /// The engine took a piece.
    Given {
        last: bool,
    },
    /// `None`: the engine dropped its end.
    Said(Option<Carried>),
    EngineGone,
}

impl Carrier {
    /// Carries until one end closes or the way is gone. Dropping the engine's end of the bridge tells the engine.
    pub(super) async fn run(mut self) {
        loop {
            match self.step().await {
                Ok(()) => {}
                Err(End::Quiet) => return,
                Err(End::Tell(closed)) => {
                    let _ = self.send(closed).await;
                    return;
                }
            }
        }
    }

    async fn step(&mut self) -> Result<(), End> {
        while self.sequence.may_send() && !self.unsent.is_empty() {
            let next = self.unsent.pop_front().expect("it is not empty");
            let last = next.closed;
            self.send(next).await?;
            if last {
                return Err(End::Quiet);
            }
        }
        match self.wait().await {
            Happened::Cut | Happened::Given { last: true } => Err(End::Quiet),
            Happened::Arrived(segment) => self.arrived(segment),
            Happened::Given { last: false } => self.given().await,
            Happened::Said(carried) => {
                self.unsent.extend(segment::of_carried(carried.unwrap_or(Carried::Closed(None))));
                Ok(())
            }
            Happened::EngineGone => Err(End::Tell(self.last_words())),
        }
    }

    async fn wait(&mut self) -> Happened {
        let Self { tie, segments, end, unsent, undelivered, .. } = self;
        let (takes, gives) = (unsent.is_empty(), !undelivered.is_empty());
        select! {
            biased;
            // Before the rest: the other end's last words may be here when it knows nothing of the bridge any more.
            segment = segments.recv() => Happened::Arrived(segment),
            () = tie.cut() => Happened::Cut,
            permit = end.outgoing.reserve(), if gives => match (permit, undelivered.pop_front()) {
                (Ok(permit), Some(carried)) => {
                    let last = matches!(carried, Carried::Closed(_));
                    permit.send(carried);
                    Happened::Given { last }
                }
                _ => Happened::EngineGone,
            },
            carried = end.incoming.recv(), if takes => Happened::Said(carried),
            // What the engine said last cannot be sent: the other end does not read.
            () = end.outgoing.closed(), if !takes => Happened::EngineGone,
        }
    }

    async fn given(&mut self) -> Result<(), End> {
        if self.sequence.work_off() {
            self.send_unnumbered(BridgeSegment::default()).await?;
        }
        Ok(())
    }

    fn arrived(&mut self, segment: Option<BridgeSegment>) -> Result<(), End> {
        let Some(segment) = segment else { return Err(End::Tell(segment::closed(None))) };
        if segment.closed && segment.number == 0 {
            // The other end has forgotten the bridge, with its numbers.
            return Err(End::Quiet);
        }
        match self.sequence.arrive(segment.number, segment.received) {
            Ok(true) => {
                if segment.closed {
                    self.tie.rest();
                }
                self.undelivered.push_back(segment::carried(segment));
            }
            Ok(false) => {}
            Err(gap) => {
                tracing::warn!(error = %gap, neighbour = %self.tie.neighbour(), "a lent WebSocket is closed");
                return Err(End::Tell(segment::closed(None)));
            }
        }
        Ok(())
    }

    /// The close that the engine left behind, without the frames before it.
    fn last_words(&mut self) -> BridgeSegment {
        let mut closed = self.unsent.pop_back().filter(|segment| segment.closed);
        while let Ok(carried) = self.end.incoming.try_recv() {
            if let Carried::Closed(goodbye) = carried {
                closed = Some(segment::closed(goodbye));
            }
        }
        closed.unwrap_or_else(|| segment::closed(None))
    }

    async fn send(&mut self, segment: BridgeSegment) -> Result<(), End> {
        let number = self.sequence.send();
        self.send_unnumbered(BridgeSegment { number, ..segment }).await
    }

    async fn send_unnumbered(&mut self, segment: BridgeSegment) -> Result<(), End> {
        let (bridge, received) = (self.id.clone(), self.sequence.tell());
        let segment = BridgeSegment { bridge, received, ..segment };
        let forward = Forward { what: Some(What::Segment(segment)) };
        // With this node as who to tell that the bridge is unknown there.
        let (to, reply) = (subject::edge_engineio(self.tie.neighbour()), subject::edge_engineio(&self.name));
        let sent = self.bus.client().publish_with_reply(
            to.as_str().to_owned(),
            reply.as_str().to_owned(),
            forward.encode_to_vec().into(),
        );
        select! {
            biased;
            sent = sent => sent.map_err(|error| {
                tracing::warn!(%error, "a segment was not sent; its WebSocket is closed");
                End::Tell(segment::closed(None))
            }),
            () = self.tie.cut() => Err(End::Quiet),
        }
    }
}
