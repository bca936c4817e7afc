//! Clients of the Cloud API, with nothing changed but the base URL and the token.

mod callers;
mod calls;
mod contents;
mod door;
mod fetched;
mod files;
