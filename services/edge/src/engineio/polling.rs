//! The HTTP long-polling transport: requests come from HTTP handlers over a channel and are answered by the session.

use std::future::pending;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use tokio::select;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::conversation::EndReason;
use super::packet::{self, Packet, PacketError};
use super::refusal::Refusal;
use super::transport::Inbound;
use crate::outbox::Frame;

/// Requests of one session waiting to be looked at; a client has two at a time, one GET and one POST.
pub(super) const REQUESTS_MAX: usize = 4;

/// While a client upgrades, a hanging GET is answered after this time, so that it can go on to the WebSocket. A client
/// that upgrades without waiting for its GET is through before.
const RELEASE_AFTER: Duration = Duration::from_millis(50);

/// What a waiting GET gets: a payload.
pub(super) type PollAnswer = oneshot::Sender<Result<String, Refusal>>;

/// A request that arrived for the session.
pub(super) enum Request {
    /// GET: wait for a payload.
    Poll(PollAnswer),
    /// POST: here is one.
    Post(Result<Vec<Packet>, PacketError>, oneshot::Sender<Result<(), Refusal>>),
    /// A WebSocket was probed and may take over.
    Upgrade(oneshot::Receiver<WebSocket>),
}

/// The session's end of its polling requests.
pub(super) struct Polling {
    requests: mpsc::Receiver<Request>,
    poll: Option<PollAnswer>,
    /// A POST that is answered when its packets have been worked off.
    post: Option<oneshot::Sender<Result<(), Refusal>>>,
    upgrade: Option<oneshot::Receiver<WebSocket>>,
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
                upgraded.map_or(Inbound::Nothing, |socket| Inbound::Upgraded(Box::new(socket)))
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

    /// Answers the hanging GET with all frames. A client that has gone meanwhile is noticed by its silence.
    pub(super) fn write(&mut self, frames: &mut Vec<Frame>) -> Result<(), EndReason> {
        let payload = packet::join_payload(frames.drain(..));
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

async fn upgraded(
    upgrade: &mut Option<oneshot::Receiver<WebSocket>>,
) -> Result<WebSocket, oneshot::error::RecvError> {
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
