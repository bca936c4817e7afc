#![doc = include_str!("../README.md")]

mod board;
mod channel;
pub mod config;
pub mod error;
mod key;
mod ledger;
mod letter;
mod meter;
mod obstacle;
mod order;
mod pace;
mod pause;
mod progress;
mod publication;
mod rate;
mod run;
mod runs;
mod search;
mod service;
mod trouble;
mod window;

pub use config::Config;
pub use error::Error;
pub use service::run;
