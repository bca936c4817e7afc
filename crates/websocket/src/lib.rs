#![doc = include_str!("../README.md")]

mod close;
mod compression;
mod decoder;
mod error;
mod frame;
mod handshake;
mod header;
mod limits;
mod mask;
mod message;
mod negotiation;
mod outgoing;
mod socket;
mod stream;
mod upgrade;

pub use bytestring::ByteString as Text;

pub use compression::Deflate;
pub use error::{Error, Violation};
pub use frame::Frame;
pub use handshake::Refusal;
pub use limits::Limits;
pub use message::Message;
pub use socket::WebSocket;
pub use upgrade::Upgrade;
