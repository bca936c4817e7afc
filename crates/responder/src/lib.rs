#![doc = include_str!("../README.md")]

mod flow;
mod responders;
mod standing;

pub use flow::{FLOW_START, TO_FLOW, is_for_flow};
pub use responders::{Responders, RespondersError};
pub use standing::{Reason, Standing, decide};
