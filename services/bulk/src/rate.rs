//! How fast something is counted, lately. Pure.

use std::collections::VecDeque;

/// How far back "lately" goes, milliseconds.
const LATELY_MS: i64 = 5_000;
/// Counts closer to each other than this are one, milliseconds.
const SPACING_MS: i64 = 100;
/// A rate is never worked out from less time than this, milliseconds: the first few would make it look high.
const SPAN_MS_MIN: i64 = 1_000;

/// Counts of the last seconds, at most one each tenth of a second.
#[derive(Debug, Default)]
pub(crate) struct Rate(VecDeque<Sample>);

#[derive(Clone, Copy, Debug)]
struct Sample {
    at_ms: i64,
    count: u32,
}

impl Rate {
    /// So many were counted at `now_ms`. A count that is lower than the one before, and a clock that was put back, begin anew.
    pub(crate) fn note(&mut self, count: u32, now_ms: i64) {
        let sample = Sample { at_ms: now_ms, count };
        if self.0.back().is_some_and(|last| count < last.count || now_ms < last.at_ms) {
            self.0.clear();
        }
        let before = self.0.iter().rev().nth(1).map(|before| before.at_ms);
        if before.is_some_and(|before_ms| now_ms - before_ms < SPACING_MS) {
            self.0.pop_back();
        }
        self.0.push_back(sample);
        while self.0.get(1).is_some_and(|second| now_ms - second.at_ms >= LATELY_MS) {
            self.0.pop_front();
        }
    }

    /// How many a second were counted lately.
    pub(crate) fn per_second(&self) -> f64 {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else { return 0.0 };
        let (span_ms, counted) = ((last.at_ms - first.at_ms).max(SPAN_MS_MIN), last.count - first.count);
        f64::from(counted) * 1_000.0 / f64::from(i32::try_from(span_ms).unwrap_or(i32::MAX))
    }

    /// How long `left` more take at this rate, seconds; `None` while that cannot be told.
    pub(crate) fn remaining_secs(&self, left: u32) -> Option<u32> {
        let per_second = self.per_second();
        let seconds = (f64::from(left) / per_second).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it lies between the bounds"
        )]
        let seconds = (per_second > 0.0).then(|| seconds.clamp(0.0, f64::from(u32::MAX)) as u32);
        seconds
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A rate after these counts, one each 200 ms.
    fn after(counts: impl IntoIterator<Item = u32>) -> Rate {
        let mut rate = Rate::default();
        for (count, at_ms) in counts.into_iter().zip((1_000_000..).step_by(200)) {
            rate.note(count, at_ms);
        }
        rate
    }

    fn check(rate: &Rate, expected: f64) {
        assert!((rate.per_second() - expected).abs() < expected * 0.01 + 0.01, "{}", rate.per_second());
    }

    #[test]
    fn an_even_pace_is_measured_as_it_is() {
        check(&after((0..100).map(|step| step * 16)), 80.0);
        assert_eq!(after((0..100).map(|step| step * 16)).remaining_secs(800), Some(10));
    }

    #[test]
    fn before_anything_was_counted_nothing_is_known() {
        check(&Rate::default(), 0.0);
        assert_eq!(after([7]).remaining_secs(800), None);
    }

    #[test]
    fn the_first_moments_do_not_make_it_look_high() {
        check(&after([0, 64]), 64.0);
    }

    #[test]
    fn what_stands_still_has_no_rate_five_seconds_later() {
        check(&after((0..50).map(|step| step * 16).chain([784; 26])), 0.0);
    }

    #[test]
    fn those_who_get_their_turn_again_are_no_negative_rate() {
        check(&after([100, 200, 20, 30]), 10.0);
    }

    proptest! {
        #[test]
        fn the_memory_is_bounded_and_nothing_panics(
            counts in proptest::collection::vec((any::<u32>(), -50i64..700), 0..400)
        ) {
            let (mut rate, mut now_ms) = (Rate::default(), 0);
            for (count, gap) in counts {
                now_ms += gap;
                rate.note(count, now_ms);
                prop_assert!(rate.per_second() >= 0.0);
                prop_assert!(rate.0.len() <= 110);
                let _ = rate.remaining_secs(count);
            }
        }
    }
}
