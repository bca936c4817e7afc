//! Exact quantiles of recorded times.

use std::time::Duration;

use serde::Serialize;

/// The quantiles of a set of times, all in microseconds. Nearest rank: each one is a time that was really measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// How many times were recorded.
    pub count: usize,
    /// Half of them are no longer than this.
    pub p50_us: u64,
    /// 95 of 100 are no longer than this.
    pub p95_us: u64,
    /// 99 of 100 are no longer than this.
    pub p99_us: u64,
    /// 999 of 1,000 are no longer than this.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
}

impl Quantiles {
    /// Sorts the times and reads the ranks.
    pub fn of(mut times_us: Vec<u64>) -> Self {
        times_us.sort_unstable();
        let rank = |per_mille: usize| nearest_rank(&times_us, per_mille);
        Self {
            count: times_us.len(),
            p50_us: rank(500),
            p95_us: rank(950),
            p99_us: rank(990),
            p999_us: rank(999),
            max_us: rank(1_000),
        }
    }
}

/// The shortest of `sorted` that at least `per_mille` thousandths do not exceed; 0 where nothing was recorded.
fn nearest_rank(sorted: &[u64], per_mille: usize) -> u64 {
    let rank = (sorted.len() * per_mille).div_ceil(1_000);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// How many times as long one time is as another; `None` where the other is nothing.
pub(crate) fn times(one_us: u64, other_us: u64) -> Option<f64> {
    let other = Duration::from_micros(other_us);
    (!other.is_zero()).then(|| Duration::from_micros(one_us).div_duration_f64(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_quantile_is_a_time_that_was_measured() {
        let quantiles = Quantiles::of((1..=1_000).rev().collect());
        let expected =
            Quantiles { count: 1_000, p50_us: 500, p95_us: 950, p99_us: 990, p999_us: 999, max_us: 1_000 };
        assert_eq!(quantiles, expected);
    }

    #[test]
    fn one_slow_message_of_a_hundred_is_beyond_p99() {
        let mut times = vec![10; 99];
        times.push(5_000);
        let quantiles = Quantiles::of(times);
        assert_eq!((quantiles.p99_us, quantiles.p999_us, quantiles.max_us), (10, 5_000, 5_000));
    }

    #[test]
    fn nothing_measured_is_zero_and_one_time_is_every_quantile() {
        assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
        let one = Quantiles::of(vec![7]);
        assert_eq!((one.p50_us, one.p999_us, one.max_us), (7, 7, 7));
    }

    #[test]
    fn a_ratio_to_nothing_is_none() {
        assert_eq!(times(10, 0), None);
        assert!(times(10, 4).is_some_and(|ratio| (ratio - 2.5).abs() < 1e-9));
    }
}
