//! Leaving a model alone that fails.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// So many failures in a row are enough.
const FAILURES_IN_A_ROW_MAX: u32 = 5;
/// How many of the newest requests are judged together; more than half of them failed is enough.
const JUDGED: usize = 20;
/// How long a model is left alone.
const OPEN: Duration = Duration::from_secs(30);
/// After so long nobody waits for what became of a trial any more. Longer than the longest time a model may have.
const TRIAL_MAX: Duration = Duration::from_secs(330);

/// Whether a model may be asked.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: State,
    failures_in_a_row: u32,
    /// Whether each of the newest requests failed.
    newest: VecDeque<bool>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
    },
    /// One request is under way.
    Trial {
        until: Instant,
    },
}

impl Breaker {
    /// Whether a request may be made now. Who is told so makes it, and says what became of it.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } | State::Trial { until } if now < until => false,
            State::Open { .. } | State::Trial { .. } => {
                self.state = State::Trial { until: now + TRIAL_MAX };
                true
            }
        }
    }

    /// Whether requests are refused now.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        matches!(self.state, State::Open { until } | State::Trial { until } if now < until)
    }

    /// A request was answered.
    pub(super) fn succeeded(&mut self) {
        match self.state {
            State::Closed => self.note(false),
            // It began before the others failed, and says nothing of now.
            State::Open { .. } => {}
            State::Trial { .. } => *self = Self::default(),
        }
    }

    /// A request was not answered.
    pub(super) fn failed(&mut self, now: Instant) {
        self.note(true);
        let is_enough = match self.state {
            State::Closed => {
                let failed = self.newest.iter().filter(|failed| **failed).count();
                self.failures_in_a_row >= FAILURES_IN_A_ROW_MAX
                    || (self.newest.len() == JUDGED && failed * 2 > JUDGED)
            }
            State::Open { .. } => false,
            State::Trial { .. } => true,
        };
        if is_enough {
            *self = Self { state: State::Open { until: now + OPEN }, ..Self::default() };
        }
    }

    fn note(&mut self, failed: bool) {
        self.failures_in_a_row = if failed { self.failures_in_a_row + 1 } else { 0 };
        if self.newest.len() == JUDGED {
            self.newest.pop_front();
        }
        self.newest.push_back(failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(outcomes: &[bool], now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for succeeded in outcomes {
            if *succeeded { breaker.succeeded() } else { breaker.failed(now) }
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_four_do_not() {
        let now = Instant::now();
        assert!(after(&[false; 4], now).admit(now));
        assert!(after(&[false, false, false, false, true, false, false, false, false], now).admit(now));
        let mut open = after(&[false; 5], now);
        assert!(open.is_open(now) && !open.admit(now));
        assert!(!open.admit(now + OPEN.saturating_sub(Duration::from_millis(1))));
    }

    #[test]
    fn more_than_half_of_the_last_twenty_open_it() {
        let now = Instant::now();
        let half: Vec<bool> = (0..20).map(|index| index % 2 == 0).collect();
        let mut breaker = after(&half, now);
        assert!(breaker.admit(now), "half of them");
        // The oldest, which succeeded, is replaced by a failure.
        breaker.failed(now);
        assert!(!breaker.admit(now), "more than half of them");
    }

    #[test]
    fn after_half_a_minute_one_request_tries_whether_it_works_again() {
        let now = Instant::now();
        let later = now + OPEN;
        let mut breaker = after(&[false; 5], now);
        assert_eq!([breaker.admit(later), breaker.admit(later)], [true, false], "one at a time");
        breaker.failed(later);
        assert!(!breaker.admit(later + OPEN.saturating_sub(Duration::from_millis(1))), "as long again");
        assert!(breaker.admit(later + OPEN));
        breaker.succeeded();
        assert_eq!([breaker.admit(later + OPEN), breaker.admit(later + OPEN)], [true, true]);
    }

    #[test]
    fn a_trial_of_which_nobody_tells_is_followed_by_another() {
        let now = Instant::now();
        let mut breaker = after(&[false; 5], now);
        assert!(breaker.admit(now + OPEN));
        assert!(breaker.admit(now + OPEN + TRIAL_MAX));
    }

    #[test]
    fn what_began_before_it_opened_does_not_close_it() {
        let now = Instant::now();
        let mut breaker = after(&[false; 5], now);
        breaker.succeeded();
        assert!(!breaker.admit(now));
    }
}
