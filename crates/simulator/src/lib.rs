#![doc = include_str!("../README.md")]

pub mod config;
pub mod error;
mod service;
mod world;

mod answer;
mod delivery;
mod files;
mod graph;
mod history;
mod linked;
mod openai;
mod phone;
mod samples;

pub mod payload;
pub mod signature;

pub use config::Config;
pub use error::Error;
pub use graph::{GraphConfig, Told, Window};
pub use service::run;
