use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::tally::{Answered, Webhook};
use crate::{process::Usage, report};

/// The longest that 99 of 100 answers may take to be decided, microseconds: what is promised of flows and rules.
const DECIDED_P99_US_MAX: u64 = 25_000;
/// The part of the rate that must be reached before the run says anything of it.
const RATE_KEPT_MIN: f64 = 0.98;

/// How the built-in bot answered.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AnswersReport {
    /// Messages a second that were asked for.
    pub rate_per_s: u32,
    /// Messages a second that contacts wrote.
    pub achieved_per_s: f64,
    /// How many contacts wrote.
    pub conversations: u32,
    /// Steps of the flow.
    pub flow: Answered,
    /// What a rule or the fallback answers.
    pub plain: Answered,
    /// Both.
    pub both: Answered,
    /// First messages of contacts that nothing answered; those contacts wrote no more.
    pub openings_never: u32,
    /// Walks through the flow that came to their end.
    pub walks: usize,
    /// Appointments that they left behind; as many, where the deployment has the flow and the register of `chasqui up`.
    pub appointments: usize,
    /// What the webhook said.
    pub webhook: Webhook,
    /// The longest that 99 of 100 answers may take to be decided, microseconds.
    pub target_p99_us: u64,
    /// Whether both kinds were within it, with all of their messages, at the rate that was asked for.
    pub is_on_target: bool,
    /// CPU time by process for each answered message.
    pub cpu: Vec<Usage>,
    /// What makes the figures less than they seem.
    pub warnings: Vec<String>,
}

impl AnswersReport {
    /// Whether everything was answered once, and every walk made one appointment.
    pub(crate) fn is_clean(&self) -> bool {
        self.both.twice + self.both.never + self.openings_never == 0 && self.walks == self.appointments
    }

    /// The same report, held against the target.
    pub(super) fn judged(self) -> Self {
        let is_fast = |Answered { never, decided, .. }: &Answered| {
            *never == 0 && decided.count > 0 && decided.p99_us <= DECIDED_P99_US_MAX
        };
        let is_on_target = self.is_rate_kept() && is_fast(&self.flow) && is_fast(&self.plain);
        Self { target_p99_us: DECIDED_P99_US_MAX, is_on_target, ..self }
    }

    pub(super) fn is_rate_kept(&self) -> bool {
        self.achieved_per_s >= RATE_KEPT_MIN * f64::from(self.rate_per_s)
    }
}

impl Display for AnswersReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kinds = [("flow", &self.flow), ("rule, fallback", &self.plain), ("both", &self.both)];
        let quantiles = report::QUANTILES;
        writeln!(
            f,
            "decided, ms    {quantiles:>43}{:>10}{:>7}{:>7}{:>7}",
            "messages", "once", "twice", "never"
        )?;
        for (name, answered) in kinds {
            let Answered { messages, once, twice, never, decided, .. } = answered;
            let times = report::quantiles(decided);
            writeln!(f, "{name:<15}{times}{messages:>10}{once:>7}{twice:>7}{never:>7}")?;
        }
        writeln!(f, "from the webhook, ms")?;
        for (name, answered) in kinds {
            writeln!(f, "{name:<15}{}", report::quantiles(&answered.from_webhook))?;
        }
        writeln!(f, "webhook's answer, ms")?;
        writeln!(f, "{:15}{}", "", report::quantiles(&self.webhook.acknowledgement))?;
        writeln!(f, "\n{}", self.verdict())?;
        self.fmt_account(f)?;
        writeln!(f, "\nCPU: µs a message (cores)")?;
        self.cpu.iter().try_for_each(|usage| usage.fmt(f))?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "note: {warning}"))
    }
}

impl AnswersReport {
    fn verdict(&self) -> String {
        let target =
            format!("target: p99 at most {} ms at {} a second", self.target_p99_us / 1_000, self.rate_per_s);
        let verdict = match (self.is_on_target, self.is_rate_kept()) {
            (true, _) => "met",
            (false, true) => "MISSED",
            (false, false) => "not shown, since fewer were written",
        };
        format!("{target}: {verdict}")
    }

    fn fmt_account(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Webhook { sent, acknowledged, failed, refused, .. } = &self.webhook;
        writeln!(
            f,
            "{:.1} messages a second by {} contacts; {sent} sent, {acknowledged} acknowledged, {failed} without answer",
            self.achieved_per_s, self.conversations
        )?;
        for (status, count) in refused {
            writeln!(f, "{count} answered {status}")?;
        }
        if self.openings_never > 0 {
            writeln!(f, "{} contacts had no answer to their first message", self.openings_never)?;
        }
        let Self { walks, appointments, .. } = self;
        writeln!(f, "{walks} walks through the flow made {appointments} appointments")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Quantiles;

    fn answered(p99_us: u64) -> Answered {
        let decided = Quantiles { count: 100, p99_us, ..Quantiles::default() };
        Answered { messages: 100, once: 100, decided, ..Answered::default() }
    }

    fn report(flow_p99_us: u64, achieved_per_s: f64) -> AnswersReport {
        AnswersReport {
            rate_per_s: 300,
            achieved_per_s,
            flow: answered(flow_p99_us),
            plain: answered(1_000),
            walks: 3,
            appointments: 3,
            ..AnswersReport::default()
        }
    }

    #[test]
    fn each_kind_must_be_within_the_target_at_the_whole_rate() {
        for (flow_p99_us, achieved_per_s, verdict) in
            [(25_000, 294.0, "met"), (25_001, 300.0, "MISSED"), (25_000, 293.9, "not shown")]
        {
            let report = report(flow_p99_us, achieved_per_s).judged();
            assert_eq!(report.is_on_target, verdict == "met");
            assert!(report.to_string().contains(&format!("25 ms at 300 a second: {verdict}")), "{report}");
        }
    }

    #[test]
    fn what_is_never_answered_is_not_within_the_target() {
        let mut report = report(1, 300.0);
        report.plain.never = 1;
        assert!(report.judged().to_string().contains("MISSED"));
    }

    #[test]
    fn a_walk_without_an_appointment_is_no_walk() {
        assert!(report(1, 300.0).is_clean());
        for appointments in [2, 4] {
            assert!(!AnswersReport { appointments, ..report(1, 300.0) }.is_clean());
        }
        assert!(!AnswersReport { openings_never: 1, ..report(1, 300.0) }.is_clean());
    }
}
