//! What a number may send a second.

use std::time::{Duration, Instant};

use super::gate::WINDOW;

/// What was missed while messages waited is made up for this far back, so that late timers and a busy machine cost no
/// throughput. The gate keeps each second within the rate all the same.
const CATCH_UP: Duration = Duration::from_millis(500);
/// The longest pause after refusals in a row. A change of the number's rate takes a minute by itself.
const THROTTLE_MAX: Duration = Duration::from_mins(5);

/// The pace of a number: evenly. That no second has more than the rate is the gate's, right before the bytes are written.
#[derive(Debug)]
pub(crate) struct NumberPace {
    /// Messages a second; `None` sets no limit.
    rate: Option<u32>,
    /// When the next message is due at an even pace.
    due: Option<Instant>,
    /// Nothing waits: what does not go now is not missed.
    is_idle: bool,
    /// Nothing goes before.
    paused_until: Option<Instant>,
    /// How many pauses the provider has asked for since it last took a message.
    throttles: u32,
}

impl NumberPace {
    /// A number that has sent nothing yet.
    pub(crate) fn new(rate: Option<u32>) -> Self {
        Self { rate, due: None, is_idle: true, paused_until: None, throttles: 0 }
    }

    /// When the next message may go: `now`, or later.
    pub(crate) fn earliest(&self, now: Instant) -> Instant {
        [self.due, self.paused_until].into_iter().flatten().fold(now, Instant::max)
    }

    /// A message goes, or went.
    pub(crate) fn take(&mut self, at: Instant) {
        let Some(rate) = self.rate else { return };
        let missed_from = if self.is_idle { at } else { at.checked_sub(CATCH_UP).unwrap_or(at) };
        self.due = Some(self.due.map_or(at, |due| due.max(missed_from)) + WINDOW / rate);
        self.is_idle = false;
    }

    /// Nothing waits that could go.
    pub(crate) fn idle(&mut self) {
        self.is_idle = true;
    }

    /// Sends nothing until `until`.
    pub(crate) fn pause(&mut self, until: Instant) {
        self.paused_until = Some(until);
    }

    /// Ends every pause.
    pub(crate) fn resume(&mut self) {
        self.paused_until = None;
    }

    /// The provider says that the number sends too fast. Each pause in a row is twice as long as the one before; what
    /// was under way when a pause began does not make it longer.
    pub(crate) fn throttle(&mut self, now: Instant, pause: Duration) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        let pause = pause.saturating_mul(1 << self.throttles.min(8)).min(THROTTLE_MAX);
        self.throttles += 1;
        self.paused_until = Some(now + pause);
    }

    /// The provider took a message.
    pub(crate) fn accepted(&mut self) {
        self.throttles = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pace::gate::Gate;

    const SECOND: Duration = Duration::from_secs(1);
    /// How differently long messages are on their way.
    const JITTER: Duration = Duration::from_millis(10);

    /// When messages go that arrive at `arrivals`, each looked at `late` after it may go.
    fn sent(rate: u32, arrivals: &[Duration], late: impl Fn(usize) -> Duration) -> Vec<Duration> {
        let begin = Instant::now();
        let (mut pace, gate) = (NumberPace::new(Some(rate)), Gate::new(Some(rate)));
        let mut now = begin;
        let mut times = Vec::new();
        for (index, arrival) in arrivals.iter().enumerate() {
            if begin + *arrival > now {
                pace.idle();
                now = begin + *arrival;
            }
            let earliest = pace.earliest(now);
            if earliest > now {
                now = earliest + late(index);
            }
            pace.take(now);
            let free = gate.earliest(now);
            if free > now {
                now = free + late(index);
            }
            gate.take(now);
            times.push(now - begin);
        }
        times
    }

    /// When they reach the provider, the first one first.
    fn arrived(times: &[Duration]) -> Vec<Duration> {
        let way = |number: u32| JITTER * (number.wrapping_mul(7_919) % 1_000) / 1_000;
        let mut arrived: Vec<_> = times.iter().zip(0..).map(|(time, number)| *time + way(number)).collect();
        arrived.sort_unstable();
        arrived
    }

    fn most_in_a_second(times: &[Duration]) -> usize {
        let mut from = 0;
        let counts = times.iter().enumerate().map(|(index, time)| {
            while *time >= times[from] + SECOND {
                from += 1;
            }
            index - from + 1
        });
        counts.max().unwrap_or(0)
    }

    #[test]
    fn a_saturated_number_reaches_its_rate() {
        for rate in [20, 80, 1_000] {
            let count = usize::try_from(rate * 60).unwrap();
            // Timers are up to two milliseconds late.
            let late = |index: usize| Duration::from_micros(index as u64 * 7_919 % 2_000);
            let times = sent(rate, &vec![Duration::ZERO; count], late);
            let reached = f64::from(rate * 60) / times.last().unwrap().as_secs_f64();
            assert!((reached / f64::from(rate) - 1.0).abs() < 0.02, "{reached} of {rate}");
            assert!(most_in_a_second(&arrived(&times)) <= rate as usize);
        }
    }

    #[test]
    fn a_busy_machine_costs_no_throughput_and_no_second_its_limit() {
        let late = |index: usize| Duration::from_millis(if index.is_multiple_of(41) { 100 } else { 1 });
        let times = sent(80, &vec![Duration::ZERO; 4_800], late);
        let reached = 4_800.0 / times.last().unwrap().as_secs_f64();
        assert!((reached / 80.0 - 1.0).abs() < 0.02, "{reached} of 80");
        assert!(most_in_a_second(&arrived(&times)) <= 80);
    }

    #[test]
    fn a_pace_is_even_from_the_first_second_on_and_after_a_pause() {
        let arrivals = [vec![Duration::ZERO; 80], vec![10 * SECOND; 80]].concat();
        let times = sent(80, &arrivals, |_| Duration::ZERO);
        for begin in [Duration::ZERO, 10 * SECOND] {
            let tenth = begin..begin + Duration::from_millis(100);
            let in_a_tenth = times.iter().filter(|time| tenth.contains(*time)).count();
            assert!((8..=10).contains(&in_a_tenth), "{in_a_tenth}");
        }
    }

    #[test]
    fn refusals_pause_a_number_longer_each_time_but_once_for_those_under_way() {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = NumberPace::new(Some(80));
        pace.throttle(begin, second);
        pace.throttle(begin + second / 2, second);
        assert_eq!(pace.earliest(begin), begin + second);
        pace.throttle(begin + second, second);
        assert_eq!(pace.earliest(begin), begin + 3 * second);
        pace.accepted();
        pace.throttle(begin + 3 * second, second);
        assert_eq!(pace.earliest(begin), begin + 4 * second);
        pace.resume();
        assert_eq!(pace.earliest(begin), begin);
    }

    proptest! {
        #[test]
        fn no_second_has_more_than_the_rate(
            rate in prop_oneof![Just(1u32), Just(20), Just(80), Just(1_000)],
            gaps in proptest::collection::vec((0u64..3, 0u64..1_500_000), 1..400),
            late in 0u64..5_000,
        ) {
            let mut at = Duration::ZERO;
            let arrivals: Vec<Duration> = gaps
                .iter()
                .map(|(often, gap)| {
                    at += Duration::from_micros(if *often == 0 { *gap } else { 0 });
                    at
                })
                .collect();
            let times = sent(rate, &arrivals, |index| Duration::from_micros(index as u64 % (late + 1)));
            prop_assert!(most_in_a_second(&arrived(&times)) <= rate as usize);
        }
    }
}
