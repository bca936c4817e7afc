//! Stories about the whole pipeline: real processes, a real broker and database, real clients.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on ends")]

mod bot;
mod broker_restarts;
mod campaigns;
mod chats_under_faults;
mod database_away;
mod duplicates;
mod edge_killed;
mod frame_rates;
mod garbage;
mod main_job;
mod operators;
mod poison;
mod presence;
mod rolling;
mod services_stopped;
mod storm;
mod systems;
mod tenants;
mod whatsapp;
mod widgets;
mod world;
