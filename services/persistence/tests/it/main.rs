//! Persistence as others see it: the test is everyone else on a private broker, over a private database.

mod bad_day;
mod conversation;
mod directory;
mod events;
mod query;
mod replica;
mod status;
mod world;
