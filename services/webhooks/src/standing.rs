//! How a listener stands: whether it answers, how much it is given at once, what is told of it.

use std::time::{Duration, Instant};

use chasqui_proto::v1::ListenerState;

/// After this many silent attempts in a row the next one is of two conversations: it may be the event that is at fault.
const DOUBT_AFTER: u32 = 2;

/// A listener, as its lane sees it. Pure; times come in.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Attempts that got no answer since the last one that did.
    silences: u32,
    /// Attempts in a row that it refused.
    refusals: u32,
    /// How many attempts it has earned to be given at once.
    earned: u32,
    earned_max: u32,
    refusals_max: u32,
    resting_until: Option<Instant>,
    pub(crate) told: ListenerState,
}

impl Standing {
    /// A listener of which `told` was said last.
    pub(crate) fn new(told: ListenerState, earned_max: u32, refusals_max: u32) -> Self {
        Self { silences: 0, refusals: 0, earned: 1, earned_max, refusals_max, resting_until: None, told }
    }

    /// It took an event.
    pub(crate) fn delivered(&mut self, now_ms: i64) {
        (self.silences, self.refusals) = (0, 0);
        self.earned = (self.earned + 1).min(self.earned_max);
        self.told.delivered += 1;
        self.told.failures_in_a_row = 0;
        self.told.last_delivered_at_ms = now_ms;
    }

    /// It answered and refused. Each time it has done so too often in a row: which time that is.
    pub(crate) fn refused(&mut self, error: &str, now_ms: i64) -> Option<u32> {
        self.silences = 0;
        self.refusals = self.refusals.saturating_add(1);
        self.failed(error, now_ms);
        self.refusals.is_multiple_of(self.refusals_max).then(|| self.refusals / self.refusals_max)
    }

    /// It did not answer. How often in a row.
    pub(crate) fn silent(&mut self, error: &str, now_ms: i64) -> u32 {
        self.silences += 1;
        self.earned = 1;
        self.failed(error, now_ms);
        self.silences
    }

    /// An event was given up.
    pub(crate) fn gave_up(&mut self) {
        self.told.failed += 1;
    }

    fn failed(&mut self, error: &str, now_ms: i64) {
        self.told.failures_in_a_row = self.told.failures_in_a_row.saturating_add(1);
        self.told.last_failed_at_ms = now_ms;
        error.clone_into(&mut self.told.last_error);
    }

    /// It is left alone for a while; a rest never ends earlier than one that was said before.
    pub(crate) fn rest(&mut self, pause: Duration, now: Instant, now_ms: i64) {
        let until = now + pause;
        self.resting_until = Some(self.resting_until.map_or(until, |before| before.max(until)));
        let pause_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        self.told.resting_until_ms = self.told.resting_until_ms.max(now_ms.saturating_add(pause_ms));
    }

    /// Until when it is left alone.
    pub(crate) fn resting_until(&self) -> Option<Instant> {
        self.resting_until
    }

    /// Its rest is over: it is tried with little.
    pub(crate) fn wake(&mut self) {
        self.resting_until = None;
        self.told.resting_until_ms = 0;
    }

    /// How many attempts it is given at once.
    pub(crate) fn attempts_max(&self) -> usize {
        if self.resting_until.is_some() {
            return 0;
        }
        let doubted = if self.silences >= DOUBT_AFTER { 2 } else { 1 };
        usize::try_from(self.earned.max(doubted).min(self.earned_max)).unwrap_or(1)
    }

    /// Since when it has failed without one success: not before it was registered or changed last. None while it works.
    pub(crate) fn failing_since_ms(&self, changed_at_ms: i64) -> Option<i64> {
        (self.told.failures_in_a_row > 0).then(|| self.told.last_delivered_at_ms.max(changed_at_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Standing {
        Standing::new(ListenerState::default(), 4, 3)
    }

    #[test]
    fn a_listener_earns_what_it_is_given_at_once() {
        let mut standing = standing();
        let mut given = vec![standing.attempts_max()];
        for _ in 0..5 {
            standing.delivered(1);
            given.push(standing.attempts_max());
        }
        assert_eq!(given, [1, 2, 3, 4, 4, 4]);
        assert_eq!(standing.silent("time-out", 2), 1);
        assert_eq!(standing.attempts_max(), 1);
    }

    #[test]
    fn a_resting_listener_is_given_nothing_and_then_little() {
        let (mut standing, now) = (standing(), Instant::now());
        standing.silent("time-out", 1_000);
        standing.rest(Duration::from_secs(5), now, 1_000);
        standing.rest(Duration::from_secs(1), now, 1_000);
        assert_eq!((standing.attempts_max(), standing.told.resting_until_ms), (0, 6_000));
        assert_eq!(standing.resting_until(), Some(now + Duration::from_secs(5)));
        standing.wake();
        assert_eq!((standing.attempts_max(), standing.told.resting_until_ms), (1, 0));
        standing.silent("time-out", 7_000);
        assert_eq!(
            standing.attempts_max(),
            2,
            "the event may be at fault: another conversation is tried too"
        );
    }

    #[test]
    fn refusals_count_only_in_a_row() {
        let mut standing = standing();
        let refused = |times: usize, standing: &mut Standing| -> Vec<Option<u32>> {
            (0..times).map(|_| standing.refused("500", 1)).collect()
        };
        assert_eq!(refused(2, &mut standing), [None, None]);
        standing.delivered(1);
        assert_eq!(refused(6, &mut standing), [None, None, Some(1), None, None, Some(2)]);
    }

    #[test]
    fn how_long_it_fails_counts_from_its_last_success_or_change() {
        let mut standing = standing();
        assert_eq!(standing.failing_since_ms(5), None);
        standing.silent("time-out", 100);
        assert_eq!(standing.failing_since_ms(5), Some(5));
        standing.delivered(200);
        assert_eq!(standing.failing_since_ms(5), None);
        standing.silent("time-out", 300);
        assert_eq!((standing.failing_since_ms(5), standing.told.failures_in_a_row), (Some(200), 1));
    }
}
