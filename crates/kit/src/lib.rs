#![doc = include_str!("../README.md")]

pub mod bucket;
pub mod bus;
pub mod clock;
pub mod config;
pub mod consume;
pub mod docs;
pub mod door;
pub mod error;
pub mod health;
pub mod lease;
pub mod lifecycle;
pub mod pause;
pub mod platform;
pub mod publish;
pub mod request;
pub mod seal;
pub mod secret;
pub mod serve;
pub mod stream;
pub mod telemetry;
pub mod trace;

pub use bus::Bus;
pub use error::{Code, Coded, Disposition};
pub use platform::Platform;
pub use trace::TraceContext;
