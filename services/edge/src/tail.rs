//! Reading the stream itself, by batched Direct Get: no consumer is made, so any number of sockets may do it.

use std::time::Duration;

use async_nats::StatusCode;
use chasqui_kit::Bus;
use chasqui_proto::{Pattern, stream::MESSAGES};
use futures::StreamExt;
use serde_json::json;

use crate::{error::Error, event::Event};

/// How many facts the server sends for one request.
const BATCH_EVENTS: usize = 256;
/// How long the server may take for the next fact of a batch.
const NEXT_WAIT: Duration = Duration::from_secs(2);

/// What a filter's subjects hold after a position.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// Oldest first.
    pub(crate) events: Vec<Event>,
    /// There is more than was asked for.
    pub(crate) truncated: bool,
}

/// Reads the facts after `after`, at most `events_max`.
pub(crate) async fn read(bus: &Bus, filter: &Pattern, after: u64, events_max: usize) -> Result<Tail, Error> {
    let mut tail = Tail::default();
    let mut next = after + 1;
    loop {
        let batch = read_batch(bus, filter, next, &mut tail.events).await?;
        match batch {
            Batch::End => return Ok(tail),
            Batch::Until(seq) if tail.events.len() <= events_max => next = seq + 1,
            Batch::Until(_) => {
                tail.truncated = true;
                return Ok(tail);
            }
        }
    }
}

enum Batch {
    /// Nothing comes after it.
    End,
    /// The server sent as many as were asked for.
    Until(u64),
}

async fn read_batch(bus: &Bus, filter: &Pattern, from: u64, into: &mut Vec<Event>) -> Result<Batch, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::ReadStream(error.to_string());
    let inbox = bus.client().new_inbox();
    let mut answers = bus.client().subscribe(inbox.clone()).await.map_err(|error| failed(&error))?;
    let request = json!({ "seq": from, "batch": BATCH_EVENTS, "next_by_subj": filter.as_str() });
    let subject = format!("$JS.API.DIRECT.GET.{}", MESSAGES.name);
    let sent = bus.client().publish_with_reply(subject, inbox, request.to_string().into()).await;
    sent.map_err(|error| failed(&error))?;
    let (mut last, mut pending) = (from, 0_u64);
    loop {
        let answer = tokio::time::timeout(NEXT_WAIT, answers.next()).await;
        let answer = answer.ok().flatten().ok_or_else(|| failed(&"the stream did not answer in time"))?;
        match answer.status {
            None => {
                let number = |name: &str| {
                    let value = answer.headers.as_ref().and_then(|headers| headers.get(name));
                    value.and_then(|value| value.as_str().parse::<u64>().ok())
                };
                last = number("Nats-Sequence").unwrap_or(last);
                pending = number("Nats-Num-Pending").unwrap_or(0);
                into.extend(Event::of_nats(&answer));
            }
            // The end of a batch, or nothing to send at all.
            Some(StatusCode::NOT_FOUND) => return Ok(Batch::End),
            Some(status) if status.as_u16() == 204 => {
                return Ok(if pending == 0 { Batch::End } else { Batch::Until(last) });
            }
            Some(status) => return Err(failed(&format!("status {status}"))),
        }
    }
}
