//! The rate that a plan allows: a token bucket that fills at the plan's rate, and slower while it ramps up. Pure.

use chasqui_proto::v1::{CampaignPlan, Ramp};

/// The rate that a ramp leads to where the plan has none: the highest that a plan may have.
const RAMP_TOP_PER_MINUTE: u32 = 60_000;
/// What was missed is made up for this far back, milliseconds, so that a slow look costs no throughput.
const CATCH_UP_MS: u64 = 1_000;
/// What one message costs. At a rate of one a minute, a millisecond brings one of these.
const MESSAGE: u64 = 60_000;

/// The pace of a campaign.
#[derive(Debug)]
pub(crate) struct Pace {
    /// `None` is as fast as the number sends.
    per_minute: Option<u32>,
    ramp: Option<Ramp>,
    /// What is saved for messages.
    saved: u64,
    filled_at_ms: i64,
}

impl Pace {
    /// The pace of a plan. A campaign that goes on has nothing to catch up with; one that `begins` may write to its first
    /// contact at once.
    pub(crate) fn new(plan: &CampaignPlan, begins: bool, now_ms: i64) -> Self {
        let per_minute = (plan.rate_per_minute > 0).then_some(plan.rate_per_minute);
        Self { per_minute, ramp: plan.ramp, saved: if begins { MESSAGE } else { 0 }, filled_at_ms: now_ms }
    }

    /// How many messages may go now, of a campaign that was started at `started_at_ms`.
    pub(crate) fn allowed(&mut self, started_at_ms: i64, now_ms: i64) -> u32 {
        // The rate at the beginning of the time that passed: the lower one while it grows.
        let rate = self.per_minute_at(started_at_ms, self.filled_at_ms);
        let passed_ms = u64::try_from(now_ms - self.filled_at_ms).unwrap_or(0);
        self.filled_at_ms = now_ms;
        let Some(per_minute) = rate.map(u64::from) else { return u32::MAX };
        let most = (per_minute * CATCH_UP_MS).max(MESSAGE);
        self.saved = per_minute.saturating_mul(passed_ms).saturating_add(self.saved).min(most);
        u32::try_from(self.saved / MESSAGE).unwrap_or(u32::MAX)
    }

    /// So many messages went.
    pub(crate) fn take(&mut self, count: u32) {
        self.saved = self.saved.saturating_sub(u64::from(count) * MESSAGE);
    }

    /// The rate at a moment; `None` is no limit.
    fn per_minute_at(&self, started_at_ms: i64, now_ms: i64) -> Option<u32> {
        let Some(Ramp { from_per_minute, over_secs }) = self.ramp else { return self.per_minute };
        let (passed_ms, over_ms) = ((now_ms - started_at_ms).max(0), i64::from(over_secs) * 1_000);
        if passed_ms >= over_ms {
            return self.per_minute;
        }
        let top = self.per_minute.unwrap_or(RAMP_TOP_PER_MINUTE);
        let from = from_per_minute.clamp(1, top);
        let grown = i64::from(top - from) * passed_ms / over_ms;
        Some(from + u32::try_from(grown).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START_MS: i64 = 1_760_000_000_000;

    fn plan(rate_per_minute: u32, ramp: Option<(u32, u32)>) -> CampaignPlan {
        let ramp = ramp.map(|(from_per_minute, over_secs)| Ramp { from_per_minute, over_secs });
        CampaignPlan { rate_per_minute, ramp, ..CampaignPlan::default() }
    }

    /// When messages go that always wait, with a look every `step_ms`.
    fn times(plan: &CampaignPlan, seconds: i64, step_ms: usize) -> Vec<i64> {
        let (mut pace, mut times) = (Pace::new(plan, true, START_MS), Vec::new());
        for now_ms in (START_MS..START_MS + seconds * 1_000).step_by(step_ms) {
            let allowed = pace.allowed(START_MS, now_ms).min(256);
            pace.take(allowed);
            times.extend((0..allowed).map(|_| now_ms - START_MS));
        }
        times
    }

    fn within(times: &[i64], from_secs: i64, to_secs: i64) -> usize {
        times.iter().filter(|time| (from_secs * 1_000..to_secs * 1_000).contains(*time)).count()
    }

    #[test]
    fn a_rate_is_kept_evenly_and_begins_at_once() {
        let times = times(&plan(600, None), 60, 200);
        assert_eq!(times[0], 0);
        assert!((599..=601).contains(&times.len()), "{}", times.len());
        assert!((0..60).all(|second| within(&times, second, second + 1) <= 11));
    }

    #[test]
    fn one_a_minute_is_one_a_minute() {
        assert_eq!(times(&plan(1, None), 181, 200), [0, 60_000, 120_000, 180_000]);
    }

    #[test]
    fn without_a_rate_there_is_no_limit() {
        assert_eq!(Pace::new(&plan(0, None), false, START_MS).allowed(START_MS, START_MS), u32::MAX);
    }

    #[test]
    fn a_ramp_grows_evenly_to_the_rate() {
        // From 60 to 660 a minute within 100 s: on average 360, which is 6 a second.
        let times = times(&plan(660, Some((60, 100))), 200, 200);
        assert!((590..=600).contains(&within(&times, 0, 100)), "{}", within(&times, 0, 100));
        assert!(within(&times, 0, 10) <= 16);
        assert!((1_098..=1_102).contains(&within(&times, 100, 200)), "{}", within(&times, 100, 200));
    }

    #[test]
    fn a_ramp_without_a_rate_ends_without_a_limit() {
        let mut pace = Pace::new(&plan(0, Some((60, 10))), false, START_MS);
        assert_eq!(pace.allowed(START_MS, START_MS + 1_000), 1);
        pace.allowed(START_MS, START_MS + 10_000);
        assert_eq!(pace.allowed(START_MS, START_MS + 10_001), u32::MAX);
    }

    #[test]
    fn each_start_ramps_anew() {
        let mut pace = Pace::new(&plan(6_000, Some((60, 100))), false, START_MS);
        let resumed_ms = START_MS + 1_000_000;
        pace.allowed(resumed_ms, resumed_ms);
        pace.take(100);
        assert_eq!(pace.allowed(resumed_ms, resumed_ms + 1_000), 1);
    }

    #[test]
    fn what_was_missed_for_long_is_not_made_up_for() {
        let mut pace = Pace::new(&plan(600, None), false, START_MS);
        assert_eq!(pace.allowed(START_MS, START_MS + 3_600_000), 10);
    }

    proptest! {
        #[test]
        fn no_stretch_has_more_than_the_rate_and_what_one_second_makes_up_for(
            rate in 1u32..6_000,
            gaps in proptest::collection::vec(-100i64..3_000, 1..200),
        ) {
            let mut pace = Pace::new(&plan(rate, None), true, START_MS);
            let (mut now_ms, mut latest_ms, mut sent) = (START_MS, START_MS, 0.0);
            for gap in gaps {
                now_ms += gap;
                // A clock that is put back may be counted twice; it is put forward again here to hide nothing else.
                now_ms = now_ms.max(latest_ms);
                latest_ms = now_ms;
                let allowed = pace.allowed(START_MS, now_ms);
                pace.take(allowed);
                sent += f64::from(allowed);
                let seconds = f64::from(i32::try_from(now_ms - START_MS).unwrap()) / 1_000.0;
                prop_assert!(sent <= f64::from(rate) / 60.0 * seconds + 1.001);
            }
        }
    }
}
