#![doc = include_str!("../README.md")]

pub mod address;
pub mod header;
pub mod id;
pub mod name;
pub mod service;
pub mod stream;
pub mod subject;
pub mod tenant;
pub mod token;

/// Version 1 of every payload, generated from `chasqui/v1/*.proto`.
#[expect(missing_docs, clippy::pedantic, clippy::all, reason = "generated code")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/chasqui.v1.rs"));
}

/// The compiled descriptors of version 1: what a tool needs to show any payload as JSON.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

pub use address::conversation_of;
pub use id::{ConversationId, MessageId};
pub use subject::{Pattern, Subject};
pub use tenant::Tenant;
pub use token::ConversationToken;
