//! How many downloads may still fail: WhatsApp closes them for an hour once five of a number failed within one.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::connector::ConnectorError;

/// Fewer than the five that WhatsApp counts.
const FAILURES_MAX: usize = 4;
/// How long a failure counts.
const WINDOW: Duration = Duration::from_hours(1);

/// The downloads of a number that failed within the last hour, and those that may fail at this moment.
#[derive(Debug, Default)]
pub(super) struct Budget {
    spent: Mutex<Spent>,
    /// Told when a download is no longer asked for.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Spent {
    /// Oldest first.
    failures: VecDeque<Instant>,
    asked: usize,
}

/// Leave to ask for one file. Dropped when the provider has answered.
#[derive(Debug)]
pub(super) struct Pass<'a>(&'a Budget);

impl Budget {
    /// Leave to ask for a file; waits while as many are asked for as may still fail.
    pub(super) async fn enter(&self) -> Result<Pass<'_>, ConnectorError> {
        loop {
            let changed = self.changed.notified();
            if let Some(pass) = self.try_enter(Instant::now())? {
                return Ok(pass);
            }
            changed.await;
        }
    }

    fn try_enter(&self, now: Instant) -> Result<Option<Pass<'_>>, ConnectorError> {
        let mut spent = self.lock();
        while spent.failures.front().is_some_and(|oldest| now.duration_since(*oldest) >= WINDOW) {
            spent.failures.pop_front();
        }
        if spent.failures.len() >= FAILURES_MAX {
            let since = spent.failures.front().map_or(WINDOW, |oldest| now.duration_since(*oldest));
            let pause = WINDOW.saturating_sub(since).as_secs() + 1;
            return Err(ConnectorError::Away(format!(
                "{FAILURES_MAX} downloads of this number failed within an hour; the next is tried in {pause} s"
            )));
        }
        if spent.failures.len() + spent.asked >= FAILURES_MAX {
            return Ok(None);
        }
        spent.asked += 1;
        Ok(Some(Pass(self)))
    }

    fn lock(&self) -> MutexGuard<'_, Spent> {
        self.spent.lock().expect("no holder of this lock panics")
    }
}

impl Pass<'_> {
    /// The provider refused the file.
    pub(super) fn failed(self) {
        self.failed_at(Instant::now());
    }

    fn failed_at(self, now: Instant) {
        self.0.lock().failures.push_back(now);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.lock().asked -= 1;
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_failure_within_an_hour_never_happens() {
        let (budget, begin) = (Budget::default(), Instant::now());
        let at = |secs| begin + Duration::from_secs(secs);
        for secs in [0, 10, 20, 30] {
            budget.try_enter(at(secs)).unwrap().expect("it may be tried").failed_at(at(secs));
        }
        let told = budget.try_enter(at(35)).unwrap_err().to_string();
        assert!(told.ends_with("the next is tried in 3566 s"), "{told}");
        assert!(budget.try_enter(at(3_599)).is_err());
        budget.try_enter(at(3_600)).unwrap().expect("the first counts no more").failed_at(at(3_600));
        assert!(budget.try_enter(at(3_601)).is_err());
    }

    #[test]
    fn no_more_are_asked_for_at_once_than_may_fail() {
        let (budget, now) = (Budget::default(), Instant::now());
        let enter = || budget.try_enter(now).unwrap();
        let mut passes: Vec<Pass<'_>> = (0..FAILURES_MAX).map(|_| enter().expect("it may fail")).collect();
        assert!(enter().is_none());
        passes.pop().expect("four").failed_at(now);
        assert!(enter().is_none());
        drop(passes.pop());
        assert!(enter().is_some());
    }
}
