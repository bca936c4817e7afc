#![doc = include_str!("../README.md")]

mod quiet;
pub mod results;
mod time;
mod wording;

pub use quiet::Quiet;
pub use time::{TimeError, beginning, iso, minute_of_day, moment, zone};
pub use wording::{NAME_LENGTH_MAX, TEXT_LENGTH_MAX, Wording, WordingError};
