//! The story of a message to a contact, with a scripted provider and a real broker.

mod claims;
mod doubt;
mod flow;
mod refusals;
mod routing;
mod world;
