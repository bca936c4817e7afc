//! The HTTP long-polling transport: requests come from HTTP handlers over a channel and are answered by the session.

use std::future::pending;
use std::time::Duration;

use tokio::select;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::conversation::EndReason;
use super::link::Link;
use super::packet::{self, Packet, PacketError};
use super::refusal::Refusal;
use super::transport::Inbound;
use crate::outbox::Frame;

/// Requests of one session waiting to be looked at; a client has two at a time, one GET and one POST.
pub(super) const REQUESTS_MAX: usize = 4;

/// While a client upgrades, a hanging GET is answered after this time, so that it can go on to the WebSocket. A client
/// that upgrades without waiting for its GET is through before.
const RELEASE_AFTER: Duration = Duration::from_millis(50);

/// The most bytes one GET is answered with, unless a single packet is larger. An answer may have to reach the client by
/// way of another node, in one message of the broker (at most 1 MiB).
const PAYLOAD_BYTES_MAX: usize = 512 * 1024;

/// What a waiting GET gets: a payload.
pub(super) type PollAnswer = oneshot::Sender<Result<String, Refusal>>;

/// A request that arrived for the session.
pub(super) enum Request {
    /// GET: wait for a payload.
    Poll(PollAnswer),
    /// POST: here is one.
    Post(Result<Vec<Packet>, PacketError>, oneshot::Sender<Result<(), Refusal>>),
    /// A WebSocket was probed and may take over.
    Upgrade(oneshot::Receiver<Link>),
}

/// The session's end of its polling requests.
pub(super) struct Polling {
    requests: mpsc::Receiver<Request>,
    poll: Option<PollAnswer>,
    /// A POST that is answered when its packets have been worked off.
    post: Option<oneshot::Sender<Result<(), Refusal>>>,
    upgrade: Option<oneshot::Receiver<Link>>,
    /// When the hanging GET is to be answered for the sake of the upgrade.
    release_at: Instant,
}

impl Polling {
    pub(super) fn new(requests: mpsc::Receiver<Request>) -> Self {
        Self { requests, poll: None, post: None, upgrade: None, release_at: Instant::now() }
    }

    pub(super) async fn next(&mut self) -> Inbound {
        let Self { requests, poll, upgrade, release_at, .. } = self;
        let releasing = poll.is_some() && upgrade.is_some();
        select! {
            biased;
            upgraded = upgraded(upgrade) => {
                self.upgrade = None;
                upgraded.map_or(Inbound::Nothing, |link| Inbound::Upgraded(Box::new(link)))
            }
            () = abandoned(poll) => Inbound::Ended(EndReason::TransportClosed),
            request = requests.recv() => match request {
                Some(request) => self.take(request),
                None => Inbound::Ended(EndReason::TransportClosed),
            },
            () = sleep_until(*release_at), if releasing => {
                self.answer_poll(packet::NOOP.to_owned());
                Inbound::Nothing
            }
        }
    }

    fn take(&mut self, request: Request) -> Inbound {
        match request {
            Request::Poll(answer) if self.poll.is_some() => {
                let _ = answer.send(Err(Refusal::BadRequest));
                Inbound::Ended(EndReason::ParseError)
            }
            Request::Poll(answer) => {
                self.poll = Some(answer);
                self.release_at = Instant::now() + RELEASE_AFTER;
                Inbound::Nothing
            }
            Request::Post(Ok(packets), answer) if self.post.is_none() => Inbound::Payload(packets, answer),
            Request::Post(_, answer) => {
                let _ = answer.send(Err(Refusal::BadRequest));
                Inbound::Ended(EndReason::ParseError)
            }
            Request::Upgrade(upgrade) => {
                // While one upgrade runs a second one is dropped, which its probe notices.
                self.upgrade.get_or_insert(upgrade);
                self.release_at = Instant::now() + RELEASE_AFTER;
                Inbound::Nothing
            }
        }
    }

    pub(super) fn is_writable(&self) -> bool {
        self.poll.is_some()
    }

    /// Whether one GET can be answered with all these frames.
    pub(super) fn fits(frames: &[Frame]) -> bool {
        fitting(frames) == frames.len()
    }

    /// Answers the hanging GET with what fits, and leaves the rest. A client that has gone meanwhile is noticed by its
    /// silence.
    pub(super) fn write(&mut self, frames: &mut Vec<Frame>) -> Result<(), EndReason> {
        let count = fitting(frames);
        let payload = packet::join_payload(frames.drain(..count));
        if self.answer_poll(payload) { Ok(()) } else { Err(EndReason::TransportClosed) }
    }

    pub(super) fn hold_post(&mut self, answer: oneshot::Sender<Result<(), Refusal>>) {
        self.post = Some(answer);
    }

    pub(super) fn holds_post(&self) -> bool {
        self.post.is_some()
    }

    pub(super) fn answer_post(&mut self) {
        if let Some(answer) = self.post.take() {
            let _ = answer.send(Ok(()));
        }
    }

    /// Ends the hanging requests: with a close packet, or with nothing when the client closed by itself.
    pub(super) fn close(&mut self, tell: bool) {
        self.answer_post();
        self.answer_poll(if tell { packet::CLOSE } else { packet::NOOP }.to_owned());
    }

    fn answer_poll(&mut self, payload: String) -> bool {
        self.poll.take().is_some_and(|poll| poll.send(Ok(payload)).is_ok())
    }
}

/// How many of the frames one GET is answered with: at least one.
fn fitting(frames: &[Frame]) -> usize {
    let mut bytes = 0;
    let fits = |frame: &&Frame| {
        bytes += packet::payload_len(frame);
        bytes <= PAYLOAD_BYTES_MAX
    };
    frames.iter().take_while(fits).count().max(frames.len().min(1))
}

async fn upgraded(upgrade: &mut Option<oneshot::Receiver<Link>>) -> Result<Link, oneshot::error::RecvError> {
    match upgrade {
        Some(upgrade) => upgrade.await,
        None => pending().await,
    }
}

async fn abandoned(poll: &mut Option<PollAnswer>) {
    match poll {
        Some(poll) => poll.closed().await,
        None => pending().await,
    }
}
