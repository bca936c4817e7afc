//! What keeps a provider that does not answer from making hundreds of messages uncertain.

use std::time::{Duration, Instant};

/// After so many attempts in a row without an answer, one message at a time is tried.
const SILENT_MAX: u32 = 3;
/// The pause before the first try; it doubles with each that is not answered.
const PROBE_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause between tries.
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Whether the provider of a number answers.
#[derive(Debug, Default)]
pub(crate) struct Circuit {
    /// Attempts in a row that were not answered.
    silent: u32,
    /// Set while it is open: when the next message is tried.
    probe_at: Option<Instant>,
    pause: Duration,
}

impl Circuit {
    /// Whether another message may be tried beside those in flight.
    pub(crate) fn admits(&self, now: Instant, in_flight: usize) -> bool {
        self.probe_at.is_none_or(|at| in_flight == 0 && now >= at)
    }

    /// Whether messages are tried one at a time.
    pub(crate) fn is_open(&self) -> bool {
        self.probe_at.is_some()
    }

    /// When the next message is tried, if it is open.
    pub(crate) fn probe_at(&self) -> Option<Instant> {
        self.probe_at
    }

    /// The provider answered, whatever it said.
    pub(crate) fn answered(&mut self) {
        *self = Self::default();
    }

    /// The provider did not answer.
    pub(crate) fn silent(&mut self, now: Instant) {
        self.silent += 1;
        let waits = self.probe_at.is_some_and(|at| now < at);
        if self.silent < SILENT_MAX || waits {
            return;
        }
        let doubled = (self.pause * 2).clamp(PROBE_PAUSE_MIN, PROBE_PAUSE_MAX);
        (self.pause, self.probe_at) = (doubled, Some(now + doubled));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_does_not_answer_is_tried_one_message_at_a_time() {
        let (mut circuit, begin) = (Circuit::default(), Instant::now());
        let second = Duration::from_secs(1);
        circuit.silent(begin);
        circuit.silent(begin);
        assert!(circuit.admits(begin, 500));
        circuit.silent(begin);
        assert!(circuit.is_open() && !circuit.admits(begin, 0));
        // Those that were in flight when it opened do not make the pause longer.
        circuit.silent(begin);
        assert_eq!(circuit.probe_at(), Some(begin + second));
        assert!(circuit.admits(begin + second, 0) && !circuit.admits(begin + second, 1));
        circuit.silent(begin + second);
        assert_eq!(circuit.probe_at(), Some(begin + 3 * second));
        for probe in 0..10 {
            circuit.silent(begin + second * 100 * (probe + 1));
        }
        assert_eq!(circuit.pause, PROBE_PAUSE_MAX);
        circuit.answered();
        assert!(circuit.admits(begin, 500));
    }
}
