//! What was handed in against what arrived. Pure.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::door::Handed;

/// What of a campaign's arrivals is its middle: all but a tenth at each end.
const EDGE_SHARE: usize = 10;
/// A busiest second is counted over this long, milliseconds.
const SECOND_MS: i64 = 1_000;

/// A message as the simulator shows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Arrival {
    /// Its position.
    pub(super) seq: u64,
    number: String,
    time_ms: i64,
    biz_opaque_callback_data: Option<String>,
}

/// Everything that has arrived.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// When each message arrived, by what the deployment calls it.
    by_id: HashMap<String, Vec<i64>>,
    /// When any message of a number did.
    by_number: HashMap<String, Vec<i64>>,
}

/// What became of messages that were handed in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Handover {
    /// Handed in.
    pub handed: u32,
    /// Taken by the deployment: from there on they must arrive.
    pub acknowledged: u32,
    /// Not taken, by why.
    pub refused: BTreeMap<String, u32>,
    /// Taken by the provider.
    pub taken: u32,
    /// Acknowledged, and not taken by the provider.
    pub lost: u32,
    /// Taken by the provider more than once.
    pub twice: u32,
}

/// How fast a number sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pace {
    /// Messages a second that arrived in the middle of the campaign, whatever they were.
    pub middle_per_s: f64,
    /// The most that arrived within any second of the whole run.
    pub busiest_second: usize,
}

impl Seen {
    pub(super) fn add(&mut self, arrived: Vec<Arrival>) {
        for arrival in arrived {
            self.by_number.entry(arrival.number).or_default().push(arrival.time_ms);
            let data = arrival.biz_opaque_callback_data.unwrap_or_default();
            let id = data.split(' ').next().unwrap_or_default();
            self.by_id.entry(id.to_owned()).or_default().push(arrival.time_ms);
        }
    }

    /// How many have arrived.
    pub(super) fn count(&self) -> u64 {
        self.by_number.values().map(|times| times.len() as u64).sum()
    }

    /// When each of these messages arrived first, in order.
    pub(super) fn times_of(&self, handed: &[Handed]) -> Vec<i64> {
        let mut times: Vec<i64> = handed.iter().filter_map(|handed| self.first_of(handed)).collect();
        times.sort_unstable();
        times
    }

    /// Whether everything that was acknowledged has arrived.
    pub(super) fn has_all(&self, handed: &[Handed]) -> bool {
        handed.iter().all(|handed| handed.answer.is_err() || self.first_of(handed).is_some())
    }

    pub(super) fn account(&self, handed: &[Handed]) -> Handover {
        let mut account = Handover::default();
        for handed in handed {
            account.handed += 1;
            match &handed.answer {
                Err(why) => *account.refused.entry(why.clone()).or_default() += 1,
                Ok(taken) => {
                    let times = self.by_id.get(&taken.id).map_or(0, Vec::len);
                    account.acknowledged += 1;
                    account.taken += u32::from(times > 0);
                    account.twice += u32::from(times > 1);
                }
            }
        }
        account.lost = account.acknowledged - account.taken;
        account
    }

    /// From the deployment's answer to the arrival, for each message that arrived; nothing where it arrived before.
    pub(super) fn waits_us(&self, handed: &[Handed]) -> Vec<u64> {
        let wait = |handed: &Handed| Some(self.first_of(handed)? * 1_000 - handed.answered_us);
        handed.iter().filter_map(wait).map(|wait_us| u64::try_from(wait_us).unwrap_or(0)).collect()
    }

    /// How fast the number sent, with the campaign's arrivals as the measure of what its middle is.
    pub(super) fn pace(&self, number: &str, campaign: &[Handed]) -> Pace {
        let mut all = self.by_number.get(number).cloned().unwrap_or_default();
        all.sort_unstable();
        Pace { middle_per_s: middle(&self.times_of(campaign), &all), busiest_second: busiest(&all) }
    }

    fn first_of(&self, handed: &Handed) -> Option<i64> {
        self.by_id.get(&handed.answer.as_ref().ok()?.id)?.first().copied()
    }
}

fn middle(campaign: &[i64], all: &[i64]) -> f64 {
    let edge = campaign.len() / EDGE_SHARE;
    let Some([first, .., last]) = campaign.get(edge..campaign.len() - edge) else { return 0.0 };
    let within = all.iter().filter(|time| (*first..*last).contains(time)).count();
    let seconds = f64::from(u32::try_from(last - first).unwrap_or(u32::MAX)) / 1e3;
    if seconds > 0.0 { f64::from(u32::try_from(within).unwrap_or(u32::MAX)) / seconds } else { 0.0 }
}

fn busiest(times: &[i64]) -> usize {
    let mut from = 0;
    let within = times.iter().enumerate().map(|(index, time)| {
        while time - times[from] >= SECOND_MS {
            from += 1;
        }
        index + 1 - from
    });
    within.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sending::door::Taken;

    fn arrival(id: &str, time_ms: i64) -> Arrival {
        serde_json::from_value(serde_json::json!({
            "seq": 1, "number": "100000000000001", "time_ms": time_ms, "biz_opaque_callback_data": id,
        }))
        .unwrap()
    }

    fn handed(id: &str, answered_us: i64) -> Handed {
        let taken = serde_json::json!({ "messageId": id, "session": "100000000000001" });
        Handed { answer: Ok(serde_json::from_value::<Taken>(taken).unwrap()), answered_us }
    }

    #[test]
    fn what_is_lost_or_taken_twice_is_told() {
        let mut seen = Seen::default();
        seen.add(vec![arrival("a", 1), arrival("b own data", 2), arrival("b own data", 3), arrival("z", 4)]);
        let refused = Handed { answer: Err("503".to_owned()), answered_us: 0 };
        let all = [handed("a", 0), handed("b", 0), handed("c", 0), refused];
        let account = seen.account(&all);
        assert_eq!((account.handed, account.acknowledged, account.taken), (4, 3, 2));
        assert_eq!((account.lost, account.twice, account.refused["503"]), (1, 1, 1));
        assert!(!seen.has_all(&all) && seen.has_all(&all[..2]) && seen.has_all(&all[3..]));
    }

    #[test]
    fn a_message_that_arrives_before_its_answer_has_not_waited() {
        let mut seen = Seen::default();
        seen.add(vec![arrival("a", 10), arrival("b", 10)]);
        assert_eq!(seen.waits_us(&[handed("a", 10_500), handed("b", 4_000)]), [0, 6_000]);
    }

    #[test]
    fn the_rate_is_that_of_the_middle_and_counts_everything_the_number_sent() {
        // 80 a second, after a slow beginning; every eighth is somebody else's.
        let times: Vec<i64> = (0..800).map(|index| 5_000 + index * 25 / 2).collect();
        let campaign: Vec<i64> =
            [0].into_iter().chain(times.iter().copied().filter(|time| time % 8 != 0)).collect();
        let rate = middle(&campaign, &times);
        assert!((rate - 80.0).abs() < 0.5, "{rate}");
        assert_eq!((middle(&[], &times), middle(&[1], &times)), (0.0, 0.0));
    }

    #[test]
    fn the_busiest_second_is_any_second() {
        assert_eq!(busiest(&[0, 600, 900, 1_300, 1_599, 1_600, 5_000]), 4);
        assert_eq!(busiest(&[]), 0);
    }
}
