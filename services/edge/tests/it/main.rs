//! The edge service, tested from outside: every test plays a client on the wire.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod any_node;
mod cable;
mod chat;
mod chat_delivery;
mod chat_desk;
mod chat_front_end;
mod chat_office;
mod cluster;
mod echo;
mod engineio;
mod proxy;
mod recovery;
mod rest;
mod socketio;
mod socketio_client;
mod staff;
mod tap;
mod widget;
mod world;
