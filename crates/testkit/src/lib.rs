#![doc = include_str!("../README.md")]

mod account;
mod binary;
mod child;
mod cluster;
pub mod documents;
mod error;
mod nats;
mod port;
mod postgres;
mod program;
mod proxy;
mod scratch;
mod wait;

pub use cluster::NatsCluster;
pub use error::Error;
pub use nats::{NatsOptions, NatsServer};
pub use port::first_free_port;
pub use postgres::Postgres;
pub use program::Program;
pub use proxy::{Pools, Proxy};
pub use wait::wait_for;
