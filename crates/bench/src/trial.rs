//! One trial: messages go in, sockets hear them, the account is settled.

use std::time::Duration;

use serde::Serialize;

use crate::{
    audience::Audience,
    ledger::{Account, Sent, settle},
    load::{AHEAD_PER_LANE, Lane, send_all},
    plan::{Pace, Plan},
    process::{Snapshot, Usage},
    quantiles::Quantiles,
};

/// What one path was measured to do.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// What was sent, what arrived, what is missing.
    pub account: Account,
    /// How many listened.
    pub sockets: usize,
    /// From sending (or from when it was due, where the sender was over 2 ms late) to the socket.
    pub delivery: Quantiles,
    /// From sending to the acknowledgement.
    pub acknowledgement: Quantiles,
    /// How late the sender was; its timer alone is up to a millisecond.
    pub lateness: Quantiles,
    /// Acknowledged messages a second, until the last answer.
    pub acknowledged_per_s: f64,
    /// Acknowledged messages a second, until the last one had arrived at the last socket.
    pub delivered_per_s: f64,
    /// CPU time by process, ourselves among them, until everything had arrived.
    pub cpu: Vec<Usage>,
}

/// The load that every path of a run gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    /// When messages are sent.
    pub(crate) pace: Pace,
    /// For how long, seconds.
    pub(crate) seconds: u32,
    /// How long the first messages are left out of the quantiles, seconds.
    pub(crate) warmup_seconds: u32,
    /// How long messages that are still on their way are waited for.
    pub(crate) stragglers_wait: Duration,
    /// How many send at once.
    pub(crate) lanes: u32,
    /// Over how many conversations.
    pub(crate) conversations: u32,
    /// Length of each text.
    pub(crate) text_bytes: usize,
    /// Whose CPU time counts.
    pub(crate) processes: &'a [(String, u32)],
}

impl Load<'_> {
    /// A plan for this load with messages of its own.
    pub(crate) fn plan(&self) -> Plan {
        Plan::new(self.pace, self.seconds, self.lanes, self.conversations)
    }
}

/// Lets the lanes send to the audience. Returns what was measured, and what each lane sent.
pub(crate) async fn run<L: Lane>(
    plan: &Plan,
    lanes: Vec<L>,
    audience: Audience,
    load: &Load<'_>,
) -> anyhow::Result<(Measurement, Vec<Vec<Sent>>)> {
    let clock = audience.clock;
    let sockets = audience.size();
    let before = Snapshot::take(load.processes, clock)?;
    let warm_us = clock.now_us() + u64::from(load.warmup_seconds) * 1_000_000;
    let heard = audience.heard();
    heard.allow(plan.lanes.saturating_mul(AHEAD_PER_LANE), audience.copies_per_message());
    let sent = send_all(plan, lanes, clock, heard).await?;
    let expected = audience.expected(plan, &sent);
    let inboxes = audience.leave(expected, load.stragglers_wait).await;
    let after = Snapshot::take(load.processes, clock)?;
    let (account, times) = settle(plan, &sent, &inboxes, warm_us);
    let measurement = Measurement {
        sockets,
        delivery: Quantiles::of(times.delivery),
        acknowledgement: Quantiles::of(times.answer),
        lateness: Quantiles::of(times.late),
        acknowledged_per_s: per_second(account.acknowledged, times.sending),
        delivered_per_s: per_second(account.acknowledged, times.delivering),
        cpu: after.since(&before, account.acknowledged),
        account,
    };
    Ok((measurement, sent))
}

fn per_second(count: u32, wall_us: u64) -> f64 {
    let wall = Duration::from_micros(wall_us.max(1));
    f64::from(count) / wall.as_secs_f64()
}
