//! One event to every socket of a tenant.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;

use crate::{
    address::Address,
    audience::Audience,
    deployment, descriptors,
    ledger::Account,
    letter::Letter,
    load::Poster,
    options::Options,
    plan::Pace,
    process::{Usage, listener_of},
    quantiles::Quantiles,
    socket::{Dialect, Socket},
    trial::{self, Load},
};

/// How many sockets are opened at once.
const OPENING_MAX: usize = 64;
/// How many connections send in a closed loop: few messages at once are many frames.
const LANES: u32 = 4;
/// What the edges' processes are called.
const EDGE: &str = "edge";

/// What the edges did.
#[derive(Clone, Debug, Serialize)]
pub struct FanOutReport {
    /// What was sent and what arrived.
    pub account: Account,
    /// How many listened.
    pub sockets: usize,
    /// Text frames at all sockets: messages, and the states that follow them.
    pub frames: u64,
    /// Frames a second, from the first message to the last arrival.
    pub frames_per_s: f64,
    /// CPU cores that the edges' processes used, on average.
    pub edge_cores: f64,
    /// Frames for each second of CPU time of the edges' processes.
    pub frames_per_core_s: f64,
    /// From sending to each socket.
    pub delivery: Quantiles,
    /// CPU time by process.
    pub cpu: Vec<Usage>,
}

/// Opens the sockets, sends, and counts what comes out.
pub(crate) async fn measure(
    options: &Options,
    sockets: u32,
    seconds: u32,
    pace: Pace,
) -> anyhow::Result<FanOutReport> {
    descriptors::allow(sockets)?;
    let edges = options.edge_addresses()?;
    let processes = processes(options, &edges)?;
    let load = Load {
        pace,
        seconds,
        warmup_seconds: options.warmup_seconds,
        stragglers_wait: Duration::from_secs(options.stragglers_seconds.into()),
        lanes: options.connections.min(LANES),
        conversations: options.conversations,
        text_bytes: options.text_bytes,
        processes: &processes,
    };
    let plan = load.plan();
    let frames = Arc::new(AtomicU64::new(0));
    let mut audience = Audience::new(&plan);
    let opening = (0..sockets)
        .zip(edges.iter().cycle())
        .map(|(number, edge)| Socket::open(Dialect::Crm, edge, &options.credential, number));
    let mut opened = futures::stream::iter(opening).buffer_unordered(OPENING_MAX);
    while let Some(socket) =
        opened.try_next().await.with_context(|| format!("after {} sockets", audience.size()))?
    {
        audience.join(None, socket.counting(frames.clone()));
    }
    let ingest = Address::parse(&options.ingest)?;
    let letter = Letter::new(&ingest, &plan, load.text_bytes, &options.entrance);
    let posters = Poster::several(load.lanes, &ingest, &letter, deployment::also_durable(options)).await?;
    let (measured, _) = trial::run(&plan, posters, audience, &load).await?;
    let frames = frames.load(Ordering::Relaxed);
    let acknowledged = f64::from(measured.account.acknowledged);
    let edges = measured.cpu.iter().filter(|usage| usage.name.starts_with(EDGE));
    let (edge_us, edge_cores) =
        edges.fold((0.0, 0.0), |(us, cores), usage| (us + usage.us_per_message, cores + usage.cores));
    let frames_f64 = count(frames);
    Ok(FanOutReport {
        sockets: measured.sockets,
        frames,
        frames_per_s: frames_f64 * measured.delivered_per_s / acknowledged.max(1.0),
        edge_cores,
        frames_per_core_s: frames_f64 * 1e6 / (edge_us * acknowledged).max(1.0),
        delivery: measured.delivery,
        cpu: measured.cpu,
        account: measured.account,
    })
}

/// Frames as a number that can be divided.
fn count(frames: u64) -> f64 {
    Duration::from_micros(frames).as_secs_f64() * 1e6
}

/// The processes whose CPU time counts as the edges'.
fn processes(options: &Options, edges: &[Address]) -> anyhow::Result<Vec<(String, u32)>> {
    if !options.processes.is_empty() {
        return Ok(options.processes.clone());
    }
    edges.iter().map(|edge| Ok((format!("{EDGE} :{}", edge.port), listener_of(edge.port)?))).collect()
}
