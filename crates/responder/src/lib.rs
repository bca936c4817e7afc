#![doc = include_str!("../README.md")]

mod responders;
mod standing;

pub use responders::{Responders, RespondersError};
pub use standing::{Reason, Standing, decide};
