#![doc = include_str!("../README.md")]

pub mod config;
pub mod error;
mod service;

mod delivery;
mod linked;
mod phone;

pub mod payload;
pub mod signature;

pub use config::Config;
pub use error::Error;
pub use service::run;
