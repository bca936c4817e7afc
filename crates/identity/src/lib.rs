#![doc = include_str!("../README.md")]

mod authenticator;
mod bearer;
mod claims;
mod error;
mod identity;
mod jwks;
mod key;
mod settings;

pub use authenticator::Authenticator;
pub use bearer::bearer;
pub use error::Error;
pub use identity::{Agent, Identity};
pub use key::read_pem;
pub use settings::{TokenRules, TokenSettings};
