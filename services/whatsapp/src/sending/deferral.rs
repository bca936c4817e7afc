//! Conversations for which more was queued than may be sent soon.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{line::Pair, pace::pair::INTERVAL};

/// How many conversations are kept before those that are over are forgotten.
const SWEEP_MIN: usize = 256;

/// Until when the messages of a conversation were left with the broker. Without it, one contact for whom a thousand
/// messages were queued would fill what its session holds, and every other contact would wait for it.
#[derive(Debug)]
pub(crate) struct Deferral {
    /// Longer waits are spent with the broker.
    after: Duration,
    until: HashMap<Pair, Instant>,
    sweep_at: usize,
}

impl Deferral {
    /// Nobody waits with the broker.
    pub(crate) fn new(after: Duration) -> Self {
        Self { after, until: HashMap::new(), sweep_at: SWEEP_MIN }
    }

    /// When a message is to come again that comes now, with so many `ahead` of it here. What comes from the broker has
    /// its turn; everything else goes behind what waits there, so that the conversation stays in order.
    pub(crate) fn of(&mut self, pair: &Pair, ahead: usize, is_back: bool, now: Instant) -> Option<Instant> {
        let wait = INTERVAL.saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX));
        let behind = self.until.get(pair).copied().filter(|until| *until > now);
        let at = match behind {
            Some(until) if !is_back || wait > self.after => until + INTERVAL,
            None if wait > self.after => now + wait,
            _ => return None,
        };
        self.sweep(now);
        self.until.insert(pair.clone(), at);
        Some(at)
    }

    fn sweep(&mut self, now: Instant) {
        if self.until.len() >= self.sweep_at {
            self.until.retain(|_, until| *until > now);
            self.sweep_at = SWEEP_MIN.max(self.until.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_the_deferred_goes_behind_it() {
        let (now, pair): (_, Pair) = (Instant::now(), "5491100000001".parse().unwrap());
        let mut deferral = Deferral::new(Duration::from_mins(5));
        assert_eq!(deferral.of(&pair, 50, false, now), None);
        let first = now + INTERVAL * 51;
        assert_eq!(deferral.of(&pair, 51, false, now), Some(first));
        assert_eq!(deferral.of(&pair, 51, false, now), Some(first + INTERVAL));
        // The lane is shorter by now, but they are still ahead.
        assert_eq!(deferral.of(&pair, 3, false, first), Some(first + 2 * INTERVAL));
        assert_eq!(deferral.of(&pair, 3, true, first), None);
        let other = "5491100000002".parse().unwrap();
        assert_eq!(deferral.of(&other, 0, false, now), None);
        assert_eq!(deferral.of(&pair, 0, false, first + 3 * INTERVAL), None);
    }

    #[test]
    fn conversations_that_are_over_are_forgotten() {
        let (begin, mut deferral) = (Instant::now(), Deferral::new(Duration::from_mins(5)));
        for number in 0u32..5_000 {
            let pair = format!("5491100{number:05}").parse().unwrap();
            deferral.of(&pair, 60, false, begin + Duration::from_mins(1) * number);
        }
        assert!(deferral.until.len() <= SWEEP_MIN, "{}", deferral.until.len());
    }
}
