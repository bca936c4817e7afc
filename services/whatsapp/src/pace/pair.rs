//! What a number may send to one contact.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::line::Pair;

/// One message to a contact in this time; also the time in which more may be borrowed from the future.
pub(crate) const INTERVAL: Duration = Duration::from_secs(6);
/// The most messages to a contact within one interval.
const BURST_MAX: u32 = 45;
/// How long a burst can keep a contact silent: what a new owner of a number must know of the past.
pub(crate) const MEMORY: Duration = Duration::from_secs(6 * BURST_MAX as u64 + 1);
/// How much the provider may count a message later than it looks from here, with its clock and its servers: a burst ends
/// this much earlier, and what follows comes this much later. 4 % of an interval.
const GUARD: Duration = Duration::from_millis(250);
/// What each further refusal of a contact multiplies its pause of a second by.
const REFUSAL_FACTOR: u32 = 4;
/// After so many pauses a refused message is given up; the longest, 4^7 s, is four and a half hours.
const REFUSALS_MAX: u32 = 7;
/// How long refusals of a contact that nothing more was sent to are remembered.
const REFUSALS_KEPT: Duration = Duration::from_hours(1);
/// How many contacts are kept before those that are free again are forgotten.
const SWEEP_MIN: usize = 1_024;

/// A message's way to the provider: it arrived between the two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trip {
    /// When its first byte was written, or before.
    pub(crate) written: Instant,
    /// When it was answered, or given up.
    pub(crate) answered: Instant,
}

/// A contact that was sent something lately.
#[derive(Debug, Clone, Copy)]
struct PairPace {
    /// The way of the first message of its newest burst.
    first: Trip,
    /// How many messages the burst has; 0 where only refusals are known.
    count: u32,
    refused_until: Option<Instant>,
    refusals: u32,
}

impl PairPace {
    fn new(now: Instant) -> Self {
        let first = Trip { written: now, answered: now };
        Self { first, count: 0, refused_until: None, refusals: 0 }
    }

    /// When what the burst has borrowed is paid back, also if its first message arrived as late as it can have.
    fn paid(&self) -> Instant {
        let guard = if self.count > 0 { GUARD } else { Duration::ZERO };
        self.first.answered + INTERVAL * self.count + guard
    }

    fn earliest(&self, now: Instant) -> Instant {
        // Also if its first message arrived as early as it can have.
        let borrows = now + GUARD < self.first.written + INTERVAL && self.count < BURST_MAX;
        let free = if borrows { now } else { self.paid().max(now) };
        self.refused_until.map_or(free, |until| free.max(until))
    }

    /// Whether nothing of it matters any more.
    fn is_over(&self, now: Instant) -> bool {
        let refused_lately = self.refused_until.is_some_and(|until| now < until + REFUSALS_KEPT);
        self.earliest(now) <= now && now >= self.paid() && !refused_lately
    }

    fn take(&mut self, trip: Trip) {
        if trip.written >= self.paid() {
            (self.first, self.count) = (trip, 0);
        }
        self.count += 1;
    }
}

/// The pace of a number with each of its contacts.
#[derive(Debug)]
pub(crate) struct Pairs {
    /// Whether the provider limits pairs at all.
    limited: bool,
    known: HashMap<Pair, PairPace>,
    sweep_at: usize,
}

impl Pairs {
    /// A number that has sent nothing yet.
    pub(crate) fn new(limited: bool) -> Self {
        Self { limited, known: HashMap::new(), sweep_at: SWEEP_MIN }
    }

    /// When the next message may go to a contact: `now`, or later.
    pub(crate) fn earliest(&self, pair: &Pair, now: Instant) -> Instant {
        self.known.get(pair).map_or(now, |pace| pace.earliest(now))
    }

    /// A message went to a contact. Until that is told, its conversation must wait.
    pub(crate) fn take(&mut self, pair: &Pair, trip: Trip) {
        if self.limited {
            self.pace(pair, trip.written).take(trip);
        }
    }

    /// How long the contact would wait if the provider refused the next message: 1, 4, 16, … seconds; `None` where it
    /// was refused too often.
    pub(crate) fn pause_of(&self, pair: &Pair) -> Option<Duration> {
        let refusals = self.known.get(pair).map_or(0, |pace| pace.refusals);
        (refusals <= REFUSALS_MAX).then(|| Duration::from_secs(REFUSAL_FACTOR.pow(refusals).into()))
    }

    /// The provider says that the contact gets too many.
    pub(crate) fn refused(&mut self, pair: &Pair, now: Instant) {
        let pause = self.pause_of(pair);
        let pace = self.pace(pair, now);
        // A message that was refused too often is given up; the next one begins anew.
        pace.refusals = pause.map_or(0, |_| pace.refusals + 1);
        pace.refused_until = pause.map(|pause| now + pause);
    }

    /// The provider took a message to the contact.
    pub(crate) fn accepted(&mut self, pair: &Pair) {
        if let Some(pace) = self.known.get_mut(pair) {
            (pace.refused_until, pace.refusals) = (None, 0);
        }
    }

    fn pace(&mut self, pair: &Pair, now: Instant) -> &mut PairPace {
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, pace| !pace.is_over(now));
            self.sweep_at = SWEEP_MIN.max(self.known.len() * 2);
        }
        self.known.entry(pair.clone()).or_insert_with(|| PairPace::new(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair() -> Pair {
        "5491100000001".parse().unwrap()
    }

    /// When messages reach the provider that may go at `arrivals`, each for so long on its way there and back.
    fn reached(arrivals: impl IntoIterator<Item = (Duration, Duration)>) -> Vec<Duration> {
        let begin = Instant::now();
        let (mut pairs, mut now) = (Pairs::new(true), begin);
        let go = |(arrival, way): (Duration, Duration)| {
            let written = pairs.earliest(&pair(), now.max(begin + arrival));
            now = written + way * 2;
            pairs.take(&pair(), Trip { written, answered: now });
            written + way - begin
        };
        arrivals.into_iter().map(go).collect()
    }

    fn at_once(count: usize) -> impl Iterator<Item = (Duration, Duration)> {
        std::iter::repeat_n((Duration::ZERO, Duration::ZERO), count)
    }

    #[test]
    fn a_burst_is_paid_back_in_full() {
        let check = |count: usize, next: u64| {
            let times = reached(at_once(count).chain([(INTERVAL, Duration::ZERO)]));
            assert!(times[..count].iter().all(|time| *time == Duration::ZERO), "{count}");
            assert_eq!(times[count], Duration::from_secs(next) + GUARD, "{count}");
        };
        check(1, 6);
        check(2, 12);
        check(20, 120);
        check(45, 270);
        assert!(reached(at_once(46))[45] <= MEMORY);
    }

    #[test]
    fn what_is_on_its_way_for_long_has_the_next_wait_until_it_surely_arrived() {
        let second = Duration::from_secs(1);
        let times = reached([(Duration::ZERO, 4 * second), (INTERVAL, Duration::ZERO)]);
        assert_eq!(times[1], 8 * second + INTERVAL + GUARD);
    }

    #[test]
    fn refusals_pause_a_contact_four_times_as_long_each_time() {
        let (now, mut pairs) = (Instant::now(), Pairs::new(false));
        for pause in [1, 4, 16, 64] {
            assert_eq!(pairs.pause_of(&pair()), Some(Duration::from_secs(pause)));
            pairs.refused(&pair(), now);
        }
        assert_eq!(pairs.earliest(&pair(), now), now + Duration::from_secs(64));
        pairs.accepted(&pair());
        assert_eq!(pairs.earliest(&pair(), now), now);
        for _ in 0..8 {
            pairs.refused(&pair(), now);
        }
        assert_eq!(pairs.earliest(&pair(), now), now + Duration::from_secs(4u64.pow(7)));
        assert_eq!(pairs.pause_of(&pair()), None);
    }

    #[test]
    fn contacts_that_are_free_again_are_forgotten() {
        let (begin, mut pairs) = (Instant::now(), Pairs::new(true));
        for number in 0u32..10_000 {
            let pair = format!("5491100{number:05}").parse().unwrap();
            let written = begin + INTERVAL / 100 * number;
            pairs.take(&pair, Trip { written, answered: written });
        }
        assert!(pairs.known.len() < 2 * SWEEP_MIN, "{}", pairs.known.len());
    }

    proptest! {
        #[test]
        fn no_arrivals_break_the_limit(gaps in proptest::collection::vec((0u64..20_000, 0u64..250), 1..300)) {
            let mut at = Duration::ZERO;
            let arrivals = gaps.iter().map(|(gap, way_ms)| {
                // Mostly at once, sometimes after a while.
                at += Duration::from_millis(if gap % 4 == 0 { *gap } else { gap % 50 });
                // Mostly quickly.
                (at, Duration::from_millis(if gap % 3 == 0 { *way_ms } else { way_ms % 20 }))
            });
            let times = reached(arrivals.collect::<Vec<_>>());
            let mut first = 0;
            for index in 1..=times.len() {
                let begun = times[first];
                let inside = index < times.len() && times[index] < begun + INTERVAL;
                if inside {
                    continue;
                }
                let count = index - first;
                prop_assert!(count <= 45);
                if let Some(next) = times.get(index) {
                    prop_assert!(*next >= begun + INTERVAL * u32::try_from(count).unwrap());
                }
                first = index;
            }
        }
    }
}
