//! Telling others how things stand.

use std::ops::RangeInclusive;

use chasqui_kit::{
    Bus, Platform, TraceContext,
    publish::{Fact, PublishError},
};
use chasqui_proto::{subject, v1};
use futures::{StreamExt, stream};
use sqlx::PgPool;

use crate::store::states;

/// How many states wait for the stream's acknowledgement at once: a part of the batch, within these bounds. A small
/// batch is told without a burst, which new messages would have to wait behind in the broker; a large one is told fast.
const IN_FLIGHT: RangeInclusive<usize> = 2..=256;
const IN_FLIGHT_PART: usize = 8;
/// How often states that others overtook are told again. Whoever overtakes after that looks as often.
const LOOKS_MAX: usize = 4;

/// A state and the trace of what led to it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) state: v1::Conversation,
    pub(crate) trace: TraceContext,
}

/// Publishes states and waits until all are stored; fails with those that were not, and the last reason. Published
/// twice, a state is stored once.
pub(crate) async fn tell(
    platform: &Platform,
    pool: &PgPool,
    states: Vec<Told>,
) -> Result<(), (Vec<Told>, PublishError)> {
    let versions = states.iter().map(|told| (told.state.id.clone(), told.state.version)).collect();
    publish_all(&platform.bus, states, None).await?;
    tell_newer(platform, pool, versions).await
}

/// Another replica may have stored a newer state meanwhile and told it before ours, which then is the last word in the
/// stream. So whoever finds a newer one after telling its own tells that too.
async fn tell_newer(
    platform: &Platform,
    pool: &PgPool,
    mut versions: Vec<(String, u64)>,
) -> Result<(), (Vec<Told>, PublishError)> {
    for _ in 0..LOOKS_MAX {
        let newer = match states::newer(pool, &versions).await {
            Ok(newer) if newer.is_empty() => return Ok(()),
            Ok(newer) => newer,
            Err(error) => {
                tracing::warn!(%error, "cannot look for newer states; the next change tells them");
                return Ok(());
            }
        };
        versions = newer.iter().map(|state| (state.id.clone(), state.version)).collect();
        let told = newer.into_iter().map(|state| Told { state, trace: TraceContext::root() }).collect();
        publish_all(&platform.bus, told, Some(platform.node.as_str())).await?;
    }
    Ok(())
}

async fn publish_all(
    bus: &Bus,
    states: Vec<Told>,
    again: Option<&str>,
) -> Result<(), (Vec<Told>, PublishError)> {
    let (mut left, mut reason) = (Vec::new(), None);
    let in_flight = (states.len() / IN_FLIGHT_PART).clamp(*IN_FLIGHT.start(), *IN_FLIGHT.end());
    let mut published = stream::iter(states)
        .map(|told| async move { (publish(bus, &told, again).await, told) })
        .buffer_unordered(in_flight);
    while let Some((outcome, told)) = published.next().await {
        if let Err(error) = outcome {
            left.push(told);
            reason = Some(error);
        }
    }
    match reason {
        Some(reason) => Err((left, reason)),
        None => Ok(()),
    }
}

/// Publishes a state and waits until it is stored. `again` names who tells what another one told: under the same id it
/// would be dropped.
async fn publish(bus: &Bus, told: &Told, again: Option<&str>) -> Result<(), PublishError> {
    let state = &told.state;
    let parsed = state.tenant.parse().ok().zip(state.token.parse().ok());
    let (tenant, token) = parsed.expect("both were parsed before they were stored");
    let id = match again {
        None => format!("{}/{}", state.id, state.version),
        Some(node) => format!("{}/{}/{node}", state.id, state.version),
    };
    let fact = Fact::new(subject::conversations_updated(&tenant, &token), state, id, told.trace);
    match bus.publish(fact).await {
        Err(PublishError::TooLarge) => {
            tracing::error!(
                conversation = state.id,
                "a conversation's state is larger than the broker accepts"
            );
            Ok(())
        }
        outcome => outcome.map(drop),
    }
}
