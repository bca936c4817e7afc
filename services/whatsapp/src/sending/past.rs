//! What earlier owners of a session sent: a new one goes on at their pace.

use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use chasqui_kit::clock;
use chasqui_proto::{
    stream::{SENDS, bucket_subject, sends_of},
    v1::Send,
};
use futures::StreamExt;
use prost::Message as _;
use time::OffsetDateTime;

use super::{desk::Desk, hand::Hand};
use crate::pace::pair::MEMORY;

/// How long reading may take. Longer than it takes to read what the fastest number sent in the time that matters.
const READ_MAX: Duration = Duration::from_secs(20);
/// How long to wait for the next of what there must be.
const NEXT_MAX: Duration = Duration::from_secs(3);

/// Brings the desk's pace to where the owner before left it.
pub(crate) async fn remember(hand: &Hand, desk: &mut Desk) {
    let read = tokio::time::timeout(READ_MAX, read(hand, desk)).await;
    let failed = match read {
        Ok(Ok(count)) => {
            return tracing::debug!(session = %hand.line.session, count, "what was sent before is known");
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    // Too fast for a moment costs a refusal that throttles; not sending at all costs more.
    tracing::warn!(session = %hand.line.session, error = failed, "what was sent before is not known");
}

async fn read(
    hand: &Hand,
    desk: &mut Desk,
) -> Result<usize, Box<dyn std::error::Error + std::marker::Send + Sync>> {
    let since = OffsetDateTime::now_utc() - MEMORY;
    let config = pull::OrderedConfig {
        filter_subject: bucket_subject(&SENDS, &sends_of(&hand.line.tenant, &hand.line.session)),
        deliver_policy: DeliverPolicy::ByStartTime { start_time: since },
        ..pull::OrderedConfig::default()
    };
    let mut consumer = hand.sends.stream().create_consumer(config).await?;
    let expected = consumer.info().await?.num_pending;
    let mut messages = consumer.messages().await?;
    let mut sent = Vec::new();
    for _ in 0..expected {
        let Ok(Some(message)) = tokio::time::timeout(NEXT_MAX, messages.next()).await else { break };
        let message = message?;
        let is_last = message.info().is_ok_and(|info| info.pending == 0);
        if let Ok(send) = Send::decode(message.payload.clone())
            && send.attempts > 0
        {
            sent.push((send.changed_at_ms, send.conversation));
        }
        if is_last {
            break;
        }
    }
    let (now, now_ms) = (Instant::now(), clock::now_ms());
    sent.sort_unstable_by_key(|(at_ms, _)| *at_ms);
    for (at_ms, conversation) in &sent {
        let ago = Duration::from_millis(u64::try_from(now_ms - at_ms).unwrap_or(0));
        if let (Some(at), Ok(pair)) = (now.checked_sub(ago), conversation.parse()) {
            desk.remember(&pair, at);
        }
    }
    Ok(sent.len())
}
