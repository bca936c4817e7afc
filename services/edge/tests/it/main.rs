//! The edge service, tested from outside: every test plays a client on the wire.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod cable;
mod cluster;
mod echo;
mod engineio;
mod rest;
mod socketio;
mod socketio_client;
mod staff;
mod widget;
mod world;
