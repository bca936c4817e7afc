#![doc = include_str!("../README.md")]

mod address;
mod callback;

pub use address::{Allowed, InvalidNetwork};
pub use callback::{CallbackError, CallbackUrl, URL_LENGTH_MAX};
