//! How fast things may happen. Pure: told what time it is.

mod handshakes;
mod pace;

use std::time::{Duration, Instant};

pub(crate) use handshakes::{Handshakes, pace as pace_handshakes};
pub(crate) use pace::{Pace, Paces, Verdict};

/// A rate, and how much of it may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// The time one of them takes at the steady rate.
    each: Duration,
    /// How far ahead of the steady rate one may be.
    ahead_max: Duration,
}

impl Rate {
    /// `per_second` steadily, `burst` at once.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let each = Duration::from_secs(1) / per_second.max(1);
        Self { each, ahead_max: each.saturating_mul(burst.max(1) - 1) }
    }
}

/// What a rate is counted with (the generic cell rate algorithm): one moment, the one at which all that was taken would
/// have come at the steady rate.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    next: Option<Instant>,
}

impl Bucket {
    /// Takes one; how long to wait for it when there is none.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let next = self.next.map_or(now, |next| next.max(now));
        let wait = (next - now).saturating_sub(rate.ahead_max);
        if wait > Duration::ZERO {
            return Err(wait);
        }
        self.next = Some(next + rate.each);
        Ok(())
    }

    /// Whether it is as if nothing had ever been taken.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_steady_rate_does() {
        let (mut bucket, rate, start) = (Bucket::default(), Rate::new(10, 5), Instant::now());
        assert!((0..5).all(|_| bucket.take(rate, start).is_ok()));
        assert_eq!(bucket.take(rate, start), Err(Duration::from_millis(100)));
        let later = start + Duration::from_millis(100);
        assert_eq!((bucket.take(rate, later), bucket.take(rate, later).is_ok()), (Ok(()), false));
        let rested = start + Duration::from_secs(1);
        assert!(!bucket.is_full(later) && bucket.is_full(rested));
        assert_eq!(
            (0..100).filter(|_| bucket.take(rate, rested).is_ok()).count(),
            5,
            "no more than a burst is saved"
        );
    }
}
