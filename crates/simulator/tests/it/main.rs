//! The simulator over its own HTTP interface; the test is the receiver of its webhooks.

mod linked;
mod receiver;
mod simulator;
mod webhooks;
