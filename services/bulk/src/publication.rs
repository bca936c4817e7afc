//! Publishing messages until the stream has them.

use std::time::Instant;

use chasqui_kit::{
    Bus, TraceContext,
    publish::{Fact, PublishError, Stored},
};
use chasqui_proto::{Tenant, subject, v1::Recipient};
use futures::StreamExt;

use crate::{
    letter::{Letter, Text, Unaddressed},
    meter,
    pause::pause,
};

/// How many messages of a campaign wait for the stream's acknowledgement at once.
pub(crate) const IN_FLIGHT_MAX: usize = 256;

/// Publishes the messages to recipients and returns once the stream has them all, however long the broker is away. Whoever
/// loses the campaign drops this: the next runner publishes what is missing, under the same ids.
pub(crate) async fn publish(
    bus: &Bus,
    tenant: &Tenant,
    text: &Text,
    letters: Vec<(Recipient, Letter)>,
) -> Result<(), Unaddressed> {
    let mut published = futures::stream::iter(letters)
        .map(async |(recipient, letter)| publish_one(bus, tenant, text, (&recipient, letter)).await)
        .buffer_unordered(IN_FLIGHT_MAX);
    while let Some(outcome) = published.next().await {
        outcome?;
    }
    Ok(())
}

async fn publish_one(
    bus: &Bus,
    tenant: &Tenant,
    text: &Text,
    (recipient, mut letter): (&Recipient, Letter),
) -> Result<(), Unaddressed> {
    let (began, mut pause) = (Instant::now(), pause());
    loop {
        let result = match attempt(bus, tenant, &letter).await {
            Ok(_) if letter.refusal.is_some() => "refused",
            Ok(Stored { duplicate: true, .. }) => "repeated",
            Ok(_) => "stored",
            Err(error @ PublishError::TooLarge) if letter.refusal.is_none() => {
                letter = text.refused(recipient, "too_large", &error.to_string())?;
                continue;
            }
            Err(error) => {
                tracing::debug!(%error, id = letter.message.id, "a message was not published; trying again");
                tokio::time::sleep(pause.lengthen()).await;
                continue;
            }
        };
        meter::published(result, began.elapsed());
        return Ok(());
    }
}

/// What is not sent fails before it is there: so nobody sees it fail for another reason.
async fn attempt(bus: &Bus, tenant: &Tenant, letter: &Letter) -> Result<Stored, PublishError> {
    let (message, conversation) = (&letter.message, &letter.conversation);
    if let Some(refusal) = &letter.refusal {
        let subject = subject::messages_status(tenant, conversation);
        bus.publish(Fact::new(subject, refusal, &refusal.id, TraceContext::root())).await?;
    }
    let subject = subject::messages_out(tenant, conversation);
    bus.publish(Fact::new(subject, message, &message.id, TraceContext::root())).await
}
