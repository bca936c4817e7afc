#![doc = include_str!("../README.md")]

pub mod config;
pub mod error;
mod service;

mod bot_reply;
mod webhook;

mod cloud_api;
mod object;

mod directory;
mod publication;
mod refusal;
mod request_body;
mod signature;

pub use config::Config;
pub use error::Error;
pub use service::run;
