//! What the stream holds of a campaign once it is over.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use anyhow::Context;
use async_nats::jetstream::consumer::{
    Consumer, DeliverPolicy,
    pull::{Ordered, OrderedConfig},
};
use chasqui_kit::Bus;
use chasqui_proto::{stream::MESSAGES, subject, v1::Message};
use futures::TryStreamExt;
use prost::Message as _;
use serde::Serialize;
use tokio::time::timeout;
use uuid::Uuid;

/// How long the next message of the stream may take.
const NEXT_WAIT: Duration = Duration::from_secs(10);

/// How often the stream holds the messages of a campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Published {
    /// Messages that it holds once.
    pub once: usize,
    /// Messages that it holds more often.
    pub twice: usize,
    /// Messages that it does not hold.
    pub never: usize,
}

/// A place in the stream, behind which a campaign is.
#[derive(Debug)]
pub(super) struct Outcome<'a> {
    bus: &'a Bus,
    after: u64,
}

impl<'a> Outcome<'a> {
    /// From here on.
    pub(super) async fn open(bus: &'a Bus) -> anyhow::Result<Self> {
        let stream = bus.jetstream().get_stream(MESSAGES.name).await?;
        Ok(Self { bus, after: stream.get_info().await?.state.last_sequence })
    }

    /// Reads on to the end, and counts these messages.
    pub(super) async fn read(&self, messages: &HashSet<Uuid>) -> anyhow::Result<Published> {
        let stream = self.bus.jetstream().get_stream(MESSAGES.name).await?;
        let config = OrderedConfig {
            filter_subject: subject::messages_out_of_all().as_str().to_owned(),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.after + 1 },
            ..OrderedConfig::default()
        };
        let mut consumer: Consumer<OrderedConfig> = stream.create_consumer(config).await?;
        let waiting = consumer.info().await?.num_pending;
        let mut stored: Ordered = consumer.messages().await?;
        let mut counts = HashMap::new();
        for _ in 0..waiting {
            let next = timeout(NEXT_WAIT, stored.try_next()).await.context("the stream cannot be read on")?;
            let Some(message) = next? else { break };
            let out = Message::decode(message.payload.clone())?;
            if let Some(id) = out.id.parse().ok().filter(|id| messages.contains(id)) {
                *counts.entry(id).or_insert(0_u32) += 1;
            }
        }
        Ok(count(messages.len(), &counts))
    }
}

fn count(messages: usize, counts: &HashMap<Uuid, u32>) -> Published {
    let once = counts.values().filter(|count| **count == 1).count();
    Published { once, twice: counts.len() - once, never: messages - counts.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_counted_once() {
        let counts = [(1, 1), (2, 2), (3, 1)].map(|(id, count)| (Uuid::from_u128(id), count)).into();
        assert_eq!(count(5, &counts), Published { once: 2, twice: 1, never: 2 });
    }
}
