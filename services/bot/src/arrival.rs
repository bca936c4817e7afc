//! What a delivery says.

use std::sync::Arc;

use chasqui_kit::{TraceContext, consume::Delivery};
use chasqui_proto::{
    subject,
    v1::{Message, SenderType},
};
use prost::Message as _;

use crate::{past::Stored, place::Place};

/// What was written in a conversation, as far as the bot is concerned.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    /// By the contact.
    Contact(Stored),
    /// By a person of the tenant, at this moment.
    Agent { at_ms: i64 },
}

/// A delivery that was read.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) place: Place,
    pub(crate) written: Written,
    /// It came at once: nobody had it in hand before.
    pub(crate) is_first: bool,
}

/// A delivery that cannot be read, and never will be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(String);

impl Arrival {
    /// What a delivery says; none where the bot has nothing to do with it.
    pub(crate) fn read(delivery: &Delivery) -> Result<Option<Self>, Unreadable> {
        let unreadable = |error: String| Unreadable(format!("{}: {error}", delivery.subject()));
        let parts = subject::parse(delivery.subject())
            .filter(|parts| parts.noun == "messages" && matches!(parts.fact, "in" | "out"))
            .ok_or_else(|| unreadable("no subject of a message".to_owned()))?;
        let place = Place {
            tenant: parts.tenant.parse().map_err(|_| unreadable("no tenant".to_owned()))?,
            conversation: parts.key.parse().map_err(|_| unreadable("no conversation".to_owned()))?,
        };
        let message =
            Message::decode(delivery.payload().clone()).map_err(|error| unreadable(error.to_string()))?;
        let written = match parts.fact {
            "in" => Written::Contact(Stored {
                seq: delivery.seq,
                message: Some(Arc::new(message)),
                at_ms: delivery.stored_at_ms,
                trace: TraceContext::of_nats(delivery.headers()),
            }),
            _ if message.sender_type() == SenderType::Agent => {
                Written::Agent { at_ms: delivery.stored_at_ms }
            }
            _ => return Ok(None),
        };
        Ok(Some(Self { place, written, is_first: delivery.attempt == 1 }))
    }
}
