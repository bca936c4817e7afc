//! What a number may send: so many a second, so many to one contact, and freely only to who wrote lately. Pure: the time
//! is an argument.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::settings::GraphConfig;

/// How long a contact's message keeps its window open, milliseconds.
const WINDOW_MS: i64 = 24 * 60 * 60 * 1_000;
/// How much earlier than allowed a message may arrive: two requests do not take equally long to get here.
const JITTER_MS: i64 = 100;
/// How many pairs are remembered; past it, those whose debt is paid are forgotten.
const PAIRS_MAX: usize = 200_000;
/// A busiest second is counted over this long.
const SECOND_MS: i64 = 1_000;

/// A number and a contact.
pub(crate) type Pair = (Arc<str>, Arc<str>);

/// Which limit was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The number sends too fast.
    Number,
    /// Too much to one contact.
    Pair,
}

/// What has been sent and received lately.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    numbers: HashMap<Arc<str>, Number>,
    bursts: HashMap<Pair, Burst>,
    /// When each contact wrote last.
    written: HashMap<Pair, i64>,
}

/// A bucket that holds one second's worth, and what it took to judge the pace by.
#[derive(Debug, Default)]
struct Number {
    /// Thousandths of a message that were taken out and have not come back.
    taken: i64,
    at_ms: i64,
    second: VecDeque<i64>,
    busiest: usize,
}

/// Messages to a contact that were sent on credit: after the first, so many within one pause; then silence until each has
/// had its own pause.
#[derive(Clone, Copy, Debug)]
struct Burst {
    began_at_ms: i64,
    count: u32,
}

impl Limits {
    /// Counts a message, unless it breaks a limit.
    pub(crate) fn take(&mut self, pair: &Pair, settings: &GraphConfig, now_ms: i64) -> Result<(), Broken> {
        let burst = self.bursts.get(pair).copied();
        let burst = next_burst(burst, settings, now_ms).ok_or(Broken::Pair)?;
        self.numbers.entry(pair.0.clone()).or_default().take(settings.messages_per_second_max, now_ms)?;
        if self.bursts.len() >= PAIRS_MAX {
            self.bursts.retain(|_, burst| now_ms < burst.silent_until_ms(settings));
        }
        self.bursts.insert(pair.clone(), burst);
        Ok(())
    }

    /// The contact wrote to the number.
    pub(crate) fn written(&mut self, pair: &Pair, now_ms: i64) {
        if self.written.len() >= PAIRS_MAX {
            self.written.retain(|_, at_ms| now_ms - *at_ms < WINDOW_MS);
        }
        self.written.insert(pair.clone(), now_ms);
    }

    /// Whether the contact may be written to freely.
    pub(crate) fn is_open(&self, pair: &Pair, now_ms: i64) -> bool {
        self.written.get(pair).is_some_and(|at_ms| now_ms - at_ms < WINDOW_MS)
    }

    /// The most messages that each number sent within one second.
    pub(crate) fn busiest(&self) -> impl Iterator<Item = (&Arc<str>, usize)> {
        self.numbers.iter().map(|(number, state)| (number, state.busiest))
    }

    /// Forgets the busiest seconds; debts and windows stay.
    pub(crate) fn forget_busiest(&mut self) {
        self.numbers.values_mut().for_each(|number| number.busiest = 0);
    }
}

impl Number {
    fn take(&mut self, per_second: u32, now_ms: i64) -> Result<(), Broken> {
        let per_second = i64::from(per_second);
        // A bucket of `per_second` messages gives back as many each second: a thousandth of them a millisecond.
        self.taken = (self.taken - (now_ms - self.at_ms).max(0).saturating_mul(per_second)).max(0);
        self.at_ms = now_ms;
        if self.taken + 1_000 > per_second * 1_000 {
            return Err(Broken::Number);
        }
        self.taken += 1_000;
        while self.second.front().is_some_and(|at_ms| now_ms - at_ms >= SECOND_MS) {
            self.second.pop_front();
        }
        self.second.push_back(now_ms);
        self.busiest = self.busiest.max(self.second.len());
        Ok(())
    }
}

impl Burst {
    fn silent_until_ms(self, settings: &GraphConfig) -> i64 {
        self.began_at_ms + i64::from(self.count) * pause_ms(settings)
    }
}

fn next_burst(burst: Option<Burst>, settings: &GraphConfig, now_ms: i64) -> Option<Burst> {
    let first = Burst { began_at_ms: now_ms, count: 1 };
    let Some(burst) = burst else { return Some(first) };
    if now_ms + JITTER_MS >= burst.silent_until_ms(settings) {
        // Who comes early by the jitter begins where it was allowed to, else the tolerance would add up.
        return Some(Burst { began_at_ms: now_ms.max(burst.silent_until_ms(settings)), ..first });
    }
    let goes_on = now_ms < burst.began_at_ms + pause_ms(settings) && burst.count < settings.pair_burst_max;
    goes_on.then_some(Burst { count: burst.count + 1, ..burst })
}

fn pause_ms(settings: &GraphConfig) -> i64 {
    i64::try_from(settings.pair_pause_ms).unwrap_or(i64::MAX / i64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(contact: &str) -> Pair {
        ("100000000000001".into(), contact.into())
    }

    fn taken(limits: &mut Limits, times: impl IntoIterator<Item = i64>) -> Vec<bool> {
        let settings = GraphConfig::default();
        times.into_iter().map(|at_ms| limits.take(&pair("5491100000001"), &settings, at_ms).is_ok()).collect()
    }

    #[test]
    fn a_contact_gets_a_message_each_six_seconds() {
        assert_eq!(taken(&mut Limits::default(), [0, 6_000, 12_000, 17_950]), [true; 4]);
        let mut limits = Limits::default();
        assert_eq!(taken(&mut limits, [0, 1_000, 6_500, 11_899, 11_900]), [true, true, false, false, true]);
    }

    #[test]
    fn a_burst_of_45_is_paid_back_in_silence() {
        let mut limits = Limits::default();
        assert!(taken(&mut limits, (0..45).map(|i| i * 25)).into_iter().all(|taken| taken));
        assert_eq!(
            taken(&mut limits, [5_000, 6_000, 45 * 6_000 - 200, 45 * 6_000]),
            [false, false, false, true]
        );
        let mut limits = Limits::default();
        assert!(taken(&mut limits, (0..20).map(|i| i * 100)).into_iter().all(|taken| taken));
        assert_eq!(
            taken(&mut limits, [6_000, 119_000, 120_000]),
            [false, false, true],
            "20 sent, two minutes silent"
        );
    }

    #[test]
    fn a_number_sends_so_many_a_second() {
        let (mut limits, settings) = (Limits::default(), GraphConfig::default());
        let mut sent = 0;
        for at_ms in 0..10_000 {
            sent += usize::from(limits.take(&pair(&format!("54911{at_ms:08}")), &settings, at_ms).is_ok());
        }
        assert_eq!(sent, 80 + 9_999 * 80 / 1_000, "a full bucket, and what comes back in ten seconds");
        assert_eq!(limits.take(&pair("5491100000002"), &settings, 9_999), Err(Broken::Number));
        let steady = (0..4_000_i64).map(|i| 60_000 + i * 1_000 / 80);
        let busiest = |limits: &Limits| limits.busiest().next().unwrap().1;
        limits.forget_busiest();
        for at_ms in steady {
            limits.take(&pair(&format!("54912{at_ms:08}")), &settings, at_ms).unwrap();
        }
        assert!((80..=81).contains(&busiest(&limits)), "{}", busiest(&limits));
    }

    #[test]
    fn a_window_is_open_for_a_day() {
        let mut limits = Limits::default();
        let contact = pair("5491100000001");
        assert!(!limits.is_open(&contact, 0));
        limits.written(&contact, 0);
        assert!(limits.is_open(&contact, WINDOW_MS - 1));
        assert!(!limits.is_open(&contact, WINDOW_MS));
        assert!(!limits.is_open(&pair("5491100000002"), 1));
    }
}
