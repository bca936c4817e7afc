#![doc = include_str!("../README.md")]

pub mod config;
pub mod error;
mod service;

mod input;
mod language;
mod problem;
mod reply;

pub use config::Config;
pub use error::Error;
pub use problem::Problem;
pub use service::run;
