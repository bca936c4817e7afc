#![doc = include_str!("../README.md")]

pub mod config;
pub mod error;
mod service;

pub use config::Config;
pub use error::Error;
pub use service::run;
