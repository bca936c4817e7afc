#![doc = include_str!("../README.md")]

pub mod config;
pub mod error;
mod service;

mod admin;
mod bot_reply;
mod campaigns;
mod cloud_door;
mod listeners;
mod opt_outs;
mod shared_client;
mod webhook;

mod admission;
mod machine;
mod query;
mod rate;
mod staff;

mod cloud_api;
mod numbers;
mod object;
mod outgoing;
mod sessions;

mod addresses;
mod doorbell;
mod fields;
mod idempotency;
mod openapi;
mod publication;
mod refusal;
mod request_body;
mod signature;

pub use config::Config;
pub use error::Error;
pub use service::run;
