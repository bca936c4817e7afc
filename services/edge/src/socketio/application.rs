//! The border to what a server is for.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Event, Pid, Recovery};
use crate::engineio::{EndReason, Handshake};
use crate::outbox::Outbox;

/// What happens to the clients of a server. The methods may be written as `async fn`.
pub trait Application: Send + Sync + 'static {
    /// What the application remembers of one client in one namespace.
    type Session: Send + Sync + 'static;

    /// A client asks to join a namespace.
    ///
    /// Frames pushed into `outbox` while this runs are held until the client has its answer; so do not wait here for
    /// them to leave. When the client leaves meanwhile, the outbox is closed and this still runs to its end.
    /// The namespaces of one connection share one outbox.
    ///
    /// A client that is refused never tries again by itself. One that may come back, to this node or another, is sent
    /// away by closing the outbox first: then its transport closes, and it is not told the refusal.
    fn connect(
        &self,
        request: ConnectRequest,
        outbox: Arc<Outbox>,
    ) -> impl Future<Output = Result<Welcome<Self::Session>, Refusal>> + Send;

    /// One event from the client. The next one waits until this has returned.
    fn event(&self, session: &Self::Session, event: Event) -> impl Future<Output = ()> + Send;

    /// An event that came too fast: it is not obeyed, and answered with `why` in the application's way, if at all.
    fn refused(&self, session: &Self::Session, event: Event, why: &'static str);

    /// The client has certainly received every frame up to this position of its outbox. Called after durable frames,
    /// also while `event` runs.
    fn confirmed(&self, session: &Self::Session, position: u64);

    /// The client has left. Called exactly once for every session `connect` returned, also when the client left while
    /// `connect` ran.
    fn disconnect(&self, session: Self::Session, reason: DisconnectReason)
    -> impl Future<Output = ()> + Send;
}

/// A client's wish to join a namespace. Not `Debug`: `auth` holds a token.
pub struct ConnectRequest {
    /// The namespace, with its leading slash.
    pub namespace: Arc<str>,
    /// The id the client will know its socket by (`socket.id`). Not the session's id, which is a secret.
    pub socket_id: Box<str>,
    /// The `auth` object of the client, as JSON.
    pub auth: Option<Box<RawValue>>,
    /// What the client wants back of an earlier connection, where it had one that can be recovered.
    pub recovery: Option<Recovery>,
    /// The request that opened the connection, with its query.
    pub handshake: Arc<Handshake>,
}

/// A client that was let in.
#[derive(Debug)]
pub struct Welcome<S> {
    /// What the application remembers of it.
    pub session: S,
    /// What the client will come back with. The one it brought says that everything it missed follows
    /// (`socket.recovered` is true there), another one that it does not; `None` that connections cannot be recovered.
    pub pid: Option<Pid>,
}

impl<S> Welcome<S> {
    /// A welcome to a connection that cannot be recovered.
    pub fn without_recovery(session: S) -> Self {
        Self { session, pid: None }
    }
}

/// Why a client may not join; it sees this as `connect_error`.
#[derive(Debug, Clone, Default)]
pub struct Refusal {
    /// The words of the error.
    pub message: String,
    /// More for programs: the error's `data`.
    pub data: Option<serde_json::Value>,
}

impl Refusal {
    /// A refusal in words only.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None }
    }
}

/// Why a client left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The client left the namespace and may still be connected.
    LeftNamespace,
    /// The whole session ended.
    Ended(EndReason),
}

impl DisconnectReason {
    /// The words the Node.js server uses, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LeftNamespace => "client namespace disconnect",
            Self::Ended(EndReason::TransportClosed) => "transport close",
            Self::Ended(EndReason::WriteTimeout | EndReason::TooLarge) => "transport error",
            Self::Ended(EndReason::PingTimeout) => "ping timeout",
            Self::Ended(EndReason::ParseError) => "parse error",
            Self::Ended(EndReason::HandshakeTimeout) => "connect timeout",
            Self::Ended(EndReason::Closed(_)) => "server namespace disconnect",
        }
    }
}
