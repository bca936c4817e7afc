//! The last look at a number's rate, right before the bytes of a message are written: whatever held messages up before, no
//! second has more of them than the rate.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// The time in which a number may send its whole rate. The provider counts a second of what arrives, and timers are late
/// and messages on their way for differently long: 15 ms more keep the rate through as much of that, and cost 1.5 % of it.
pub(crate) const WINDOW: Duration = Duration::from_millis(1_015);

/// A number's gate. Every attempt passes it, so it is shared by them.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Messages a window; `None` sets no limit.
    rate: Option<usize>,
    /// The newest moments that were given out, as many as the rate.
    given: Mutex<VecDeque<Instant>>,
}

impl Gate {
    /// The gate of a number that has sent nothing yet.
    pub(crate) fn new(rate: Option<u32>) -> Self {
        Self { rate: rate.map(|rate| rate as usize), given: Mutex::default() }
    }

    /// An earlier owner's message went at this time.
    pub(crate) fn remember(&self, at: Instant) {
        if let Some(rate) = self.rate {
            give(&mut self.given(), rate, at);
        }
    }

    /// Gives out the next moment at which a message may go: `now`, or later. One that is not used is lost.
    pub(crate) fn reserve(&self, now: Instant) -> Instant {
        let Some(rate) = self.rate else { return now };
        let mut given = self.given();
        let oldest = given.front().filter(|_| given.len() >= rate);
        let at = oldest.map_or(now, |oldest| now.max(*oldest + WINDOW));
        give(&mut given, rate, at);
        at
    }

    fn given(&self) -> MutexGuard<'_, VecDeque<Instant>> {
        self.given.lock().expect("no holder of this lock panics")
    }
}

fn give(given: &mut VecDeque<Instant>, rate: usize, at: Instant) {
    given.push_back(at);
    while given.len() > rate {
        given.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_held_up_together_does_not_go_together() {
        let (gate, begin) = (Gate::new(Some(20)), Instant::now());
        gate.remember(begin);
        let moments: Vec<_> = (0..59).map(|_| gate.reserve(begin) - begin).collect();
        assert!(moments[..19].iter().all(Duration::is_zero));
        assert!(moments[19..39].iter().all(|moment| *moment == WINDOW));
        assert!(moments[39..].iter().all(|moment| *moment == 2 * WINDOW));
        let free = Gate::new(None);
        assert!((0..100).all(|_| free.reserve(begin) == begin));
    }
}
