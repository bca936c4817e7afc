#![doc = include_str!("../README.md")]

mod config;
mod error;
mod service;

// What is stored, and what it means.
mod appointment;
mod attempt;
mod call;
mod campaign;
mod campaign_recipient;
mod campaign_request;
mod chat;
mod conversation;
mod counters;
mod fact;
mod opt_out;
mod page;
mod reference;
mod response;
mod word;

// The stream, the database, and those who ask.
mod appointments;
mod campaigns;
mod campaigns_prune;
mod campaigns_run;
mod chats;
mod chats_watch;
mod consumer;
mod deliveries;
mod directory;
mod meter;
mod opt_outs;
mod position;
mod presence;
mod queries;
mod register;
mod seeds;
mod state;
mod stats;
mod store;
mod telling;

pub use config::Config;
pub use error::Error;
pub use service::{migrate, run};

/// The name on the health board.
const PART: &str = "persistence";
