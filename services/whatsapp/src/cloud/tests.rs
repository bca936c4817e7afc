//! The connector over real sockets: the test is the Graph API.

mod fetching;
mod sending;
mod uploading;
mod watching;
mod world;
