//! Hears on the bus what was stored.

use std::sync::Arc;

use async_nats::Subscriber;
use chasqui_kit::Bus;
use chasqui_proto::{
    Tenant,
    stream::MESSAGES,
    subject::{self, LIVE_PREFIX},
    v1::{Appointment, Message},
};
use futures::StreamExt;
use prost::Message as _;

use super::contacts::Contacts;
use crate::clock::Clock;

/// What the id of a message of this run begins with; its number follows.
pub(super) fn id_prefix(run: &str) -> String {
    format!("wamid.bench-{run}-")
}

/// A subscription to every message of the deployment as it is stored: one, so that a message is heard before its replies.
#[derive(Debug)]
pub(super) struct Ear(Subscriber);

impl Ear {
    /// Subscribes; nothing stored from now on is missed.
    pub(super) async fn open(bus: &Bus) -> anyhow::Result<Self> {
        Self::to(bus, &format!("{LIVE_PREFIX}{}", MESSAGES.subjects[0])).await
    }

    /// The same for the appointments of a tenant.
    pub(super) async fn open_for_appointments(bus: &Bus, tenant: &Tenant) -> anyhow::Result<Self> {
        Self::to(bus, subject::live_appointments_of_tenant(tenant).as_str()).await
    }

    async fn to(bus: &Bus, pattern: &str) -> anyhow::Result<Self> {
        let subscriber = bus.client().subscribe(pattern.to_owned()).await?;
        bus.barrier().await?;
        Ok(Self(subscriber))
    }

    /// Notes when messages and replies of the run were stored, for ever.
    pub(super) async fn hear_messages(mut self, run: String, contacts: Arc<Contacts>, clock: Clock) {
        let prefix = id_prefix(&run);
        while let Some(heard) = self.0.next().await {
            let at_us = clock.now_us();
            let Some(parts) = subject::parse(&heard.subject) else { continue };
            let fact = parts.fact;
            if !matches!(fact, "in" | "out") {
                continue;
            }
            let Ok(message) = Message::decode(heard.payload) else { continue };
            if fact == "in" {
                let number = message.provider_id.strip_prefix(&prefix).and_then(|number| number.parse().ok());
                let Some(number) = number else { continue };
                contacts.belong_to(parts.tenant);
                contacts.note(|tally| {
                    tally.stored(number, &message.id, at_us);
                    None
                });
            } else if !message.answers.is_empty() {
                contacts.note(|tally| tally.replied(&message.answers, at_us));
            }
        }
    }

    /// Notes what appointments the contacts of the run were given, for ever.
    pub(super) async fn hear_appointments(mut self, contacts: Arc<Contacts>) {
        while let Some(heard) = self.0.next().await {
            let Ok(appointment) = Appointment::decode(heard.payload) else { continue };
            if contacts.include(&appointment.conversation) {
                contacts.note(|tally| {
                    tally.made(&appointment.id);
                    None
                });
            }
        }
    }
}
