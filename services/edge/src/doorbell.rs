//! "Is this contact connected anywhere?" is one request on the bus. A node that listens for one contact answers while it
//! holds a socket of it; one that listens for all contacts of a tenant answers for each, yes or no; and nobody answers
//! where no node has anything to do with the contact.

use async_nats::Message;
use bytes::Bytes;
use chasqui_kit::Bus;
use chasqui_proto::{subject::NodeToken, v1};
use prost::Message as _;

use crate::feeds::Presence;

/// Answers for this node.
#[derive(Debug, Clone)]
pub(crate) struct Doorbell {
    bus: Bus,
    found: Bytes,
    absent: Bytes,
}

impl Doorbell {
    pub(crate) fn new(bus: Bus, node: &NodeToken) -> Self {
        let encoded = |absent| v1::ContactFound { node: node.to_string(), absent }.encode_to_vec().into();
        Self { bus, found: encoded(false), absent: encoded(true) }
    }

    /// Answers a question. The broker lets each be answered once by a node.
    pub(crate) async fn answer(&self, question: &Message, presence: Presence) {
        let answer = match presence {
            Presence::Here => &self.found,
            Presence::Absent => &self.absent,
            Presence::AskedElsewhere => return,
        };
        let Some(reply) = &question.reply else { return };
        if let Err(error) = self.bus.client().publish(reply.clone(), answer.clone()).await {
            tracing::debug!(%error, "an answer was not sent");
        }
    }
}
