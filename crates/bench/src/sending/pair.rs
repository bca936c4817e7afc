//! More messages to one contact than it may get at once. Pure.

use serde::Serialize;

use super::tally::Handover;

/// How many a contact may get at once.
pub(super) const BURST_MAX: usize = 45;
/// How long a burst may take, and how long each message of it is silence afterwards, milliseconds.
const PAUSE_MS: i64 = 6_000;

/// What one contact got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PairReport {
    /// Messages for it.
    pub messages: u32,
    /// How many of them came within the first six seconds.
    pub at_once: usize,
    /// From the first of those to the last, milliseconds.
    pub burst_ms: i64,
    /// From the first to the first after the burst, milliseconds.
    pub next_after_ms: Option<i64>,
    /// By how much the message that came closest to its limit kept it, milliseconds, at the provider; below zero it
    /// came too early, even if the simulator let it pass.
    pub spare_ms: Option<i64>,
    /// What became of them while they were watched; those whose time had not come count as lost.
    pub handover: Handover,
}

impl PairReport {
    /// Reads the arrivals, which are in order.
    pub(super) fn of(messages: u32, times_ms: &[i64], handover: Handover) -> Self {
        let at_once = at_once(times_ms);
        let since_first = |index: usize| times_ms.get(index).map(|time_ms| time_ms - times_ms[0]);
        Self {
            messages,
            at_once,
            burst_ms: at_once.checked_sub(1).and_then(since_first).unwrap_or(0),
            next_after_ms: since_first(at_once).filter(|_| at_once > 0),
            spare_ms: spare_ms(times_ms),
            handover,
        }
    }

    /// Whether it got as many at once as it may, none of them twice, and none too early.
    pub(super) fn is_clean(&self) -> bool {
        let may = BURST_MAX.min(usize::try_from(self.messages).unwrap_or(BURST_MAX));
        self.at_once == may && self.handover.twice == 0 && self.spare_ms.is_none_or(|spare_ms| spare_ms >= 0)
    }
}

/// How many came within the first six seconds.
pub(super) fn at_once(times_ms: &[i64]) -> usize {
    times_ms.iter().take_while(|time_ms| **time_ms - times_ms[0] < PAUSE_MS).count()
}

/// By how much the messages after each burst kept away from it, at the least.
fn spare_ms(times_ms: &[i64]) -> Option<i64> {
    let mut spare = None::<i64>;
    let mut begun = times_ms.first().copied()?;
    let mut count = 0;
    for &time_ms in times_ms {
        if time_ms < begun + PAUSE_MS && count < BURST_MAX {
            count += 1;
            continue;
        }
        let silence_ms = PAUSE_MS * i64::try_from(count).unwrap_or(i64::MAX);
        let kept_ms = time_ms - begun - silence_ms;
        spare = Some(spare.map_or(kept_ms, |least| least.min(kept_ms)));
        (begun, count) = (time_ms, 1);
    }
    spare
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(times_ms: &[i64]) -> PairReport {
        PairReport::of(60, times_ms, Handover::default())
    }

    #[test]
    fn a_burst_is_followed_by_six_seconds_of_silence_for_each_of_it() {
        let burst = (0..45).map(|index| index * 13);
        let kept: Vec<i64> = burst.clone().chain([270_007, 270_020, 282_030]).collect();
        let report = pair(&kept);
        assert_eq!((report.at_once, report.burst_ms, report.next_after_ms), (45, 572, Some(270_007)));
        assert_eq!(report.spare_ms, Some(7));
        assert!(report.is_clean());
        let early: Vec<i64> = burst.chain([269_960]).collect();
        assert_eq!(pair(&early).spare_ms, Some(-40));
        assert!(!pair(&early).is_clean());
    }

    #[test]
    fn a_burst_of_46_breaks_the_limit() {
        let times: Vec<i64> = (0..46).map(|index| index * 13).collect();
        assert_eq!((pair(&times).at_once, pair(&times).spare_ms), (46, Some(45 * 13 - 270_000)));
    }

    #[test]
    fn nothing_at_all_is_no_burst() {
        let report = pair(&[]);
        assert_eq!((report.at_once, report.spare_ms, report.next_after_ms), (0, None, None));
        assert!(!report.is_clean());
    }
}
