//! Reading a stream itself, by batched Direct Get: no consumer is made, so any number of sockets may do it.

use std::time::Duration;

use async_nats::{
    StatusCode,
    jetstream::{message::StreamMessage, stream::RawMessageErrorKind},
};
use chasqui_kit::Bus;
use chasqui_proto::{Pattern, stream::Stream};
use futures::StreamExt;
use serde_json::json;

use crate::{error::Error, event::Event};

/// How many facts the server sends for one request.
const BATCH_EVENTS: usize = 256;
/// The status that ends a batch (NATS ADR-31).
const END_OF_BATCH: u16 = 204;
/// How long the server may take for the next fact of a batch.
const NEXT_WAIT: Duration = Duration::from_secs(2);
/// How long the leader may take. While there is none, nobody answers, and what happens next waits behind the reader.
const LEADER_WAIT: Duration = Duration::from_secs(1);

/// What a filter's subjects hold after a position.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// Oldest first.
    pub(crate) events: Vec<Event>,
    /// There is more than was asked for.
    pub(crate) truncated: bool,
}

/// Reads the facts after `after`, at most `events_max`.
pub(crate) async fn read(
    bus: &Bus,
    stream: &Stream,
    filter: &Pattern,
    after: u64,
    events_max: usize,
) -> Result<Tail, Error> {
    let mut tail = Tail::default();
    let mut next = after + 1;
    loop {
        let batch = read_batch(bus, (stream, filter), next, &mut tail.events).await?;
        next = batch.last.map_or(next, |seq| seq + 1);
        if tail.events.len() > events_max {
            tail.truncated = true;
            return Ok(tail);
        }
        if batch.more {
            continue;
        }
        // Any replica answers a Direct Get, and one may not have everything yet; the leader has.
        match read_leader(bus, stream, filter, next).await? {
            Some(message) => {
                next = message.sequence + 1;
                tail.events.extend(Event::of_leader(&message));
            }
            None => return Ok(tail),
        }
    }
}

/// The first fact from a position on, as the leader knows it. A stream without replicas has nobody else to ask.
async fn read_leader(
    bus: &Bus,
    stream: &Stream,
    filter: &Pattern,
    from: u64,
) -> Result<Option<StreamMessage>, Error> {
    if bus.config().replicas == 1 {
        return Ok(None);
    }
    let failed = |error: &dyn std::fmt::Display| Error::ReadStream(error.to_string());
    let stream = bus.jetstream().get_stream_no_info(stream.name).await.map_err(|error| failed(&error))?;
    let asked =
        tokio::time::timeout(LEADER_WAIT, stream.get_first_raw_message_by_subject(filter.as_str(), from));
    match asked.await.map_err(|_| failed(&"its leader did not answer in time"))? {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

struct Batch {
    /// The position of the last fact in it.
    last: Option<u64>,
    /// The server has more than it sent.
    more: bool,
}

async fn read_batch(
    bus: &Bus,
    (stream, filter): (&Stream, &Pattern),
    from: u64,
    into: &mut Vec<Event>,
) -> Result<Batch, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::ReadStream(error.to_string());
    let inbox = bus.client().new_inbox();
    let mut answers = bus.client().subscribe(inbox.clone()).await.map_err(|error| failed(&error))?;
    let request = json!({ "seq": from, "batch": BATCH_EVENTS, "next_by_subj": filter.as_str() });
    let subject = format!("$JS.API.DIRECT.GET.{}", stream.name);
    let sent = bus.client().publish_with_reply(subject, inbox, request.to_string().into()).await;
    sent.map_err(|error| failed(&error))?;
    let mut batch = Batch { last: None, more: false };
    loop {
        let answer = tokio::time::timeout(NEXT_WAIT, answers.next()).await;
        let answer = answer.ok().flatten().ok_or_else(|| failed(&"the stream did not answer in time"))?;
        match answer.status {
            None => {
                let number = |name: &str| {
                    let value = answer.headers.as_ref().and_then(|headers| headers.get(name));
                    value.and_then(|value| value.as_str().parse::<u64>().ok())
                };
                batch.last = number("Nats-Sequence").or(batch.last);
                batch.more = number("Nats-Num-Pending").is_some_and(|pending| pending > 0);
                into.extend(Event::of_nats(&answer));
            }
            // The end of a batch, or nothing to send at all.
            Some(StatusCode::NOT_FOUND) => return Ok(Batch { more: false, ..batch }),
            Some(status) if status.as_u16() == END_OF_BATCH => return Ok(batch),
            Some(status) => return Err(failed(&format!("status {status}"))),
        }
    }
}
