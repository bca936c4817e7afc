#![doc = include_str!("../README.md")]

mod address;
mod callback;
mod secret;

pub use address::{Allowed, InvalidNetwork};
pub use callback::{CallbackError, CallbackUrl, URL_LENGTH_MAX};
pub use secret::{SECRET_PREFIX, SecretError, Signing, check_secret, new_secret};
