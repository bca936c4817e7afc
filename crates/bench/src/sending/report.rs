use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::{
    pair::PairReport,
    simulator::Refusals,
    tally::{Handover, Pace},
};
use crate::{process::Usage, quantiles::Quantiles, report};

/// How a number sent.
#[derive(Clone, Debug, Serialize)]
pub struct SendingReport {
    /// The number.
    pub number: String,
    /// What it may send a second.
    pub limit_per_s: u32,
    /// How long handing the campaign in took, seconds.
    pub handing_seconds: f64,
    /// How fast it sent.
    pub pace: Pace,
    /// What became of the campaign.
    pub campaign: Handover,
    /// The replies that went meanwhile.
    pub replies: RepliesReport,
    /// The one contact.
    pub pair: PairReport,
    /// What the provider refused.
    pub refusals: Refusals,
    /// CPU time by process while the campaign ran, for each of its messages.
    pub cpu: Vec<Usage>,
}

/// How replies fared beside the campaign.
#[derive(Clone, Debug, Serialize)]
pub struct RepliesReport {
    /// What became of them.
    pub handover: Handover,
    /// From the deployment's answer until the provider took it.
    pub to_provider: Quantiles,
}

impl SendingReport {
    /// Whether nothing was lost or sent twice, and no limit was broken.
    pub(crate) fn is_clean(&self) -> bool {
        let all_once = |handover: &Handover| handover.lost + handover.twice == 0 && handover.taken > 0;
        let Refusals { of_pairs, of_numbers, .. } = self.refusals;
        all_once(&self.campaign)
            && all_once(&self.replies.handover)
            && self.pair.is_clean()
            && of_pairs + of_numbers == 0
    }
}

impl Display for SendingReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Pace { middle_per_s, busiest_second } = self.pace;
        let share = 100.0 * middle_per_s / f64::from(self.limit_per_s.max(1));
        writeln!(f, "{middle_per_s:.2} a second in the middle, {share:.1} % of its limit")?;
        writeln!(f, "{busiest_second} in the busiest second")?;
        writeln!(f, "campaign: {}; handed in within {:.1} s", self.campaign, self.handing_seconds)?;
        let Refusals { by_code, of_pairs, of_numbers } = &self.refusals;
        writeln!(f, "limits broken: of the number {of_numbers}, of contacts {of_pairs}")?;
        for (code, count) in by_code {
            writeln!(f, "the provider refused {count} with {code}")?;
        }
        writeln!(f, "\nreplies, ms    {:>43}", report::QUANTILES)?;
        writeln!(f, "{:15}{}", "", report::quantiles(&self.replies.to_provider))?;
        writeln!(f, "replies: {}", self.replies.handover)?;
        self.pair.fmt(f)?;
        writeln!(f, "\nCPU: µs a message (cores)")?;
        self.cpu.iter().try_for_each(|usage| usage.fmt(f))
    }
}

impl Display for Handover {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { handed, acknowledged, taken, lost, twice, refused } = self;
        write!(f, "{handed} sent, {acknowledged} acknowledged, {taken} arrived, {lost} lost, {twice} twice")?;
        refused.iter().try_for_each(|(why, count)| write!(f, ", {count} answered {why}"))
    }
}

impl Display for PairReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { messages, at_once, burst_ms, next_after_ms, spare_ms, handover } = self;
        write!(f, "one contact: {at_once} of {messages} at once, within {burst_ms} ms")?;
        if let (Some(next_after_ms), Some(spare_ms)) = (next_after_ms, spare_ms) {
            write!(f, ", the next {next_after_ms} ms after the first; limits kept by {spare_ms} ms")?;
        }
        writeln!(f, "; {} have arrived, {} twice", handover.taken, handover.twice)
    }
}
