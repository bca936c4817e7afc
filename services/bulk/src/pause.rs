//! Pauses between attempts.

use std::time::Duration;

use rand::Rng;

/// The first pause.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest one.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Pauses that double up to a bound, each shortened by chance so that campaigns do not come back in the same instant.
#[derive(Debug)]
pub(crate) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(PAUSE_MIN)
    }
}

impl Pause {
    /// The next pause.
    pub(crate) fn lengthen(&mut self) -> Duration {
        let pause = self.0;
        self.0 = pause.saturating_mul(2).min(PAUSE_MAX);
        pause.mul_f64(rand::rng().random_range(0.5..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound() {
        let mut pause = Pause::default();
        let pauses: Vec<Duration> = (0..20).map(|_| pause.lengthen()).collect();
        assert!(pauses[0] <= PAUSE_MIN);
        assert!(pauses.iter().all(|pause| *pause < PAUSE_MAX));
        assert!(pauses[19] >= PAUSE_MAX / 2);
    }
}
