//! The socket over real TCP, with an independent client and with one that says every byte itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod client;
mod compression;
mod conversation;
mod handshake;
mod interruption;
mod server;
