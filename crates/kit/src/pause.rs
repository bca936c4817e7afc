//! Pauses between attempts.

use std::time::Duration;

use rand::Rng;

/// The first pause where nobody says another.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// Pauses that double up to a bound, each shortened by chance so that replicas do not come back in the same instant.
#[derive(Debug)]
pub struct Pause {
    next: Duration,
    max: Duration,
}

impl Pause {
    /// Pauses up to `max`, the first of at most 50 ms.
    pub fn up_to(max: Duration) -> Self {
        Self::between(PAUSE_MIN, max)
    }

    /// Pauses up to `max`, the first of at most `first`.
    pub fn between(first: Duration, max: Duration) -> Self {
        Self { next: first.min(max), max }
    }

    /// The next pause.
    pub fn lengthen(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.max);
        pause.mul_f64(rand::rng().random_range(0.5..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound() {
        let mut pause = Pause::up_to(Duration::from_millis(300));
        let pauses: Vec<Duration> = (0..20).map(|_| pause.lengthen()).collect();
        assert!(pauses[0] <= PAUSE_MIN);
        assert!(pauses.iter().all(|pause| *pause < Duration::from_millis(300)));
        assert!(pauses[19] >= Duration::from_millis(150));
    }
}
