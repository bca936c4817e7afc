#![doc = include_str!("../README.md")]

pub mod config;
pub mod error;
mod service;

mod router;
mod routing;

mod lane;
mod lot;
mod office;
mod partition;
mod partitions;
mod place;
mod queue;
mod standing;

mod attempt;
mod format;
mod guard;
mod hosts;
mod schedule;
mod signature;
mod verdict;

mod dead_letter;
mod entry;
mod faults;
mod item;
mod later;
mod log;
mod meter;
mod replay;
mod replicas;
mod sample;

pub use config::Config;
pub use error::Error;
pub use service::run;
