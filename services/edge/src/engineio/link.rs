//! A session's WebSocket: its own, or one that another node holds.

use std::collections::VecDeque;
use std::time::Duration;

use chasqui_websocket::WebSocket;
use tokio::time::timeout;

use super::bridge::{Bridge, Carried};
use super::conversation::EndReason;
use super::websocket;
use crate::close::CloseCode;
use crate::outbox::Frame;

/// A WebSocket, wherever it is.
#[expect(clippy::large_enum_variant, reason = "nearly all are of this node, which a box would make larger")]
pub(super) enum Link {
    /// On this node.
    Near(WebSocket),
    /// On another node.
    Far(Box<Far>),
}

/// A WebSocket of another node.
pub(super) struct Far {
    bridge: Bridge,
    unread: VecDeque<Frame>,
}

impl From<Bridge> for Link {
    fn from(bridge: Bridge) -> Self {
        Self::Far(Box::new(Far { bridge, unread: VecDeque::new() }))
    }
}

impl Link {
    /// The next frame; `None` for a sign of life without content. Dropping the future loses nothing.
    pub(super) async fn read(&mut self) -> Result<Option<Frame>, EndReason> {
        match self {
            Self::Near(socket) => websocket::read(socket).await,
            Self::Far(far) => far.read().await,
        }
    }

    /// Writes all frames and empties `frames`.
    pub(super) async fn write(&mut self, frames: &mut Vec<Frame>, limit: Duration) -> Result<(), EndReason> {
        match self {
            Self::Near(socket) => websocket::write(socket, frames, limit).await,
            Self::Far(far) => far.write(std::mem::take(frames), limit).await,
        }
    }

    /// Tells the client that it is over, with a code if there is one to tell.
    pub(super) async fn close(&mut self, code: Option<CloseCode>) {
        let goodbye = code.map(Into::into);
        match self {
            Self::Near(socket) => websocket::close(socket, goodbye).await,
            Self::Far(far) => {
                // Whoever holds the other end closes the socket too when the bridge is dropped.
                let closed = far.bridge.outgoing.send(Carried::Closed(goodbye));
                let _ = timeout(websocket::CLOSE_TIMEOUT, closed).await;
            }
        }
    }

    /// Waits, for a bounded time, until the client has seen the close.
    pub(super) async fn linger(self) {
        if let Self::Near(socket) = self {
            websocket::linger(socket).await;
        }
    }
}

impl Far {
    async fn read(&mut self) -> Result<Option<Frame>, EndReason> {
        if self.unread.is_empty() {
            match self.bridge.incoming.recv().await {
                Some(Carried::Frames(frames)) => self.unread = frames.into(),
                Some(Carried::Closed(_)) | None => return Err(EndReason::TransportClosed),
            }
        }
        Ok(self.unread.pop_front())
    }

    async fn write(&mut self, frames: Vec<Frame>, limit: Duration) -> Result<(), EndReason> {
        match timeout(limit, self.bridge.outgoing.send(Carried::Frames(frames))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(EndReason::TransportClosed),
            Err(_) => Err(EndReason::WriteTimeout),
        }
    }
}
