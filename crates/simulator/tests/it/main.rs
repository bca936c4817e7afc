//! The simulator over its own HTTP interface; the test is the receiver of its webhooks, and the business.

mod faults;
mod graph;
mod limits;
mod linked;
mod media;
mod openai;
mod owner;
mod phones;
mod receiver;
mod simulator;
mod webhooks;
