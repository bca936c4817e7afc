#![doc = include_str!("../README.md")]

pub mod config;
pub mod error;
mod service;

mod admin;
mod bot_reply;
mod webhook;

mod admission;
mod staff;
mod cloud_api;
mod numbers;
mod object;
mod outgoing;

mod addresses;
mod doorbell;
mod fields;
mod openapi;
mod publication;
mod rate;
mod refusal;
mod request_body;
mod signature;

pub use config::Config;
pub use error::Error;
pub use service::run;
