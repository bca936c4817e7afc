//! The one clock of a trial.

use std::time::{Duration, Instant};

/// Counts microseconds from when it was made; senders and sockets share copies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// A clock that stands at zero now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// What it shows.
    pub(crate) fn now_us(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).expect("a run takes less than 500,000 years")
    }

    /// The moment at which it shows this.
    pub(crate) fn moment(self, at_us: u64) -> tokio::time::Instant {
        (self.0 + Duration::from_micros(at_us)).into()
    }
}
