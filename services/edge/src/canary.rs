//! Readiness that proves the path: a canary through the stream and its republishing, back to this node.
//!
//! A process can be connected, have every socket open, and still deliver nothing; only a message that went all the
//! way tells.

use std::time::{Duration, Instant};

use chasqui_kit::{Bus, TraceContext, clock::now_ms, health::Health, publish::Fact};
use chasqui_proto::{
    subject::{self, NodeToken},
    v1,
};
use futures::StreamExt;
use prost::Message;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// The part of the health board that canaries speak for.
pub(crate) const PART: &str = "edge";

/// How many canaries in a row may be missing.
const MISSED_MAX: u32 = 3;

/// Sends canaries and watches for them until stopped.
pub(crate) async fn watch(
    bus: Bus,
    health: Health,
    node: NodeToken,
    interval: Duration,
    stop: CancellationToken,
) -> Result<(), Error> {
    let subject = subject::messages_canary(&node);
    let live = bus.client().subscribe(subject::live(&subject).as_str().to_owned()).await;
    let mut returning = live.map_err(|error| Error::Subscribe(error.to_string()))?;
    bus.barrier().await?;
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Instant::now();
    health.not_ready(PART, "the first canary is on its way");
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {
                if seen.elapsed() > interval * (MISSED_MAX + 1) {
                    health.not_ready(PART, "events published to the stream do not come back to this node");
                }
                send(&bus, &node).await;
            }
            Some(message) = returning.next() => {
                let Ok(canary) = v1::Canary::decode(message.payload) else { continue };
                seen = Instant::now();
                let lag_ms = u32::try_from(now_ms() - canary.sent_at_ms).unwrap_or(0);
                metrics::gauge!("chasqui_edge_canary_lag_seconds").set(f64::from(lag_ms) / 1_000.0);
                health.ready(PART);
            }
        }
    }
    health.not_ready(PART, "stopping");
    Ok(())
}

async fn send(bus: &Bus, node: &NodeToken) {
    let sent_at_ms = now_ms();
    let canary = v1::Canary { node: node.to_string(), sent_at_ms };
    let id = format!("canary:{node}:{sent_at_ms}");
    let mut fact = Fact::new(subject::messages_canary(node), &canary, id, TraceContext::root());
    fact.replaces = true;
    if let Err(error) = bus.publish(fact).await {
        tracing::debug!(%error, "a canary was not sent");
    }
}
