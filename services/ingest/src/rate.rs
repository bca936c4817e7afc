//! How fast each caller may call.

use std::{num::NonZeroU32, time::Duration};

use chasqui_kit::{Code, Coded};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};

use crate::admission::Caller;

/// How many callers are remembered before those that have been quiet are forgotten. About 100 bytes each.
const CALLERS_MAX: usize = 10_000;

/// Limits each caller by itself: a burst of twice the rate, then the rate. Each replica counts for itself.
pub(crate) struct Rate {
    limiter: DefaultKeyedRateLimiter<Caller>,
    /// What is limited, in the metric.
    of: &'static str,
}

impl std::fmt::Debug for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rate").field("of", &self.of).finish_non_exhaustive()
    }
}

/// The caller calls too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; try again in {} s", seconds(self.wait))]
pub(crate) struct TooFast {
    /// When it may call again.
    wait: Duration,
}

impl TooFast {
    /// What `Retry-After` says, whole seconds.
    pub(crate) fn retry_after_secs(self) -> u64 {
        seconds(self.wait)
    }
}

impl Coded for TooFast {
    fn code(&self) -> Code {
        Code::RateLimited
    }
}

fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl Rate {
    pub(crate) fn new(of: &'static str, per_second_max: NonZeroU32) -> Self {
        let quota = Quota::per_second(per_second_max).allow_burst(per_second_max.saturating_mul(TWICE));
        Self { limiter: RateLimiter::keyed(quota), of }
    }

    /// Counts a request of a caller, unless it is one too many.
    pub(crate) fn check(&self, caller: &Caller) -> Result<(), TooFast> {
        if self.limiter.len() > CALLERS_MAX {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(caller).map_err(|not_until| {
            metrics::counter!("chasqui_ingest_rate_limited_total", "of" => self.of).increment(1);
            TooFast { wait: not_until.wait_time_from(self.limiter.clock().now()) }
        })
    }
}

/// How long a burst may be, in seconds of the rate.
const TWICE: NonZeroU32 = NonZeroU32::new(2).expect("it is not zero");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Proof;

    fn caller(key: &str) -> Caller {
        Caller { tenant: "acme".parse().unwrap(), by: Proof::Key(key.to_owned()) }
    }

    #[test]
    fn shc_30_a_caller_that_is_too_fast_waits_and_slows_nobody_else() {
        let rate = Rate::new("test", NonZeroU32::new(3).unwrap());
        let passed = (0..100).filter(|_| rate.check(&caller("one")).is_ok()).count();
        assert!((6..10).contains(&passed), "a burst of six, and what a slow machine adds: {passed}");
        let refused = (0..100).find_map(|_| rate.check(&caller("one")).err()).unwrap();
        assert_eq!(refused.retry_after_secs(), 1);
        assert_eq!(refused.code(), Code::RateLimited);
        assert_eq!(rate.check(&caller("another")), Ok(()));
    }
}
