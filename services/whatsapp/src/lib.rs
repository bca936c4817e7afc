#![doc = include_str!("../README.md")]

pub mod config;
pub mod error;
mod service;

mod cloud;
mod connector;
mod line;

mod consumer;
mod later;
mod media;
mod outbox;
mod pace;
mod priority;
mod queue;
mod router;
mod sending;
mod sends;
mod statuses;
mod tell;
mod verdict;
mod window;

mod owner;
mod qr;
mod reading;
mod remote;
mod requests;
mod sessions;

pub use config::Config;
pub use error::Error;
pub use service::run;

/// This service's name where letters, metrics and requests carry one.
const PART: &str = "whatsapp";
