//! What waits for a listener that does not answer: stored in the order it came in, read one by one when it does.

use std::collections::HashSet;

use async_nats::{
    HeaderMap,
    jetstream::{
        ErrorCode,
        stream::{DeleteMessageErrorKind, LastRawMessageErrorKind, RawMessageErrorKind, Stream},
    },
};
use chasqui_kit::{Bus, publish::PublishError};
use chasqui_proto::{header, stream, subject::Subject, v1::Delivery};
use prost::{Message, Name};

use crate::{Error, item::Item};

/// The events of one listener that wait in the stream. Only the owner of its partition adds and removes.
#[derive(Debug)]
pub(crate) struct Lot {
    bus: Bus,
    stream: Stream<()>,
    subject: Subject<Delivery>,
    /// How many are stored.
    stored: u64,
    /// The position that was read last.
    cursor: u64,
    /// The positions of those that the lane has in hand.
    in_hand: HashSet<u64>,
}

/// One event of the lot.
pub(crate) struct Waiting {
    pub(crate) seq: u64,
    pub(crate) headers: HeaderMap,
    /// None where it cannot be decoded.
    pub(crate) delivery: Option<Delivery>,
}

impl Lot {
    /// The lot under a subject, in which `stored` events wait.
    pub(crate) async fn open(bus: &Bus, subject: Subject<Delivery>, stored: u64) -> Result<Self, Error> {
        let stream = bus.jetstream().get_stream_no_info(stream::DELIVERIES.name).await;
        let stream = stream.map_err(|error| Error::Broker(error.to_string()))?;
        Ok(Self { bus: bus.clone(), stream, subject, stored, cursor: 0, in_hand: HashSet::new() })
    }

    /// How many wait that the lane does not have in hand.
    pub(crate) fn waiting(&self) -> u64 {
        self.stored.saturating_sub(self.in_hand.len() as u64)
    }

    /// Adds an event, which was due at a position, behind all others.
    pub(crate) async fn park(&mut self, item: &Item, due: u64) -> Result<(), PublishError> {
        let Delivery { id, attempts, created_at_ms, .. } = &*item.delivery;
        let mut headers = HeaderMap::new();
        headers.insert(header::TYPE, Delivery::full_name());
        headers.insert(header::ID, id.as_str());
        headers.insert(header::TRACEPARENT, item.trace.to_header());
        headers.insert(header::DUE_SEQUENCE, due.to_string());
        let (payload, once) =
            (item.delivery.encode_to_vec().into(), format!("{id}.parked.{attempts}.{created_at_ms}"));
        let stored = self.bus.publish_bytes(self.subject.as_str(), payload, headers, &once).await?;
        if !stored.duplicate {
            self.stored += 1;
        }
        Ok(())
    }

    /// The next event, which the lane then has in hand.
    pub(crate) async fn next(&mut self) -> Result<Option<Waiting>, Error> {
        while self.waiting() > 0 {
            let from = self.cursor + 1;
            // Answered by the leader: a copy could be behind, and an event be overtaken.
            let found = self.stream.get_first_raw_message_by_subject(self.subject.as_str(), from).await;
            let message = match found {
                Ok(message) => message,
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                    self.stored = self.in_hand.len() as u64;
                    return Ok(None);
                }
                Err(error) => return Err(Error::Broker(error.to_string())),
            };
            self.cursor = message.sequence;
            if self.in_hand.insert(message.sequence) {
                let delivery = Delivery::decode(message.payload).ok();
                return Ok(Some(Waiting { seq: message.sequence, headers: message.headers, delivery }));
            }
        }
        Ok(None)
    }

    /// Where the event that was parked last was due; 0 where nothing waits.
    pub(crate) async fn parked_last(&self) -> Result<u64, Error> {
        if self.stored == 0 {
            return Ok(0);
        }
        match self.stream.get_last_raw_message_by_subject(self.subject.as_str()).await {
            Ok(message) => {
                let due = message.headers.get(header::DUE_SEQUENCE);
                Ok(due.and_then(|due| due.as_str().parse().ok()).unwrap_or(0))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(0),
            Err(error) => Err(Error::Broker(error.to_string())),
        }
    }

    /// The lane has an event no longer in hand, which waits as before.
    pub(crate) fn put_back(&mut self, seq: u64) {
        self.in_hand.remove(&seq);
        self.cursor = 0;
    }

    /// Removes an event for good.
    pub(crate) async fn remove(&mut self, seq: u64) -> Result<(), Error> {
        match self.stream.delete_message(seq).await {
            Ok(_) => {}
            // The answer to an earlier removal was lost.
            Err(error) if is_missing(&error.kind()) => {}
            Err(error) => return Err(Error::Broker(error.to_string())),
        }
        if self.in_hand.remove(&seq) {
            self.stored = self.stored.saturating_sub(1);
        }
        Ok(())
    }
}

fn is_missing(error: &DeleteMessageErrorKind) -> bool {
    matches!(error, DeleteMessageErrorKind::JetStream(refused)
        if matches!(refused.error_code(), ErrorCode::NO_MESSAGE_FOUND | ErrorCode::SEQUENCE_NOT_FOUND))
}
