//! Statuses that will be told, each at its time. Pure: the time is an argument.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
};

use super::{error::GraphError, settings::Told};

/// How many statuses may wait; further ones are not told.
const UPDATES_MAX: usize = 1_000_000;
/// The most statuses of one webhook.
const WEBHOOK_STATUSES_MAX: usize = 100;

/// What is told of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Told(Told),
    Failed(GraphError),
}

/// A status of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) number: Arc<str>,
    pub(crate) contact: Arc<str>,
    pub(crate) id: String,
    pub(crate) news: News,
    pub(crate) callback_data: Option<String>,
    /// A template was sent: whoever pays, pays for it.
    pub(crate) is_template: bool,
    /// The Graph API's version that the message was sent through.
    pub(crate) version: u32,
}

#[derive(Debug, PartialEq, Eq)]
struct Due {
    at_ms: i64,
    /// Keeps the order of what is due at the same time.
    turn: u64,
    update: Update,
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at_ms, self.turn).cmp(&(other.at_ms, other.turn))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The statuses that wait.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    waiting: BinaryHeap<Reverse<Due>>,
    turns: u64,
}

impl Agenda {
    pub(crate) fn add(&mut self, at_ms: i64, update: Update) {
        if self.waiting.len() >= UPDATES_MAX {
            tracing::error!("too many statuses wait to be told; one was given up");
            return;
        }
        self.turns += 1;
        self.waiting.push(Reverse(Due { at_ms, turn: self.turns, update }));
    }

    /// When the next is due.
    pub(crate) fn next_at_ms(&self) -> Option<i64> {
        self.waiting.peek().map(|Reverse(due)| due.at_ms)
    }

    /// What is due, a batch for each webhook: one number, in the order of time.
    pub(crate) fn due(&mut self, now_ms: i64) -> Vec<Vec<Update>> {
        let mut by_number: BTreeMap<Arc<str>, Vec<Update>> = BTreeMap::new();
        while self.next_at_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            let Some(Reverse(Due { update, .. })) = self.waiting.pop() else { break };
            by_number.entry(update.number.clone()).or_default().push(update);
        }
        let batches = |updates: Vec<Update>| {
            updates.chunks(WEBHOOK_STATUSES_MAX).map(<[Update]>::to_vec).collect::<Vec<_>>()
        };
        by_number.into_values().flat_map(batches).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(number: &str, id: &str) -> Update {
        Update {
            number: number.into(),
            contact: "1".into(),
            id: id.to_owned(),
            news: News::Told(Told::Sent),
            callback_data: None,
            is_template: false,
            version: 23,
        }
    }

    #[test]
    fn what_is_due_goes_together_and_in_order() {
        let mut agenda = Agenda::default();
        for (at_ms, number, id) in [(20, "n", "c"), (10, "n", "a"), (10, "m", "x"), (10, "n", "b")] {
            agenda.add(at_ms, update(number, id));
        }
        assert!(agenda.due(9).is_empty());
        let batches = agenda.due(10);
        let ids: Vec<Vec<&str>> =
            batches.iter().map(|batch| batch.iter().map(|update| update.id.as_str()).collect()).collect();
        assert_eq!(ids, [vec!["x"], vec!["a", "b"]]);
        assert_eq!(agenda.next_at_ms(), Some(20));
        for at in 0..250 {
            agenda.add(30, update("n", &at.to_string()));
        }
        assert_eq!(agenda.due(30).iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 51]);
    }
}
