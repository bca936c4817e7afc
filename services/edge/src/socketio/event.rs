//! An event from a client and the way to answer it.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use super::encode;
use crate::outbox::{Delivery, Outbox, PushError};

/// An event from a client.
#[derive(Debug)]
pub struct Event {
    /// The namespace it came in.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: String,
    /// Its arguments, as JSON. A binary argument is the placeholder `{"_placeholder":true,"num":N}`.
    pub arguments: Vec<Box<RawValue>>,
    /// The binary arguments, by the number of their placeholder.
    pub attachments: Vec<Bytes>,
    /// How to answer, if the client waits for an answer.
    pub ack: Option<Ack>,
}

impl Event {
    /// Reads an argument. One that is missing reads as `null`.
    pub fn argument<'a, T: Deserialize<'a>>(&'a self, index: usize) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.arguments.get(index).map_or("null", |argument| argument.get()))
    }
}

/// The one chance to answer an event. Dropped without an answer, the client's callback is never called.
#[derive(Debug)]
pub struct Ack {
    pub(super) outbox: Arc<Outbox>,
    pub(super) namespace: Arc<str>,
    pub(super) id: u64,
}

/// Why an answer was not queued.
#[derive(Debug, Error)]
pub enum AckError {
    /// The answer is no JSON list.
    #[error("the arguments cannot be encoded as a list: {0}")]
    Encode(#[from] serde_json::Error),
    /// The client has gone or is too slow.
    #[error(transparent)]
    Push(#[from] PushError),
}

impl Ack {
    /// Calls the client's callback with `arguments`: a tuple or a slice, one element an argument.
    pub fn reply(self, arguments: &impl Serialize) -> Result<(), AckError> {
        self.reply_with(arguments, Vec::new())
    }

    /// The same with binary arguments: `attachments`, whose places in `arguments` are held by
    /// `{"_placeholder":true,"num":N}`.
    pub fn reply_with(self, arguments: &impl Serialize, attachments: Vec<Bytes>) -> Result<(), AckError> {
        let frames = encode::ack(&self.namespace, self.id, arguments, attachments)?;
        self.outbox.push_together(frames, Delivery::Reply)?;
        Ok(())
    }
}
