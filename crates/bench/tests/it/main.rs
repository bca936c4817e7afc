//! The bench against a stand-in deployment whose faults are known, over a real broker.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod answers;
mod faults;
mod machines;
mod returns;
mod standin;
