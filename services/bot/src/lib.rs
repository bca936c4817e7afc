#![doc = include_str!("../README.md")]

pub mod config;
pub mod error;
mod service;

mod arrival;
mod consumer;
mod conversations;
mod decision;
mod definition;
mod fields;
mod flow;
mod handover;
mod hands;
mod input;
mod inquiry;
mod interactive;
mod lane;
mod lanes;
mod language;
mod meter;
mod model;
mod obstacle;
mod office;
mod past;
mod place;
mod problem;
mod publication;
mod reply;
mod status;
mod turn;
mod waiting;
mod words;
mod work;

pub use config::Config;
pub use definition::{Definition, Definitions};
pub use error::Error;
pub use flow::{Flow, Script, Summary};
pub use problem::Problem;
pub use service::run;
