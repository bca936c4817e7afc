//! The shipped flow, walked.

use anyhow::{Context, Result};
use chasqui_kit::{Bus, bus::NatsConfig};
use chasqui_proto::{subject, v1::Message};
use futures::StreamExt;
use prost::Message as _;

use crate::world::{SOON, World, tenant};

/// What a contact says, from the keyword to the confirmation.
pub(crate) const WORDS: [&str; 8] = ["cita", "12345678", "1", "cardio", "1", "1", "me duele el pecho", "sí"];

/// Walks the flow to its end: each word once the bot has answered the one before. How many answers there were.
pub(crate) async fn walk(world: &World, contact: &str) -> Result<usize> {
    let nats = NatsConfig { url: world.nats.url(), ..NatsConfig::default() };
    let bus = Bus::connect(contact, &nats).await?;
    let live = subject::live(&subject::messages_out(&tenant(), &contact.parse()?));
    let mut answers = bus.client().subscribe(live.as_str().to_owned()).await?;
    bus.barrier().await?;
    let mut count = 0;
    for word in WORDS {
        let id = world.writes(contact, word).await?;
        // An answer may have several parts, and what was said before comes again nowhere.
        loop {
            let next = tokio::time::timeout(SOON, answers.next());
            let next = next.await.with_context(|| format!("{contact} waits for an answer to {word}"))?;
            let answer = Message::decode(next.context("the subscription goes on")?.payload)?;
            count += 1;
            if answer.answers == id {
                break;
            }
        }
    }
    Ok(count)
}
