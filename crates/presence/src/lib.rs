#![doc = include_str!("../README.md")]

pub mod announcer;
pub mod board;
mod errand;
pub mod person;
mod said;
pub mod told;
pub mod watcher;

pub use announcer::Announcer;
pub use board::{Board, Change, Transition};
pub use person::{Connection, Who};
pub use watcher::{Listener, Watcher};
