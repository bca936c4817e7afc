#![doc = include_str!("../README.md")]

#[cfg(all(feature = "conformance", not(debug_assertions)))]
compile_error!(
    "the feature `conformance` is for the public protocol suites, and never part of a release build"
);

mod addresses;
mod asyncapi;
mod auth;
mod campaigns;
mod canary;
mod clients;
pub mod close;
mod config;
mod context;
mod cursor;
mod dialect;
mod doorbell;
pub mod engineio;
mod error;
mod event;
mod fallback;
mod feed;
mod feeds;
mod files;
mod flow;
mod generations;
mod history;
mod hub;
mod json;
mod latest;
mod limit;
mod log;
mod openapi;
pub mod outbox;
pub mod peers;
mod position;
mod presence;
mod repair;
mod rest;
mod roster;
mod scope;
mod service;
pub mod socketio;
mod sockets;
mod speech;
mod steps;
mod tail;
mod tap;
mod typing;
mod upload;
mod verdict;

pub use config::Config;
pub use error::Error;
pub use service::run;
