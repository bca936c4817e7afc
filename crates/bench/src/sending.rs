//! How one WhatsApp number sends, seen where its messages arrive: at the simulator.

mod door;
mod pair;
mod report;
mod simulator;
mod tally;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, ensure};
use tokio::time::{Instant, sleep_until};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use uuid::Uuid;

use crate::{
    address::Address, api, clock::Clock, letter::phone, options::Options, process::Snapshot,
    quantiles::Quantiles,
};

use door::{Door, Handed, Kind};
use simulator::{Simulator, Witness};

pub use pair::PairReport;
pub use report::{RepliesReport, SendingReport};
pub use simulator::Refusals;
pub use tally::{Handover, Pace};

/// Messages to the one contact: the burst that WhatsApp lets through, and some more.
const PAIR_MESSAGES: u32 = 60;
/// How long the burst to the one contact may take.
const BURST_WAIT: Duration = Duration::from_secs(15);
/// Pause between two replies.
const REPLY_EVERY: Duration = Duration::from_millis(500);
/// The last of the phone numbers that belong to nobody: the one contact is among these.
const PAIR_PHONES: u32 = 10_000;
/// The first of them.
const PAIR_PHONES_FROM: u32 = 89_999;
/// The most messages of a campaign: each to a contact of its own, whose number is below those.
pub(crate) const CAMPAIGN_MAX: u32 = 80_000;

/// What is asked of the number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// Its limit.
    pub(crate) rate_per_s: u32,
    /// As many messages as it may send in this time.
    pub(crate) seconds: u32,
    /// How long the one contact is watched.
    pub(crate) pair_seconds: u32,
}

impl Task {
    fn campaign(self) -> u32 {
        self.rate_per_s.saturating_mul(self.seconds)
    }
}

/// Hands everything in and looks what arrives when.
pub(crate) async fn measure(options: &Options, task: Task) -> anyhow::Result<SendingReport> {
    let ingest = Address::parse(&options.ingest)?;
    let simulator = Simulator::new(&Address::parse(&options.simulator)?);
    let key = api::needed(options.api_key.as_ref())?;
    let takes = simulator.messages_per_second_max().await?;
    ensure!(
        takes >= task.rate_per_s,
        "the simulator takes {takes} a second: PUT /graph/settings {{\"messages_per_second_max\":{}}}",
        task.rate_per_s
    );
    let run = Uuid::new_v4();
    let door = Door::new(&ingest, key, run);
    let before = simulator.counts().await?;
    let witness = Arc::new(Witness::default());
    let stop = CancellationToken::new();
    let watching = simulator.clone().watch(witness.clone(), simulator.newest().await?, stop.clone());
    let watching = AbortOnDropHandle::new(tokio::spawn(watching));

    let burst_begun = Instant::now();
    let contact = phone(PAIR_PHONES_FROM + run.as_fields().0 % PAIR_PHONES);
    let to_one = burst(&door, &witness, &contact).await;
    let number = to_one.iter().find_map(Handed::number).context("no message was taken")?.to_owned();
    let is_cloud = number.bytes().all(|byte| byte.is_ascii_digit());
    ensure!(is_cloud, "messages go through {number:?}, which is no number of the Cloud API");

    let clock = Clock::start();
    let cpu_before = Snapshot::take(&options.processes, clock)?;
    let campaign = async {
        let handed = door.several(options.connections, task.campaign(), Kind::Campaign, phone).await;
        (handed, Duration::from_micros(clock.now_us()))
    };
    let ((campaign, handing), replies) = tokio::join!(campaign, replies(&door, &simulator, task));
    let replies = replies?;
    // Twice the time it needs.
    let wait = Duration::from_secs(u64::from(options.stragglers_seconds) + 2 * u64::from(task.seconds));
    witness.until(Instant::now() + wait, |seen| seen.has_all(&campaign) && seen.has_all(&replies)).await;
    let cpu_after = Snapshot::take(&options.processes, clock)?;
    let pair_until = burst_begun + Duration::from_secs(task.pair_seconds.into());
    witness.until(pair_until, |seen| seen.has_all(&to_one)).await;
    stop.cancel();
    watching.await??;

    let after = simulator.counts().await?;
    let seen = witness.seen();
    let refusals = after.refused_since(&before, seen.count())?;
    let handover = seen.account(&campaign);
    Ok(SendingReport {
        limit_per_s: task.rate_per_s,
        handing_seconds: handing.as_secs_f64(),
        pace: seen.pace(&number, &campaign),
        cpu: cpu_after.since(&cpu_before, handover.taken),
        campaign: handover,
        replies: RepliesReport {
            handover: seen.account(&replies),
            to_provider: Quantiles::of(seen.waits_us(&replies)),
        },
        pair: PairReport::of(PAIR_MESSAGES, &seen.times_of(&to_one), seen.account(&to_one)),
        refusals,
        number,
    })
}

/// More messages to one contact than it may get at once; over when as many have arrived as may.
async fn burst(door: &Door, witness: &Witness, contact: &str) -> Vec<Handed> {
    let handed = door.several(1, PAIR_MESSAGES, Kind::Pair, |_| contact.to_owned()).await;
    let arrived = |seen: &tally::Seen| pair::at_once(&seen.times_of(&handed)) >= pair::BURST_MAX;
    witness.until(Instant::now() + BURST_WAIT, arrived).await;
    handed
}

/// Contacts write, and each is answered, while the number is busy with its campaign.
async fn replies(door: &Door, simulator: &Simulator, task: Task) -> anyhow::Result<Vec<Handed>> {
    let begun = Instant::now();
    let until = begun + Duration::from_secs(task.seconds.into());
    let (mut due, mut handed) = (begun, Vec::new());
    let mut lane = door.lane();
    while due < until {
        sleep_until(due).await;
        let count = u32::try_from(handed.len()).unwrap_or(u32::MAX);
        let contact = phone(task.campaign() + count);
        simulator.write(&contact).await?;
        handed.push(lane.hand(Kind::Reply, count, &contact).await);
        due = (due + REPLY_EVERY).max(Instant::now());
    }
    Ok(handed)
}

/// Microseconds since 1970: what arrivals at the simulator are told in, but finer.
fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
