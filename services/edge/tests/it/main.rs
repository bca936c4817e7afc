//! The edge service, tested from outside: every test plays a client on the wire.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod any_node;
mod appointments;
mod auth;
mod cable;
mod campaigns;
mod chat;
mod chat_delivery;
mod chat_desk;
mod chat_flow;
mod chat_front_end;
mod chat_office;
mod cluster;
mod device;
mod docs;
mod drafts;
mod drain;
mod echo;
mod engineio;
mod garbage;
mod limits;
mod media;
mod pace;
mod poll;
mod presence;
mod proxy;
mod recovery;
mod responder;
mod rest;
mod socketio;
mod socketio_client;
mod sse;
mod staff;
mod tap;
mod widget;
mod world;
