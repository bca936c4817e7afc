//! The service over a private nats-server: the test plays the contacts, their front ends, people, and persistence.

mod conversation;
mod crash;
mod model;
mod office;
mod pace;
mod people;
mod thinking;
mod waiting;
mod walk;
mod world;
