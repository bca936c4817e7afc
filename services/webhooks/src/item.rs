//! A delivery in the hands of its lane.

use std::sync::Arc;

use chasqui_kit::{TraceContext, consume};
use chasqui_proto::v1::{Delivery, delivery::Fact};

use crate::queue::Ordered;

/// An event on its way to a listener, and where it came from.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) origin: Origin,
    pub(crate) trace: TraceContext,
    conversation: String,
    arrival: u64,
}

/// Where a delivery is stored until it is settled.
#[derive(Debug)]
pub(crate) enum Origin {
    /// In the partition: to be acknowledged.
    Due(Box<consume::Delivery>),
    /// Among what waits for the listener, at this position: to be removed.
    Parked(u64),
}

impl Item {
    pub(crate) fn new(delivery: Delivery, origin: Origin, trace: TraceContext, arrival: u64) -> Self {
        let conversation = conversation_of(&delivery);
        Self { delivery: Arc::new(delivery), origin, trace, conversation, arrival }
    }

    /// Whether it has waited longer than anybody keeps an event.
    pub(crate) fn is_older_than(&self, patience: std::time::Duration, now_ms: i64) -> bool {
        let patience_ms = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
        now_ms.saturating_sub(self.delivery.created_at_ms) >= patience_ms
    }
}

impl Ordered for Item {
    fn conversation(&self) -> &str {
        &self.conversation
    }

    fn arrival(&self) -> u64 {
        self.arrival
    }
}

/// What a delivery keeps its order in. Sessions are no conversations: no token holds a blank.
fn conversation_of(delivery: &Delivery) -> String {
    match &delivery.fact {
        Some(Fact::Message(message)) => message.conversation.clone(),
        Some(Fact::Status(status)) => status.conversation.clone(),
        Some(Fact::Session(session)) => format!("session {}", session.id),
        None => String::new(),
    }
}
