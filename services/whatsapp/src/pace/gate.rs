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

/// A number's gate. Every attempt passes it, one after the other.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Messages a window; `None` sets no limit.
    rate: Option<usize>,
    /// Whose turn it is; those that wait are let through in the order they came.
    turn: tokio::sync::Mutex<()>,
    /// When the newest messages went, as many as the rate.
    gone: Mutex<VecDeque<Instant>>,
}

/// Leave to write a message now, while it is held.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    gate: &'a Gate,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Turn<'_> {
    /// The bytes go now.
    pub(crate) fn take(self) {
        self.gate.take(Instant::now());
    }
}

impl Gate {
    /// The gate of a number that has sent nothing yet.
    pub(crate) fn new(rate: Option<u32>) -> Self {
        let rate = rate.map(|rate| rate as usize);
        Self { rate, turn: tokio::sync::Mutex::default(), gone: Mutex::default() }
    }

    /// Returns when a message may go. A turn that is not taken costs nothing.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        let turn = self.turn.lock().await;
        loop {
            let now = Instant::now();
            let free = self.earliest(now);
            if free <= now {
                return Turn { gate: self, _turn: turn };
            }
            tokio::time::sleep_until(free.into()).await;
        }
    }

    /// When the next message may go: `now`, or later.
    pub(crate) fn earliest(&self, now: Instant) -> Instant {
        let gone = self.gone();
        let oldest = gone.front().filter(|_| self.rate.is_some_and(|rate| gone.len() >= rate));
        oldest.map_or(now, |oldest| now.max(*oldest + WINDOW))
    }

    /// A message goes, or an earlier owner's went.
    pub(crate) fn take(&self, at: Instant) {
        let Some(rate) = self.rate else { return };
        let mut gone = self.gone();
        gone.push_back(at);
        while gone.len() > rate {
            gone.pop_front();
        }
    }

    fn gone(&self) -> MutexGuard<'_, VecDeque<Instant>> {
        self.gone.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn a_number_without_a_limit_holds_nobody_up() {
        let (gate, begin) = (Gate::new(None), Instant::now());
        join_all((0..100).map(|_| async { gate.turn().await.take() })).await;
        assert_eq!(gate.earliest(begin), begin);
    }

    #[tokio::test]
    async fn a_turn_that_is_not_taken_costs_nothing() {
        let gate = Gate::new(Some(1));
        drop(gate.turn().await);
        gate.turn().await.take();
        assert!(gate.earliest(Instant::now()) > Instant::now());
    }

    #[test]
    fn a_window_counts_from_when_its_first_message_went() {
        let (gate, begin) = (Gate::new(Some(20)), Instant::now());
        for number in 0..20 {
            gate.take(begin + Duration::from_millis(number));
        }
        assert_eq!(gate.earliest(begin), begin + WINDOW);
        // It went late: the next one waits for the second oldest all the same.
        gate.take(begin + 2 * WINDOW);
        assert_eq!(gate.earliest(begin), begin + Duration::from_millis(1) + WINDOW);
    }
}
