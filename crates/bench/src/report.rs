//! What a run found, as a table for people and as JSON for programs.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::{
    answers::AnswersReport, campaign::CampaignReport, fan_out::FanOutReport, idle::IdleReport,
    ledger::Account, listeners::ListenersReport, machine::Machine, process::Usage, quantiles::times,
    resume::ResumeReport, sending::SendingReport, stored::Stored, storm::StormReport, trial::Measurement,
};

/// What a run found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was asked for, in words.
    pub title: String,
    /// What it ran on.
    pub machine: Machine,
    /// What it found.
    pub findings: Findings,
}

/// What a run found, by mode.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Findings {
    /// Messages were sent.
    Path(Box<PathReport>),
    /// Sockets stood open.
    Idle(IdleReport),
    /// Messages went to many sockets.
    FanOut(FanOutReport),
    /// Clients came back one after another.
    Resume(ResumeReport),
    /// Clients came back all at once.
    Storm(StormReport),
    /// A WhatsApp number sent.
    Sending(Box<SendingReport>),
    /// Events went to many HTTP listeners.
    Listeners(Box<ListenersReport>),
    /// The built-in bot answered.
    Answers(Box<AnswersReport>),
    /// A campaign went from its file to its end.
    Campaign(Box<CampaignReport>),
}

/// The deployment and both floors, under the same load in the same run.
#[derive(Clone, Debug, Serialize)]
pub struct PathReport {
    /// The broker alone: acknowledged publish to subscriber.
    pub floor: Measurement,
    /// The bare path: POST, acknowledged publish, WebSocket; nothing stored.
    pub bare: Measurement,
    /// The deployment.
    pub chasqui: Measurement,
    /// How many times as much the deployment takes, or how much of it goes through.
    pub to_floor: Ratios,
    /// The same, held against the bare path.
    pub to_bare: Ratios,
    /// What the history holds of it, where that was asked.
    pub stored: Option<Stored>,
    /// What makes the figures less than they seem.
    pub warnings: Vec<String>,
}

/// One path's figures divided by another's; `None` where the other has none.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ratios {
    /// Of the median delivery.
    pub p50: Option<f64>,
    /// Of the 99th percentile.
    pub p99: Option<f64>,
    /// Of the messages delivered a second.
    pub delivered_per_s: Option<f64>,
}

impl Ratios {
    /// `one` divided by `other`.
    pub(crate) fn of(one: &Measurement, other: &Measurement) -> Self {
        let rate = other.delivered_per_s;
        Self {
            p50: times(one.delivery.p50_us, other.delivery.p50_us),
            p99: times(one.delivery.p99_us, other.delivery.p99_us),
            delivered_per_s: (rate > 0.0).then(|| one.delivered_per_s / rate),
        }
    }
}

impl Report {
    /// Whether nothing was lost, doubled, out of order, misdelivered, or missing from the history. Speed is not judged.
    pub fn is_clean(&self) -> bool {
        match &self.findings {
            Findings::Path(path) => {
                path.chasqui.account.is_clean() && path.stored.is_none_or(Stored::is_clean)
            }
            Findings::Idle(idle) => idle.closed_early == 0,
            Findings::FanOut(fan_out) => fan_out.account.is_clean(),
            Findings::Resume(resume) => resume.is_clean(),
            Findings::Storm(storm) => storm.is_clean(),
            Findings::Sending(sending) => sending.is_clean(),
            Findings::Listeners(listeners) => listeners.is_clean(),
            Findings::Answers(answers) => answers.is_clean(),
            Findings::Campaign(campaign) => campaign.is_clean(),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Machine { cpus, model, kernel } = &self.machine;
        writeln!(f, "{}\n{cpus} × {model}, Linux {kernel}\n", self.title)?;
        match &self.findings {
            Findings::Path(path) => path.fmt(f),
            Findings::Idle(idle) => idle.fmt(f),
            Findings::FanOut(fan_out) => fan_out.fmt(f),
            Findings::Resume(resume) => resume.fmt(f),
            Findings::Storm(storm) => storm.fmt(f),
            Findings::Sending(sending) => sending.fmt(f),
            Findings::Listeners(listeners) => listeners.fmt(f),
            Findings::Answers(answers) => answers.fmt(f),
            Findings::Campaign(campaign) => campaign.fmt(f),
        }
    }
}

impl Display for PathReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let paths = [("broker alone", &self.floor), ("bare path", &self.bare), ("Chasqui", &self.chasqui)];
        writeln!(
            f,
            "{:<14}{:>9}{:>9}{:>9}{:>9}{:>9}{:>12}{:>7}{:>7}{:>10}",
            "to socket, ms", "p50", "p95", "p99", "p99.9", "max", "delivered/s", "lost", "twice", "disorder"
        )?;
        for (name, path) in paths {
            let times = quantiles(&path.delivery);
            let account = &path.account;
            writeln!(
                f,
                "{name:<14}{times}{:>12.0}{:>7}{:>7}{:>10}",
                path.delivered_per_s, account.lost, account.duplicated, account.out_of_order
            )?;
        }
        writeln!(f, "\nto answer, ms")?;
        for (name, path) in paths {
            writeln!(f, "{name:<14}{}{:>12.0}", quantiles(&path.acknowledgement), path.acknowledged_per_s)?;
        }
        writeln!(f)?;
        writeln!(f, "Chasqui is {} of the bare path, {} of the broker alone", self.to_bare, self.to_floor)?;
        for (name, path) in paths {
            writeln!(f, "\nCPU, {name}: µs a message (cores)")?;
            path.cpu.iter().try_for_each(|usage| usage.fmt(f))?;
        }
        self.fmt_account(f)
    }
}

impl PathReport {
    fn fmt_account(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let account = &self.chasqui.account;
        writeln!(
            f,
            "\n{} sent, {} acknowledged, {} without answer; {} of {} copies at {} sockets",
            account.sent,
            account.acknowledged,
            account.failed,
            account.delivered,
            account.expected,
            self.chasqui.sockets
        )?;
        for (status, count) in &account.refused {
            writeln!(f, "{count} answered {status}")?;
        }
        for (count, what) in [
            (account.misdelivered, "copies at another contact's socket"),
            (account.unacknowledged, "copies of messages that were not acknowledged (no fault)"),
            (account.closed_early, "sockets closed by the other side"),
        ] {
            if count > 0 {
                writeln!(f, "{count} {what}")?;
            }
        }
        if let Some(stored) = self.stored {
            writeln!(f, "history: {} of {} found, {} twice", stored.found, stored.expected, stored.twice)?;
        }
        self.warnings.iter().try_for_each(|warning| writeln!(f, "note: {warning}"))
    }
}

impl Display for Ratios {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("×{ratio:.2}"));
        let (p50, p99, rate) = (ratio(self.p50), ratio(self.p99), ratio(self.delivered_per_s));
        write!(f, "p50 {p50}, p99 {p99}, rate {rate}")
    }
}

impl Display for Usage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {:<22}{:>9.0}  ({:.2})", self.name, self.us_per_message, self.cores)
    }
}

impl Display for IdleReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:.1} KiB resident a socket", self.kib_per_socket)?;
        writeln!(
            f,
            "{} sockets opened in {:.1} s; edge {} KiB before, {} KiB open, {} KiB closed; {} closed early",
            self.sockets,
            self.opening_seconds,
            self.before_kib,
            self.open_kib,
            self.closed_kib,
            self.closed_early
        )
    }
}

pub(crate) const QUANTILES: &str = "p50      p95      p99    p99.9      max";

impl Display for FanOutReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:.0} frames a second for each core of the edges", self.frames_per_core_s)?;
        writeln!(
            f,
            "{} frames at {} sockets, {:.0} a second, by {:.2} cores of the edges",
            self.frames, self.sockets, self.frames_per_s, self.edge_cores
        )?;
        writeln!(f, "to socket, ms  {QUANTILES:>43}\n{:15}{}", "", quantiles(&self.delivery))?;
        writeln!(f, "\nCPU: µs a message (cores)")?;
        self.cpu.iter().try_for_each(|usage| usage.fmt(f))?;
        fmt_copies(&self.account, f)
    }
}

impl Display for ResumeReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "to have all, ms{QUANTILES:>43}\n{:15}{}", "", quantiles(&self.complete))?;
        writeln!(
            f,
            "{} clients missed {} messages each; {} incomplete, {} with doubles or disorder, {} told to reload",
            self.clients, self.missed, self.incomplete, self.disordered, self.not_recovered
        )
    }
}

impl Display for StormReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "to be back, ms {QUANTILES:>43}\n{:15}{}", "", quantiles(&self.back))?;
        writeln!(f, "to socket, ms\n{:15}{}", "", quantiles(&self.delivery))?;
        writeln!(
            f,
            "{} returns of {} clients; {} attempts failed, {} told to reload, {} closed by the other side",
            self.back.count, self.clients, self.attempts_failed, self.not_recovered, self.closed
        )?;
        let ready = self.readiness;
        writeln!(
            f,
            "/readyz asked {} times: {} not ready, {} without answer",
            ready.asked, ready.not_ready, ready.unanswered
        )?;
        fmt_copies(&self.account, f)
    }
}

pub(crate) fn fmt_copies(account: &Account, f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(
        f,
        "{} sent, {} acknowledged; {} of {} copies, {} lost, {} twice, {} out of order",
        account.sent,
        account.acknowledged,
        account.delivered,
        account.expected,
        account.lost,
        account.duplicated,
        account.out_of_order
    )
}

pub(crate) fn quantiles(quantiles: &crate::Quantiles) -> String {
    let columns = [quantiles.p50_us, quantiles.p95_us, quantiles.p99_us, quantiles.p999_us, quantiles.max_us];
    let milliseconds = |us: u64| std::time::Duration::from_micros(us).as_secs_f64() * 1e3;
    columns.map(|us| format!("{:>9.2}", milliseconds(us))).concat()
}
