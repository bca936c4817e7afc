#![doc = include_str!("../README.md")]

mod auth;
mod canary;
pub mod close;
mod config;
mod conversations;
mod dialect;
mod doorbell;
pub mod engineio;
mod error;
mod event;
mod feed;
mod history;
mod hub;
mod log;
pub mod outbox;
mod position;
mod reader;
mod rest;
mod scope;
mod service;
pub mod socketio;
mod speech;
mod steps;
mod tail;
mod websocket;
mod widget;

pub use config::Config;
pub use error::Error;
pub use service::run;
