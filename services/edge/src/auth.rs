//! Who a client is: a signed token, and what the directory knows of the user it names.

mod gate;
mod lease;
mod leases;

pub(crate) use chasqui_identity::{Identity, bearer};

pub(crate) use gate::Gate;
pub(crate) use lease::LeaseRules;
pub(crate) use leases::{Hold, Leases};
