//! Who a client is: a signed token, and what the directory knows of the user it names.

mod authenticator;
mod bearer;
mod claims;
mod gate;
mod identity;
mod jwks;
mod key;
mod lease;
mod leases;

use authenticator::Authenticator;

pub(crate) use bearer::bearer;
pub(crate) use gate::Gate;
pub(crate) use identity::{Agent, Identity};
pub(crate) use key::read_pem;
pub(crate) use lease::LeaseRules;
pub(crate) use leases::{Hold, Leases};
