//! Files from those who bring them to those who have their address.

mod bucket;
mod routes;
mod store;
mod world;
