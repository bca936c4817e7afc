//! What one replica tells of its work. Pure.
//!
//! A word that nobody counted is told again as it was, so that whoever counted it all the same knows it.

use std::collections::HashMap;

use chasqui_proto::{Tenant, subject::NodeToken, v1::BotWork};

use super::stand::{HEALTH_MS_MAX, Health};
use crate::work::Work;

/// How often what is wrong is told again: before it is forgotten.
const WRONG_EVERY_MS: i64 = HEALTH_MS_MAX / 3;

/// What was told, and what is still to be told.
#[derive(Debug)]
pub(super) struct Teller {
    node: NodeToken,
    tenants: HashMap<Tenant, Untold>,
}

#[derive(Debug, Default)]
struct Untold {
    /// What was done since `word` was made.
    work: Work,
    /// What is told until it is counted.
    word: Option<BotWork>,
    told_at_ms: i64,
    told: Health,
}

impl Teller {
    pub(super) fn new(node: NodeToken) -> Self {
        Self { node, tenants: HashMap::new() }
    }

    /// The words to tell now: of whoever was answered, and of `tenants` for whom something is wrong or was.
    pub(super) fn gather(
        &mut self,
        works: HashMap<Tenant, Work>,
        tenants: Vec<Tenant>,
        health: impl Fn(&Tenant) -> Health,
        now_ms: i64,
    ) -> Vec<(Tenant, BotWork)> {
        for (tenant, work) in works {
            let untold = &mut self.tenants.entry(tenant).or_default().work;
            untold.answers += work.answers;
            untold.answer_time_total_ms += work.answer_time_total_ms;
            untold.handoffs += work.handoffs;
        }
        for tenant in tenants {
            self.tenants.entry(tenant).or_default();
        }
        let node = self.node.as_str();
        let told = self.tenants.iter_mut();
        told.filter_map(|(tenant, untold)| {
            Some((tenant.clone(), untold.word(tenant, node, health(tenant), now_ms)?.clone()))
        })
        .collect()
    }

    /// A word was counted.
    pub(super) fn counted(&mut self, tenant: &Tenant, word: &BotWork) {
        let Some(untold) = self.tenants.get_mut(tenant) else { return };
        untold.told_at_ms = word.at_ms;
        untold.told = Health::of(word);
        untold.word = None;
    }
}

impl Untold {
    fn word(&mut self, tenant: &Tenant, node: &str, health: Health, now_ms: i64) -> Option<&BotWork> {
        let is_new = self.work != Work::default() || health.is_wrong() != self.told.is_wrong();
        let is_late = health.is_wrong() && now_ms - self.told_at_ms >= WRONG_EVERY_MS;
        if self.word.is_none() && (is_new || is_late) {
            let work = std::mem::take(&mut self.work);
            self.word = Some(BotWork {
                tenant: tenant.to_string(),
                node: node.to_owned(),
                answers: work.answers,
                answer_time_total_ms: work.answer_time_total_ms,
                handoffs: work.handoffs,
                model: health.model,
                model_state: health.model_state,
                definition_problem: health.definition_problem,
                // Tells words apart, so it grows even where the clock does not.
                at_ms: now_ms.max(self.told_at_ms + 1),
            });
        }
        self.word.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Tenant {
        "default".parse().unwrap()
    }

    fn gather(teller: &mut Teller, answers: u64, problem: &str, now_ms: i64) -> Vec<(u64, String, i64)> {
        let work = Work { answers, answer_time_total_ms: answers * 10, handoffs: 0 };
        let done = HashMap::from_iter((answers > 0).then(|| (tenant(), work)));
        let health = |_: &Tenant| Health { definition_problem: problem.to_owned(), ..Health::default() };
        let words = teller.gather(done, vec![tenant()], health, now_ms);
        words.into_iter().map(|(_, word)| (word.answers, word.definition_problem, word.at_ms)).collect()
    }

    fn count(teller: &mut Teller, at_ms: i64, problem: &str) {
        let word = BotWork { at_ms, definition_problem: problem.to_owned(), ..BotWork::default() };
        teller.counted(&tenant(), &word);
    }

    #[test]
    fn nothing_is_told_where_nothing_happened() {
        let mut teller = Teller::new(NodeToken::new("a"));
        assert_eq!(gather(&mut teller, 0, "", 1_000), []);
    }

    #[test]
    fn a_word_that_nobody_counted_is_told_again_as_it_was() {
        let mut teller = Teller::new(NodeToken::new("a"));
        let first = (3, String::new(), 1_000);
        assert_eq!(gather(&mut teller, 3, "", 1_000), std::slice::from_ref(&first));
        assert_eq!(gather(&mut teller, 4, "", 3_000), [first]);
        count(&mut teller, 1_000, "");
        assert_eq!(gather(&mut teller, 0, "", 5_000), [(4, String::new(), 5_000)]);
        count(&mut teller, 5_000, "");
        assert_eq!(gather(&mut teller, 0, "", 7_000), []);
        assert_eq!(gather(&mut teller, 1, "", 4_000), [(1, String::new(), 5_001)], "the clock went back");
    }

    #[test]
    fn what_is_wrong_is_told_until_it_is_right_again() {
        let mut teller = Teller::new(NodeToken::new("a"));
        assert_eq!(gather(&mut teller, 0, "bad", 1_000), [(0, "bad".to_owned(), 1_000)]);
        count(&mut teller, 1_000, "bad");
        assert_eq!(gather(&mut teller, 0, "bad", 3_000), []);
        assert_eq!(gather(&mut teller, 0, "bad", 1_000 + WRONG_EVERY_MS).len(), 1);
        count(&mut teller, 1_000 + WRONG_EVERY_MS, "bad");
        assert_eq!(gather(&mut teller, 0, "", 20_000), [(0, String::new(), 20_000)]);
        count(&mut teller, 20_000, "");
        assert_eq!(gather(&mut teller, 0, "", 90_000), []);
    }
}
