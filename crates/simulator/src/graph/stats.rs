//! What was taken and refused, for assertions.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::limit::Limits;

/// How many messages that were taken twice are named.
const DUPLICATES_SHOWN_MAX: usize = 100;
/// How many different `biz_opaque_callback_data` are remembered; past it further ones are not compared.
const CALLBACK_DATA_MAX: usize = 500_000;

/// The counts since the last time they were cleared.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    accepted: u64,
    by_number: BTreeMap<String, u64>,
    refused: BTreeMap<i64, u64>,
    pub(crate) pair_violations: u64,
    pub(crate) number_violations: u64,
    pub(crate) window_violations: u64,
    by_callback_data: HashMap<String, u64>,
}

impl Stats {
    pub(crate) fn accepted(&mut self, number: &str, callback_data: Option<&str>) {
        self.accepted += 1;
        *self.by_number.entry(number.to_owned()).or_default() += 1;
        let Some(data) = callback_data else { return };
        if let Some(count) = self.by_callback_data.get_mut(data) {
            *count += 1;
        } else if self.by_callback_data.len() < CALLBACK_DATA_MAX {
            self.by_callback_data.insert(data.to_owned(), 1);
        }
    }

    pub(crate) fn refused(&mut self, code: i64) {
        *self.refused.entry(code).or_default() += 1;
    }

    pub(crate) fn view(&self, limits: &Limits) -> Value {
        let busiest: BTreeMap<&str, usize> =
            limits.busiest().map(|(number, most)| (&**number, most)).collect();
        let numbers: BTreeMap<&String, Value> = self
            .by_number
            .iter()
            .map(|(number, accepted)| {
                let most = busiest.get(number.as_str()).copied().unwrap_or_default();
                (number, json!({ "accepted": accepted, "per_second_max": most }))
            })
            .collect();
        let twice = || self.by_callback_data.iter().filter(|(_, count)| **count > 1);
        let named: Vec<Value> = twice()
            .take(DUPLICATES_SHOWN_MAX)
            .map(|(data, count)| json!({ "biz_opaque_callback_data": data, "count": count }))
            .collect();
        json!({
            "accepted": self.accepted,
            "refused": self.refused,
            "pair_violations": self.pair_violations,
            "number_violations": self.number_violations,
            "window_violations": self.window_violations,
            "per_second_max": busiest.values().max().copied().unwrap_or_default(),
            "numbers": numbers,
            "duplicates": twice().count(),
            "duplicated": named,
        })
    }
}
