#![doc = include_str!("../README.md")]

pub mod config;
pub mod error;
mod service;

mod admin;
mod bot_reply;
mod webhook;

mod admission;
mod cloud_api;
mod numbers;
mod object;

mod addresses;
mod doorbell;
mod openapi;
mod publication;
mod refusal;
mod request_body;
mod signature;

pub use config::Config;
pub use error::Error;
pub use service::run;
