//! Engine.IO v4 (the transport layer of Socket.IO), as a server: handshake, heartbeat, WebSocket, HTTP long-polling
//! and the upgrade from one to the other.
//!
//! A session is one task. It owns its transport, its heartbeat and a [`Conversation`], the protocol spoken inside
//! (Socket.IO is one, see [`crate::socketio`]). What goes out comes from an [`Outbox`](crate::outbox::Outbox).
//! This layer knows no user, no event and no message broker.
//!
//! In a cluster a client's requests land on any node. A session's id names the node that owns it; the others hand
//! polling requests on and lend their WebSockets, by whatever way [`Peers`] knows.
//!
//! Reading order: `packet` (the wire), `heartbeat` (when to ping), `conversation` (the border to what is spoken),
//! `session` (the loop), `websocket` and `polling` (the transports), `upgrade`, `registry`, `server` (HTTP), `peers`
//! (the border to other nodes), `bridge` and `link` (a WebSocket of another node), `relay` and `forward`.

mod bridge;
mod conversation;
mod forward;
mod handshake;
mod heartbeat;
mod link;
mod packet;
mod peers;
mod polling;
mod refusal;
mod registry;
mod relay;
mod server;
mod session;
mod settings;
mod transport;
mod upgrade;
mod websocket;

pub use bridge::{Bridge, Carried, Goodbye};
pub use conversation::{Call, Conversation, EndReason, Incoming, Protocol, Received};
pub use handshake::Handshake;
pub use packet::{Packet, PacketError};
pub use peers::{Peers, Question};
pub use refusal::Refusal;
pub use server::Server;
pub use settings::{Origins, Settings, random_id};
