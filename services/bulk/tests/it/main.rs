//! The service over a private nats-server: the test plays persistence, the number, and who watches.

mod away;
mod crash;
mod ends;
mod office;
mod outside;
mod pace;
mod watching;
mod world;
