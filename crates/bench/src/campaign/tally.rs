//! What happened when. Pure, but for the lock around it.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chasqui_proto::v1::{BulkProgress, CampaignStatus, Status};
use serde::Serialize;
use uuid::Uuid;

use crate::quantiles::Quantiles;

const SECOND_US: u64 = 1_000_000;

/// How fast messages went out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pace {
    /// From the answer to the start until the first message was stored, seconds.
    pub first_after_seconds: f64,
    /// From the first message to the last, seconds.
    pub seconds: f64,
    /// Messages a second while the middle eight tenths of them went out.
    pub middle_per_s: f64,
    /// How many were stored in the busiest second.
    pub busiest_second: u32,
}

/// How progress was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// How often.
    pub told: usize,
    /// How often within any second, at the most.
    pub per_second_max: u32,
    /// From when it was stored that the provider has taken or refused a message until progress counted that message.
    pub lag: Quantiles,
    /// Messages that no progress counted.
    pub never_counted: usize,
}

/// What was heard of a campaign.
#[derive(Debug)]
pub(super) struct Tally {
    /// The ids of its messages.
    messages: HashSet<Uuid>,
    /// When each was stored, in order.
    stored_us: Vec<u64>,
    /// Those that the provider has taken or refused.
    settled: HashSet<Uuid>,
    /// When the stream had it of each, in order.
    settled_us: Vec<u64>,
    /// When progress was told, and how many messages it counted.
    told: Vec<(u64, usize)>,
    latest: Option<BulkProgress>,
}

/// A tally that one task writes and another reads.
#[derive(Debug)]
pub(super) struct Shared(Mutex<Tally>);

impl Shared {
    pub(super) fn new(messages: HashSet<Uuid>) -> Self {
        Self(Mutex::new(Tally::new(messages)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    fn new(messages: HashSet<Uuid>) -> Self {
        Self {
            messages,
            stored_us: Vec::new(),
            settled: HashSet::new(),
            settled_us: Vec::new(),
            told: Vec::new(),
            latest: None,
        }
    }

    /// A message to a contact was stored.
    pub(super) fn stored(&mut self, message: Uuid, at_us: u64) {
        if self.messages.contains(&message) {
            self.stored_us.push(at_us);
        }
    }

    /// A step of a message was stored.
    pub(super) fn stepped(&mut self, message: Uuid, status: Status, at_us: u64) {
        let is_settled = i32::from(status) >= i32::from(Status::Accepted);
        if is_settled && self.messages.contains(&message) && self.settled.insert(message) {
            self.settled_us.push(at_us);
        }
    }

    /// Progress was told.
    pub(super) fn told(&mut self, progress: BulkProgress, at_us: u64) {
        let counted = u64::from(progress.sent) + u64::from(progress.failed);
        self.told.push((at_us, usize::try_from(counted).unwrap_or(usize::MAX)));
        self.latest = Some(progress);
    }

    /// What was told last.
    pub(super) fn latest(&self) -> Option<&BulkProgress> {
        self.latest.as_ref()
    }

    /// How much has happened: as long as this grows it does not stand still.
    pub(super) fn moved(&self) -> usize {
        self.stored_us.len() + self.settled_us.len()
    }

    pub(super) fn has_ended(&self) -> bool {
        use CampaignStatus::{Cancelled, Completed, Failed};
        let status = self.latest.as_ref().map(BulkProgress::status);
        status.is_some_and(|status| matches!(status, Completed | Cancelled | Failed))
    }

    pub(super) fn pace(&self, started_us: u64) -> Pace {
        let (Some(first), Some(last)) = (self.stored_us.first(), self.stored_us.last()) else {
            return Pace::default();
        };
        let seconds =
            |from_us: u64, to_us: u64| Duration::from_micros(to_us.saturating_sub(from_us)).as_secs_f64();
        let tenth = self.stored_us.len() / 10;
        let middle = &self.stored_us[tenth..self.stored_us.len() - tenth];
        let middle_seconds = seconds(middle[0], middle[middle.len() - 1]);
        let steps = u32::try_from(middle.len() - 1).unwrap_or(u32::MAX);
        Pace {
            first_after_seconds: seconds(started_us, *first),
            seconds: seconds(*first, *last),
            middle_per_s: if middle_seconds > 0.0 { f64::from(steps) / middle_seconds } else { 0.0 },
            busiest_second: most_within_a_second(&self.stored_us),
        }
    }

    pub(super) fn progress(&self) -> Progress {
        let lags = self.lags_us();
        let times: Vec<u64> = self.told.iter().map(|(at_us, _)| *at_us).collect();
        Progress {
            told: times.len(),
            per_second_max: most_within_a_second(&times),
            never_counted: self.settled_us.len() - lags.len(),
            lag: Quantiles::of(lags),
        }
    }

    /// For each message the time until progress counted as many as there were with it.
    fn lags_us(&self) -> Vec<u64> {
        let mut told = self.told.iter().peekable();
        let mut lags = Vec::new();
        for (before, settled_us) in self.settled_us.iter().enumerate() {
            while told.next_if(|(_, counted)| *counted <= before).is_some() {}
            let Some((told_us, _)) = told.peek() else { break };
            // What is told and what is stored come over two subscriptions: told may be heard first.
            lags.push(told_us.saturating_sub(*settled_us));
        }
        lags
    }
}

/// The most moments of an ordered list that lie within a second.
fn most_within_a_second(times_us: &[u64]) -> u32 {
    let mut most = 0;
    let mut first = 0;
    for (last, at_us) in times_us.iter().enumerate() {
        while times_us[first] + SECOND_US <= *at_us {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    u32::try_from(most).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> Uuid {
        Uuid::from_u128(number.into())
    }

    fn tally(messages: u32) -> Tally {
        Tally::new((0..messages).map(id).collect())
    }

    fn told(tally: &mut Tally, at_us: u64, sent: u32, failed: u32) {
        tally.told(BulkProgress { sent, failed, ..BulkProgress::default() }, at_us);
    }

    #[test]
    fn the_lag_of_a_message_ends_when_progress_counts_as_many() {
        let mut tally = tally(4);
        tally.stepped(id(0), Status::Queued, 50);
        tally.stepped(id(0), Status::Accepted, 100);
        tally.stepped(id(0), Status::Delivered, 120);
        tally.stepped(id(9), Status::Accepted, 130);
        tally.stepped(id(1), Status::Failed, 200);
        told(&mut tally, 250, 1, 0);
        told(&mut tally, 450, 1, 1);
        tally.stepped(id(2), Status::Sent, 500);
        tally.stepped(id(3), Status::Sent, 600);
        told(&mut tally, 700, 2, 1);
        let progress = tally.progress();
        assert_eq!(tally.lags_us(), [150, 250, 200]);
        assert_eq!((progress.told, progress.never_counted, progress.lag.max_us), (3, 1, 250));
    }

    #[test]
    fn progress_is_counted_within_any_second() {
        let mut tally = tally(1);
        for at_us in [0, 200_000, 400_000, 600_000, 800_000, 1_000_000, 1_100_000, 3_000_000] {
            told(&mut tally, at_us, 0, 0);
        }
        assert_eq!(tally.progress().per_second_max, 6);
        assert_eq!(most_within_a_second(&[]), 0);
    }

    #[test]
    fn the_pace_is_that_of_the_middle() {
        let mut tally = tally(100);
        // The first and the last tenth are slow.
        let times = (0..100).scan(2_000_000, |at_us, message: u32| {
            *at_us += if (10..90).contains(&message) { 2_000 } else { 500_000 };
            Some(*at_us)
        });
        for (message, at_us) in (0..).zip(times) {
            tally.stored(id(message), at_us);
        }
        tally.stored(id(500), 9_999_999);
        let pace = tally.pace(1_500_000);
        assert!((pace.middle_per_s - 500.0).abs() < 1e-6, "{pace:?}");
        assert!((pace.first_after_seconds - 1.0).abs() < 1e-6, "{pace:?}");
        assert_eq!(pace.busiest_second, 82);
        assert_eq!(self::tally(1).pace(0), Pace::default());
    }

    #[test]
    fn it_is_over_when_it_says_so() {
        let mut tally = tally(1);
        assert!(!tally.has_ended());
        for (status, is_over) in [(CampaignStatus::Running, false), (CampaignStatus::Completed, true)] {
            tally.told(BulkProgress { status: status.into(), ..BulkProgress::default() }, 1);
            assert_eq!(tally.has_ended(), is_over);
        }
    }
}
