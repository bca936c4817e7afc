//! A message in the hands of its session's owner.

use async_nats::{
    HeaderMap,
    header::{NATS_MESSAGE_ID, NATS_SCHEDULER},
};
use chasqui_kit::{TraceContext, consume::Delivery};
use chasqui_proto::{
    MessageId, header, subject,
    v1::{Message, Send},
};
use prost::Message as _;

use crate::{line::Pair, sends::Record};

/// What the ids of messages begin with that an operator took back from the dead letters.
const REPLAYED: &str = "replay:";

/// A message of the queue, unacknowledged.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) delivery: Delivery,
    pub(crate) message: Message,
    pub(crate) id: MessageId,
    pub(crate) pair: Pair,
    pub(crate) trace: TraceContext,
    /// Its position in `MESSAGES`; 0 where that is not known.
    pub(crate) message_seq: u64,
    /// It waited with the broker.
    pub(crate) is_back: bool,
    /// Nobody can have tried it, as far as is known; whoever writes so finds out.
    pub(crate) fresh: bool,
    /// As it stood when it was last read or written.
    pub(crate) record: Option<Record>,
    /// What was to be written while the broker did not say whether it was.
    pub(crate) claim: Option<Send>,
}

impl Parcel {
    /// Reads what the queue delivers.
    pub(crate) fn read(delivery: Delivery) -> Result<Box<Self>, Box<(Delivery, String)>> {
        match parse(&delivery) {
            Ok((message, id, pair)) => {
                let number =
                    text(delivery.headers(), header::MESSAGE_SEQUENCE).and_then(|seq| seq.parse().ok());
                let trace = TraceContext::of_nats(delivery.headers());
                let message_seq = number.unwrap_or(0);
                let is_back = text(delivery.headers(), NATS_SCHEDULER.as_ref()).is_some();
                let fresh = delivery.attempt == 1 && !is_back;
                let (record, claim) = (None, None);
                Ok(Box::new(Self {
                    delivery,
                    message,
                    id,
                    pair,
                    trace,
                    message_seq,
                    is_back,
                    fresh,
                    record,
                    claim,
                }))
            }
            Err(error) => Err(Box::new((delivery, error))),
        }
    }

    /// Its place in its conversation: as it was published. What waited with the broker keeps its place by that.
    pub(crate) fn order(&self) -> u64 {
        if self.message_seq > 0 { self.message_seq } else { self.delivery.seq }
    }

    /// Whether an operator put it back into the queue after it was given up.
    pub(crate) fn is_replayed(&self, send: &Send) -> bool {
        let id = text(self.delivery.headers(), NATS_MESSAGE_ID.as_ref());
        id.is_some_and(|id| id.starts_with(REPLAYED)) && self.delivery.stored_at_ms > send.changed_at_ms
    }
}

fn parse(delivery: &Delivery) -> Result<(Message, MessageId, Pair), String> {
    let message = Message::decode(delivery.payload().clone()).map_err(|error| error.to_string())?;
    let id = message.id.parse().map_err(|error| format!("id: expected a UUID: {error}"))?;
    let parts = subject::parse(delivery.subject()).ok_or("its subject is none of ours")?;
    // Whoever put it there: what one tenant wrote never goes through the session of another.
    if parts.tenant != message.tenant {
        return Err(format!(
            "tenant: expected {:?} as in its subject, found {:?}",
            parts.tenant, message.tenant
        ));
    }
    let conversation = parts.key.rsplit('.').next().unwrap_or_default();
    let pair = conversation.parse().map_err(|error| format!("{error}"))?;
    Ok((message, id, pair))
}

fn text<'a>(headers: Option<&'a HeaderMap>, name: &str) -> Option<&'a str> {
    headers?.get(name).map(async_nats::HeaderValue::as_str)
}
