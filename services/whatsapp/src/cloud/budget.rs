//! How many downloads may still fail: WhatsApp closes them for an hour once five of a number failed within one.

use std::{
    collections::VecDeque,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::connector::ConnectorError;

/// Fewer than the five that WhatsApp counts.
const FAILURES_MAX: usize = 4;
/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(3600);

/// The failed downloads of a number within the last hour.
#[derive(Debug, Default)]
pub(super) struct Budget {
    failures: Mutex<VecDeque<Instant>>,
}

impl Budget {
    /// Whether another download may be tried.
    pub(super) fn check(&self) -> Result<(), ConnectorError> {
        match self.closed_for(Instant::now()) {
            None => Ok(()),
            Some(pause) => Err(ConnectorError::Away(format!(
                "{FAILURES_MAX} downloads of this number failed within an hour; the next is tried in {} s",
                pause.as_secs() + 1
            ))),
        }
    }

    /// The provider refused a download.
    pub(super) fn failed(&self) {
        self.failed_at(Instant::now());
    }

    fn failed_at(&self, now: Instant) {
        let mut failures = self.failures.lock().expect("no holder of this lock panics");
        failures.push_back(now);
        if failures.len() > FAILURES_MAX {
            failures.pop_front();
        }
    }

    fn closed_for(&self, now: Instant) -> Option<Duration> {
        let failures = self.failures.lock().expect("no holder of this lock panics");
        let oldest = failures.front().filter(|_| failures.len() >= FAILURES_MAX)?;
        let ends = *oldest + WINDOW;
        (ends > now).then(|| ends - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_failure_within_an_hour_never_happens() {
        let (budget, begin) = (Budget::default(), Instant::now());
        let at = |secs| begin + Duration::from_secs(secs);
        for secs in [0, 10, 20] {
            budget.failed_at(at(secs));
            assert_eq!(budget.closed_for(at(secs)), None);
        }
        budget.failed_at(at(30));
        assert_eq!(budget.closed_for(at(30)), Some(Duration::from_secs(3_570)));
        assert_eq!(budget.closed_for(at(3_600)), None);
        budget.failed_at(at(3_605));
        assert_eq!(budget.closed_for(at(3_605)), Some(Duration::from_secs(5)));
    }
}
