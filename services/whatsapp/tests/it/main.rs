//! The service over a private nats-server: the test plays the connector, the Graph API and everybody who asks.

mod connectors;
mod linked;
mod numbers;
mod owners;
mod sessions;
mod world;
