//! One run, from options to report.

use std::time::Duration;

use anyhow::Context;

use crate::{
    answers, bare, campaign, deployment, fan_out,
    floor::Floor,
    idle,
    letter::Entrance,
    listeners::{self, Cast},
    machine::Machine,
    options::{Mode, Options},
    plan::Pace,
    process,
    report::{Findings, PathReport, Ratios, Report},
    resume,
    sending::{self, Task},
    socket::Dialect,
    storm,
    trial::{Load, Measurement},
};

/// How late the sender may be at the 99th percentile before the report says so, microseconds.
const LATENESS_MAX_US: u64 = 3_000;

/// Measures a running deployment. What is lost or doubled is told by the report, not by an error; an error is what kept
/// the bench from measuring.
pub async fn run(options: Options) -> anyhow::Result<Report> {
    options.check()?;
    let findings = match options.mode {
        Mode::Idle { sockets, process } => Findings::Idle(idle::measure(&options, sockets, process).await?),
        Mode::Latency { rate_per_s, seconds } => path(&options, Pace::Open { rate_per_s }, seconds).await?,
        Mode::Throughput { seconds } => path(&options, Pace::Closed, seconds).await?,
        Mode::FanOut { sockets, rate_per_s, seconds } => {
            let pace = rate_per_s.map_or(Pace::Closed, |rate_per_s| Pace::Open { rate_per_s });
            Findings::FanOut(fan_out::measure(&options, sockets, seconds, pace).await?)
        }
        Mode::Resume { clients, missed, at_once } => {
            Findings::Resume(resume::measure(&options, clients, missed, at_once as usize).await?)
        }
        Mode::Storm { clients, rate_per_s, seconds } => {
            Findings::Storm(storm::measure(&options, clients, rate_per_s, seconds).await?)
        }
        Mode::Sending { rate_per_s, seconds, pair_seconds } => {
            let task = Task { rate_per_s, seconds, pair_seconds };
            Findings::Sending(Box::new(sending::measure(&options, task).await?))
        }
        Mode::Listeners { listeners, hanging, failing, rate_per_s, seconds } => {
            let cast = Cast { all: listeners, hanging, failing };
            Findings::Listeners(Box::new(listeners::measure(&options, cast, rate_per_s, seconds).await?))
        }
        Mode::Answers { rate_per_s, seconds } => {
            Findings::Answers(Box::new(answers::measure(&options, rate_per_s, seconds).await?))
        }
        Mode::Campaign { recipients, rate_per_s } => {
            Findings::Campaign(Box::new(campaign::measure(&options, recipients, rate_per_s).await?))
        }
    };
    Ok(Report { title: title(&options), machine: Machine::here(), findings })
}

async fn path(options: &Options, pace: Pace, seconds: u32) -> anyhow::Result<Findings> {
    let load = Load {
        pace,
        seconds,
        stragglers_wait: Duration::from_secs(options.stragglers_seconds.into()),
        warmup_seconds: options.warmup_seconds,
        lanes: options.connections,
        conversations: options.conversations,
        text_bytes: options.text_bytes,
        processes: &options.processes,
    };
    let (floor, bare) = floors(options, &load).await?;
    let (chasqui, stored) = deployment::measure(options, &load).await?;
    let report = PathReport {
        to_floor: Ratios::of(&chasqui, &floor),
        to_bare: Ratios::of(&chasqui, &bare),
        warnings: warnings(options, [&floor, &bare, &chasqui]),
        floor,
        bare,
        chasqui,
        stored,
    };
    Ok(Findings::Path(Box::new(report)))
}

/// Both floors. The bench's stream is removed whatever comes of them.
async fn floors(options: &Options, load: &Load<'_>) -> anyhow::Result<(Measurement, Measurement)> {
    let floor = Floor::open(&options.nats).await?;
    let measured = async {
        let alone = floor.measure(load).await.context("the broker alone could not be measured")?;
        // The bare path gets as many sockets as hear each message of the deployment.
        let sockets = match options.dialect {
            Dialect::Crm => options.sockets_per_edge * u32::try_from(options.edges.len())?,
            Dialect::Widget => 1,
        };
        let bare =
            bare::measure(&floor, load, sockets).await.context("the bare path could not be measured")?;
        Ok((alone, bare))
    };
    let measured = measured.await;
    floor.close().await?;
    measured
}

fn warnings(options: &Options, paths: [&Measurement; 3]) -> Vec<String> {
    let mut warnings = Vec::new();
    if options.edges.contains(&options.ingest) {
        warnings.push("an edge is the ingest's own process: its sockets are not on another one".to_owned());
    }
    for (name, path) in ["broker alone", "bare path", "Chasqui"].into_iter().zip(paths) {
        if let Some(cores) = process::others_cores(&path.cpu) {
            warnings.push(format!("{name}: other processes used {cores:.2} cores meanwhile"));
        }
        if path.lateness.p99_us > LATENESS_MAX_US {
            let late_us = path.lateness.p99_us;
            warnings.push(format!("{name}: the sender was {late_us} µs late at p99; what is late counts"));
        }
    }
    warnings
}

fn title(options: &Options) -> String {
    let sockets = match options.dialect {
        Dialect::Crm => format!("{} staff socket(s) on each of", options.sockets_per_edge),
        Dialect::Widget => "Socket.IO widgets on".to_owned(),
    };
    let edges = options.edges.len();
    let entrance = match options.entrance {
        Entrance::Webhook { .. } => "webhook",
        Entrance::BotReply { .. } => "bot-reply",
    };
    let load = match options.mode {
        Mode::Latency { rate_per_s, seconds } => format!("open loop, {rate_per_s} a second for {seconds} s"),
        Mode::Throughput { seconds } => {
            format!("closed loop, {} connections for {seconds} s", options.connections)
        }
        Mode::Idle { sockets, .. } => return format!("{sockets} idle {}", kind(options)),
        Mode::FanOut { sockets, rate_per_s: None, .. } => {
            return format!("as many messages as go through to each of {sockets} {}", kind(options));
        }
        Mode::FanOut { sockets, rate_per_s: Some(rate), .. } => {
            return format!("{rate} messages a second to each of {sockets} {}", kind(options));
        }
        Mode::Resume { clients, missed, at_once } => {
            let kind = kind(options);
            return format!("{clients} {kind} come back, {at_once} at once, after {missed} messages each");
        }
        Mode::Storm { clients, rate_per_s, .. } => {
            let kind = kind(options);
            return format!("{clients} {kind} cut at once while {rate_per_s} messages a second flow");
        }
        Mode::Sending { rate_per_s, seconds, .. } => {
            return format!("a number that may send {rate_per_s} a second sends for {seconds} s");
        }
        Mode::Listeners { listeners, rate_per_s, seconds, .. } => {
            return format!(
                "{rate_per_s} messages a second for {seconds} s to each of {listeners} listeners"
            );
        }
        Mode::Campaign { recipients, rate_per_s } => {
            let rate = rate_per_s.map_or_else(
                || "as fast as its number sends".to_owned(),
                |rate| format!("at most {rate} a second"),
            );
            return format!("a campaign to {recipients} recipients, {rate}");
        }
        Mode::Answers { rate_per_s, seconds } => {
            let contacts = options.conversations;
            return format!(
                "{contacts} contacts write {rate_per_s} messages a second for {seconds} s to the built-in bot"
            );
        }
    };
    format!("{load}, {entrance} → {sockets} {edges} edge(s), texts of {} bytes", options.text_bytes)
}

fn kind(options: &Options) -> &'static str {
    match options.dialect {
        Dialect::Crm => "JSON WebSockets",
        Dialect::Widget => "Socket.IO sockets",
    }
}
