//! When what failed is tried again.

use std::time::Duration;

use crate::Config;

/// Pauses grow by up to this part, so that what failed together does not come back together.
const JITTER: f64 = 0.1;

/// The pauses, as configured.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pauses: Vec<Duration>,
    retry_after_max: Duration,
    rest_min: Duration,
    rest_max: Duration,
}

impl Schedule {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            pauses: config.retry_schedule_secs.iter().copied().map(Duration::from_secs).collect(),
            retry_after_max: Duration::from_secs(config.retry_after_secs_max),
            rest_min: Duration::from_secs(config.rest_secs_min),
            rest_max: Duration::from_secs(config.rest_secs_max),
        }
    }

    /// The pause before the next attempt of a delivery that was refused `attempts` times; none when that was the last.
    /// `chance` is between 0 and 1.
    pub(crate) fn retry(&self, attempts: u32, asked: Option<Duration>, chance: f64) -> Option<Duration> {
        let pause = self.pauses.get(usize::try_from(attempts).ok()?)?;
        Some(self.honoured(asked).max(lengthened(*pause, chance)))
    }

    /// How long a listener that did not answer `times` in a row is left alone.
    pub(crate) fn rest(&self, times: u32, asked: Option<Duration>, chance: f64) -> Duration {
        let doubled = self.rest_min.saturating_mul(1 << times.saturating_sub(1).min(16)).min(self.rest_max);
        self.honoured(asked).max(lengthened(doubled, chance))
    }

    /// The longest a listener is ever left alone.
    pub(crate) fn rest_max(&self) -> Duration {
        self.rest_max.max(self.retry_after_max).mul_f64(1.0 + JITTER)
    }

    /// How long an event is kept for a listener that does not answer: as long as all attempts would have taken.
    pub(crate) fn patience(&self) -> Duration {
        self.pauses.iter().sum()
    }

    fn honoured(&self, asked: Option<Duration>) -> Duration {
        asked.unwrap_or_default().min(self.retry_after_max)
    }
}

fn lengthened(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(1.0 + JITTER * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn shc_32_retries_follow_the_schedule_and_end() {
        let schedule = Schedule::new(&Config::default());
        let pauses: Vec<_> = (1..).map_while(|attempts| schedule.retry(attempts, None, 0.0)).collect();
        let expected = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400].map(secs);
        assert_eq!(pauses, expected);
        assert_eq!(schedule.patience(), expected.iter().sum::<Duration>());
    }

    #[test]
    fn pauses_differ_by_a_tenth_at_most() {
        let schedule = Schedule::new(&Config::default());
        assert_eq!(schedule.retry(2, None, 1.0), Some(secs(330)));
        assert_eq!(schedule.retry(2, None, 7.0), Some(secs(330)));
    }

    #[test]
    fn what_the_listener_asks_for_is_honoured_up_to_a_bound_and_never_shortens() {
        let schedule = Schedule::new(&Config::default());
        assert_eq!(schedule.retry(1, Some(secs(60)), 0.0), Some(secs(60)));
        assert_eq!(schedule.retry(1, Some(secs(1)), 0.0), Some(secs(5)));
        assert_eq!(schedule.retry(1, Some(secs(1_000_000)), 0.0), Some(secs(3_600)));
        assert_eq!(schedule.rest(1, Some(secs(60)), 0.0), secs(60));
    }

    #[test]
    fn who_does_not_answer_is_left_alone_longer_each_time() {
        let schedule = Schedule::new(&Config::default());
        let rests: Vec<_> = (1..=8).map(|times| schedule.rest(times, None, 0.0)).collect();
        assert_eq!(rests, [5, 10, 20, 40, 80, 160, 300, 300].map(secs));
        assert_eq!(schedule.rest(u32::MAX, None, 0.0), secs(300));
    }
}
