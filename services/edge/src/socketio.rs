//! Socket.IO v5, spoken inside Engine.IO sessions: namespaces, connect and refuse, events, acknowledgements.
//!
//! What the events mean is the [`Application`]'s business. What goes out is pushed into the session's
//! [`Outbox`](crate::outbox::Outbox) as finished packets ([`encode_event`]), encoded once for all sockets.

mod application;
mod conversation;
mod encode;
mod event;
mod packet;
mod recovery;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use application::{Application, ConnectRequest, DisconnectReason, Refusal, Welcome};
pub use encode::{encode_binary_event_in, encode_event, encode_event_in, with_offset};
pub use event::{Ack, AckError, Event};
pub use packet::{Packet, ParseError};
pub use recovery::{Pid, Recovery};

use crate::engineio;
use crate::limit::{Pace, Rate};

/// The namespace every client starts in.
pub const ROOT: &str = "/";

/// Socket.IO as a protocol for an [`engineio::Server`].
pub struct SocketIo<A> {
    application: Arc<A>,
    /// The namespaces clients may join, each with its leading slash.
    namespaces: Arc<[Arc<str>]>,
    connect_timeout: Duration,
    /// How fast a client may send packets.
    rate: Rate,
}

/// A Socket.IO server for `application`, for clients of the given namespaces (usually only [`ROOT`]).
pub fn server<A: Application>(
    settings: engineio::Settings,
    namespaces: &[&str],
    application: Arc<A>,
    stop: CancellationToken,
) -> engineio::Server<SocketIo<A>> {
    let namespaces = namespaces.iter().map(|&name| Arc::from(name)).collect();
    let (connect_timeout, rate) = (settings.connect_timeout, Pace::rate(settings.frames_per_second_max));
    engineio::Server::new(settings, SocketIo { application, namespaces, connect_timeout, rate }, stop)
}
