//! Which sessions there are, and how each one stands.

mod key;

pub(crate) use key::SessionKey;
