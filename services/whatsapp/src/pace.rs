//! How fast a number may send, and how fast to one contact.

pub(crate) mod circuit;
pub(crate) mod gate;
pub(crate) mod number;
pub(crate) mod pair;
