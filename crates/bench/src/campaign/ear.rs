//! Hears on the bus what was stored and told.

use std::sync::Arc;

use async_nats::Subscriber;
use chasqui_kit::Bus;
use chasqui_proto::{
    stream::MESSAGES,
    subject::{self, LIVE_PREFIX},
    v1::{BulkProgress, Message, MessageStatus},
};
use futures::{StreamExt, stream::select};
use prost::Message as _;
use uuid::Uuid;

use super::tally::Shared;
use crate::clock::Clock;

/// Subscriptions to every message of the deployment as it is stored, and to the progress of every campaign.
#[derive(Debug)]
pub(super) struct Ear {
    messages: Subscriber,
    progress: Subscriber,
}

impl Ear {
    /// Subscribes; nothing stored from now on is missed.
    pub(super) async fn open(bus: &Bus) -> anyhow::Result<Self> {
        let live = async |pattern: &str| bus.client().subscribe(format!("{LIVE_PREFIX}{pattern}")).await;
        let messages = live(MESSAGES.subjects[0]).await?;
        let progress = live(subject::bulk_progress_of_all().as_str()).await?;
        bus.barrier().await?;
        Ok(Self { messages, progress })
    }

    /// Notes what becomes of a campaign, for ever.
    pub(super) async fn hear(self, campaign: Uuid, tally: Arc<Shared>, clock: Clock) {
        let campaign = campaign.to_string();
        let mut heard = select(self.messages, self.progress);
        while let Some(message) = heard.next().await {
            let at_us = clock.now_us();
            let Some(parts) = subject::parse(&message.subject) else { continue };
            match (parts.noun, parts.fact) {
                ("messages", "out") => {
                    let Ok(out) = Message::decode(message.payload) else { continue };
                    let Ok(id) = out.id.parse() else { continue };
                    tally.lock().stored(id, at_us);
                }
                ("messages", "status") => {
                    let Ok(step) = MessageStatus::decode(message.payload) else { continue };
                    let Ok(id) = step.message_id.parse() else { continue };
                    tally.lock().stepped(id, step.status(), at_us);
                }
                ("bulk", "progress") if parts.key == campaign => {
                    let Ok(progress) = BulkProgress::decode(message.payload) else { continue };
                    tally.lock().told(progress, at_us);
                }
                _ => {}
            }
        }
    }
}
