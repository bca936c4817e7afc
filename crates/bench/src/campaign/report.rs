use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::{
    memory::Memory,
    outcome::Published,
    tally::{Pace, Progress},
};
use crate::{process::Usage, report};

/// How a campaign went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CampaignReport {
    /// Lines of the list.
    pub recipients: u32,
    /// Those that were accepted.
    pub accepted: u32,
    /// From the first byte of the list until the answer, seconds.
    pub upload_seconds: f64,
    /// The length of the list, bytes.
    pub upload_bytes: u64,
    /// What the services held meanwhile.
    pub memory: Vec<Memory>,
    /// Messages a second that it was told to send; none is as fast as its number sends.
    pub rate_per_s: Option<u32>,
    /// How it stood at the end.
    pub status: &'static str,
    /// Messages that the provider took, as progress counted them last.
    pub sent: u32,
    /// Messages that failed, as progress counted them last.
    pub failed: u32,
    /// How fast its messages went out.
    pub pace: Pace,
    /// How that was told.
    pub progress: Progress,
    /// What the stream holds of it.
    pub published: Published,
    /// CPU time by process while it ran, for each recipient.
    pub cpu: Vec<Usage>,
    /// What makes the figures less than they seem.
    pub warnings: Vec<String>,
}

impl CampaignReport {
    /// Whether every recipient was accepted and written to once, and told so.
    pub(crate) fn is_clean(&self) -> bool {
        let Published { once, twice, never } = self.published;
        let all = usize::try_from(self.recipients).unwrap_or(usize::MAX);
        self.accepted == self.recipients
            && self.status == "completed"
            && (once, twice, never) == (all, 0, 0)
            && self.sent + self.failed == self.recipients
    }
}

impl Display for CampaignReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { recipients, accepted, upload_seconds, upload_bytes, .. } = self;
        let rows_per_s = f64::from(*recipients) / upload_seconds.max(f64::MIN_POSITIVE);
        writeln!(
            f,
            "{accepted} of {recipients} recipients accepted within {upload_seconds:.2} s: {rows_per_s:.0} rows a second, \
             {upload_bytes} bytes"
        )?;
        for Memory { name, before_kib, peak_kib, after_kib } in &self.memory {
            let grown_kib = peak_kib.saturating_sub(*before_kib);
            writeln!(
                f,
                "  {name:<22}{before_kib:>9} KiB before, {peak_kib} at the most (+{grown_kib}), {after_kib} after"
            )?;
        }
        let Pace { first_after_seconds, seconds, middle_per_s, busiest_second } = self.pace;
        writeln!(
            f,
            "\n{middle_per_s:.1} messages a second in the middle, {busiest_second} in the busiest second; all within \
             {seconds:.1} s, the first {first_after_seconds:.2} s after the start"
        )?;
        let Progress { told, per_second_max, lag, never_counted } = &self.progress;
        writeln!(f, "\nto progress, ms{:>43}\n{:15}{}", report::QUANTILES, "", report::quantiles(lag))?;
        writeln!(
            f,
            "progress told {told} times, at most {per_second_max} within a second; {never_counted} messages in none"
        )?;
        let Published { once, twice, never } = self.published;
        writeln!(
            f,
            "{}: {} sent, {} failed; published {once} once, {twice} twice, {never} never",
            self.status, self.sent, self.failed
        )?;
        writeln!(f, "\nCPU: µs a recipient (cores)")?;
        self.cpu.iter().try_for_each(|usage| usage.fmt(f))?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "note: {warning}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> CampaignReport {
        CampaignReport {
            recipients: 3,
            accepted: 3,
            upload_seconds: 0.5,
            status: "completed",
            sent: 2,
            failed: 1,
            published: Published { once: 3, twice: 0, never: 0 },
            ..CampaignReport::default()
        }
    }

    #[test]
    fn everybody_is_written_to_once_and_told_so() {
        assert!(report().is_clean());
        for wrong in [
            CampaignReport { accepted: 2, ..report() },
            CampaignReport { status: "cancelled", ..report() },
            CampaignReport { sent: 1, ..report() },
            CampaignReport { published: Published { once: 2, twice: 1, never: 0 }, ..report() },
            CampaignReport { published: Published { once: 2, twice: 0, never: 1 }, ..report() },
        ] {
            assert!(!wrong.is_clean(), "{wrong:?}");
        }
    }

    #[test]
    fn a_report_says_how_many_rows_were_read_a_second() {
        let text = report().to_string();
        assert!(text.starts_with("3 of 3 recipients accepted within 0.50 s: 6 rows a second"), "{text}");
        assert!(text.contains("completed: 2 sent, 1 failed; published 3 once, 0 twice, 0 never"), "{text}");
    }
}
