//! The service over a private nats-server: the test plays WhatsApp, the directory's owner, and the listeners.

mod answering;
mod delivery;
mod failing;
mod guard;
mod owner;
mod questions;
mod receiver;
mod world;
