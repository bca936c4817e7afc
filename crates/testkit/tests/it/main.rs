//! The private servers keep what they promise to tests and to `chasqui up`.

mod deployed_accounts;
mod left_behind;
mod nats;
mod postgres;
mod program;
mod waiting;
