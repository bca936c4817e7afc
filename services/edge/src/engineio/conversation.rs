//! The border between a session and the protocol spoken inside it.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use chasqui_websocket::Text;
use tokio::time::Instant;

use super::Handshake;
use crate::close::CloseCode;
use crate::outbox::{Frame, Outbox};

/// Makes a conversation for every session of a server.
pub trait Protocol: Send + Sync + 'static {
    /// What is spoken in one session.
    type Conversation: Conversation;

    /// A session opened. Whatever is pushed into `outbox` goes to its client: whole Engine.IO packets.
    fn open(&self, handshake: Arc<Handshake>, outbox: Arc<Outbox>) -> Self::Conversation;
}

/// Work that takes time, done beside the reading, writing and pinging of its session.
///
/// It is never dropped half-way: also when the client leaves, the session waits for it.
pub type Call<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One side of a conversation. It decides at once and does nothing by itself; what takes time it hands back as a
/// [`Call`]. One call runs at a time, and no message is handed in while one runs.
pub trait Conversation: Send + 'static {
    /// What a call brings back.
    type Outcome: Send;

    /// A message arrived.
    fn receive(&mut self, message: Incoming, replies: &mut Vec<Frame>) -> Received<Self::Outcome>;

    /// The call has ended.
    fn complete(&mut self, outcome: Self::Outcome, replies: &mut Vec<Frame>);

    /// Whether the outbox must wait, because a reply that has to come first is not ready.
    fn holds_outbox(&self) -> bool;

    /// Until when the client must have said who it is.
    fn deadline(&self) -> Option<Instant>;

    /// The client has certainly received everything up to this position of the outbox.
    fn confirmed(&self, position: u64);

    /// The outbox was closed: what to tell the client before the transport closes.
    fn farewell(&mut self, code: CloseCode, replies: &mut Vec<Frame>);

    /// The session is over. Called once, after the last call has ended.
    fn end(self, reason: EndReason) -> impl Future<Output = ()> + Send;
}

/// What [`Conversation::receive`] decided.
pub enum Received<T> {
    /// Nothing more to do.
    Done,
    /// This takes time.
    Call(Call<T>),
    /// The client broke the protocol; the session ends.
    Violation,
}

/// A message from the client.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// A text message: the whole packet, with its leading `4`.
    Text(Text),
    /// A binary message.
    Binary(Bytes),
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The client closed its transport, or it broke.
    TransportClosed,
    /// The client did not answer in time.
    PingTimeout,
    /// The client never said who it is.
    HandshakeTimeout,
    /// The client broke the protocol.
    ParseError,
    /// The client sent too much at once.
    TooLarge,
    /// The client did not read in time.
    WriteTimeout,
    /// We closed the session.
    Closed(CloseCode),
}

impl EndReason {
    /// The code that tells the client; `None` where there is nobody to tell.
    pub(super) fn close_code(self) -> Option<CloseCode> {
        match self {
            Self::TransportClosed | Self::WriteTimeout => None,
            Self::PingTimeout => Some(CloseCode::HEARTBEAT_TIMEOUT),
            Self::HandshakeTimeout => Some(CloseCode::HANDSHAKE_TIMEOUT),
            Self::ParseError => Some(CloseCode::PROTOCOL_ERROR),
            Self::TooLarge => Some(CloseCode::FRAME_TOO_LARGE),
            Self::Closed(code) => Some(code),
        }
    }

    /// The code for those who still push to the session.
    pub(super) fn outbox_code(self) -> CloseCode {
        match self {
            Self::WriteTimeout => CloseCode::SLOW_CONSUMER,
            reason => reason.close_code().unwrap_or(CloseCode::GOING_AWAY),
        }
    }
}
