//! The two ways a session reaches its client.

use std::time::Duration;

use tokio::sync::oneshot;

use super::conversation::EndReason;
use super::link::Link;
use super::packet::Packet;
use super::polling::Polling;
use super::refusal::Refusal;
use crate::outbox::Frame;

/// A session's way to its client.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all sessions are WebSockets, which a box would make larger"
)]
pub(super) enum Transport {
    WebSocket(Link),
    Polling(Box<Polling>),
}

/// What came in.
pub(super) enum Inbound {
    /// One packet.
    Packet(Packet),
    /// The packets of one polling body, and who waits for its answer.
    Payload(Vec<Packet>, oneshot::Sender<Result<(), Refusal>>),
    /// The client moved to a WebSocket.
    Upgraded(Box<Link>),
    /// Nothing for the session, but the transport may be writable now, or the client gave a sign of life.
    Nothing,
    /// The transport is of no use any more.
    Ended(EndReason),
}

impl Transport {
    /// Waits for something to come in. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Inbound {
        match self {
            Self::WebSocket(link) => match link.read().await {
                Ok(Some(frame)) => {
                    Packet::of_frame(&frame).map_or(Inbound::Ended(EndReason::ParseError), Inbound::Packet)
                }
                Ok(None) => Inbound::Nothing,
                Err(reason) => Inbound::Ended(reason),
            },
            Self::Polling(polling) => Box::pin(polling.next()).await,
        }
    }

    /// Whether frames can be written now: a WebSocket always, polling while a request hangs.
    pub(super) fn is_writable(&self) -> bool {
        match self {
            Self::WebSocket(_) => true,
            Self::Polling(polling) => polling.is_writable(),
        }
    }

    /// Whether all these frames leave with one write. What a polling client does not get waits for its next request.
    pub(super) fn fits(&self, frames: &[Frame]) -> bool {
        match self {
            Self::WebSocket(_) => true,
            Self::Polling(_) => Polling::fits(frames),
        }
    }

    /// Writes what fits and takes it out of `frames`.
    pub(super) async fn write(&mut self, frames: &mut Vec<Frame>, limit: Duration) -> Result<(), EndReason> {
        match self {
            Self::WebSocket(link) => link.write(frames, limit).await,
            Self::Polling(polling) => polling.write(frames),
        }
    }

    /// The client has nothing unread left with us: it may send the next body.
    pub(super) fn worked_off(&mut self) {
        if let Self::Polling(polling) = self {
            polling.answer_post();
        }
    }

    /// Whether the client waits for us before it can send again.
    pub(super) fn holds_post(&self) -> bool {
        matches!(self, Self::Polling(polling) if polling.holds_post())
    }

    /// Tells the client that the session is over.
    pub(super) async fn close(&mut self, reason: EndReason) {
        match self {
            // It did not take what was written before.
            Self::WebSocket(_) if reason == EndReason::WriteTimeout => {}
            Self::WebSocket(link) => link.close(reason.close_code()).await,
            Self::Polling(polling) => polling.close(reason.close_code().is_some()),
        }
    }

    /// Waits, for a bounded time, until the client has seen the close.
    pub(super) async fn linger(self) {
        if let Self::WebSocket(link) = self {
            link.linger().await;
        }
    }
}
