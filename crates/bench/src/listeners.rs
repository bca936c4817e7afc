//! Many HTTP listeners, of which some hang and some fail: how soon the others have what happens.

mod receiver;
mod registry;

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    address::Address,
    api,
    audience::Audience,
    descriptors,
    letter::Letter,
    load::Poster,
    options::Options,
    plan::Pace,
    report,
    trial::{self, Load, Measurement},
};

pub use receiver::Attempts;
use receiver::Receiver;
use registry::Registry;

/// Connections that a listener may hold besides the one it hangs on.
const CONNECTIONS_PER_LISTENER: u32 = 2;

/// The listeners of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cast {
    pub(crate) all: u32,
    /// Of all of them, those that never answer.
    pub(crate) hanging: u32,
    /// Of all of them, those that answer 500.
    pub(crate) failing: u32,
}

/// How the healthy ones fared beside the others.
#[derive(Clone, Debug, Serialize)]
pub struct ListenersReport {
    /// Listeners that answer 200 at once.
    pub healthy: u32,
    /// Listeners that never answer.
    pub hanging: u32,
    /// Listeners that answer 500.
    pub failing: u32,
    /// How long registering them took, seconds.
    pub registering_seconds: f64,
    /// Messages a second.
    pub rate_per_s: u32,
    /// Attempts at the others, from the first message of the warm-up on.
    pub attempts: Attempts,
    /// What was sent, what the healthy ones got, how soon, and what that took.
    pub measurement: Measurement,
    /// Whether every listener was removed again.
    pub removed: bool,
}

impl ListenersReport {
    /// Whether every healthy listener had every message.
    pub(crate) fn is_clean(&self) -> bool {
        self.measurement.account.lost == 0 && self.removed
    }
}

/// Serves the listeners, registers them, sends, and removes them again, also when interrupted.
pub(crate) async fn measure(
    options: &Options,
    cast: Cast,
    rate_per_s: u32,
    seconds: u32,
) -> anyhow::Result<ListenersReport> {
    descriptors::allow(cast.all.saturating_mul(CONNECTIONS_PER_LISTENER))?;
    let ingest = Address::parse(&options.ingest)?;
    let key = api::needed(options.api_key.as_ref())?;
    let load = Load {
        pace: Pace::Open { rate_per_s },
        seconds: options.warmup_seconds.saturating_add(seconds),
        warmup_seconds: options.warmup_seconds,
        stragglers_wait: Duration::from_secs(options.stragglers_seconds.into()),
        lanes: options.connections,
        conversations: options.conversations,
        text_bytes: options.text_bytes,
        processes: &options.processes,
    };
    let plan = load.plan();
    let mut audience = Audience::new(&plan);
    let receiver = Receiver::start(&plan.run, cast, &mut audience).await?;
    let registry = Registry::new(&ingest, key, receiver.urls());
    let clock = audience.clock;
    let measured = async {
        registry.register().await?;
        let registering_us = clock.now_us();
        let letter = Letter::new(&ingest, &plan, load.text_bytes, &options.entrance);
        let posters = Poster::several(load.lanes, &ingest, &letter, None).await?;
        let (measurement, _) = trial::run(&plan, posters, audience, &load).await?;
        anyhow::Ok((registering_us, measurement))
    };
    let measured = tokio::select! {
        measured = measured => measured,
        interrupted = interrupted() => interrupted.and_then(|()| anyhow::bail!("interrupted")),
    };
    let attempts = receiver.attempts();
    let removed = tokio::select! {
        removed = registry.unregister() => removed,
        again = interrupted() => again.and_then(|()| anyhow::bail!("interrupted twice")),
    };
    let (registering_us, measurement) = match (measured, &removed) {
        (Ok(measured), _) => measured,
        (Err(error), Ok(())) => return Err(error),
        (Err(error), Err(left)) => return Err(error.context(format!("and listeners are left: {left:#}"))),
    };
    Ok(ListenersReport {
        healthy: cast.all - cast.hanging - cast.failing,
        hanging: cast.hanging,
        failing: cast.failing,
        registering_seconds: Duration::from_micros(registering_us).as_secs_f64(),
        rate_per_s,
        attempts,
        measurement,
        removed: removed.is_ok(),
    })
}

async fn interrupted() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be handled")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("signals cannot be handled"),
        _ = terminate.recv() => Ok(()),
    }
}

impl std::fmt::Display for ListenersReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Measurement { delivery, account, acknowledgement, .. } = &self.measurement;
        writeln!(f, "to healthy, ms {:>43}\n{:15}{}", report::QUANTILES, "", report::quantiles(delivery))?;
        writeln!(f, "to answer, ms\n{:15}{}", "", report::quantiles(acknowledgement))?;
        writeln!(
            f,
            "{} healthy listeners beside {} that hang and {} that fail, registered in {:.1} s{}",
            self.healthy,
            self.hanging,
            self.failing,
            self.registering_seconds,
            if self.removed { "" } else { "; NOT ALL WERE REMOVED" }
        )?;
        let Attempts { hanging, failing, .. } = self.attempts;
        writeln!(f, "{hanging} attempts at those that hang, {failing} at those that fail")?;
        report::fmt_copies(account, f)?;
        writeln!(f, "\nCPU: µs a message (cores)")?;
        self.measurement.cpu.iter().try_for_each(|usage| usage.fmt(f))
    }
}
