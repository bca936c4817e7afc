//! How the bot of one tenant stands. Pure.

use std::collections::HashMap;

use chasqui_proto::v1::{BotState, BotStatus, BotWork};

/// How long what a replica said is wrong counts, unless it says it again.
pub(super) const HEALTH_MS_MAX: i64 = 30_000;
/// How long it is known which words of a replica are counted, after the last.
const REPLICA_MS_MAX: i64 = 600_000;
/// How long the bot of a tenant whose contacts something else answers counts as running after it answered one.
const ACTIVE_MS_MAX: i64 = 3_600_000;
/// Over about how many answers the mean goes.
const MEAN_ANSWERS: u64 = 100;

/// How well a replica can answer the contacts of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Health {
    /// Empty without a model.
    pub(super) model: String,
    /// `ok`, `failing`, `over_budget`; empty without a model.
    pub(super) model_state: String,
    /// Empty when the definition is the one in the files.
    pub(super) definition_problem: String,
}

impl Health {
    pub(super) fn of(work: &BotWork) -> Self {
        Self {
            model: work.model.clone(),
            model_state: work.model_state.clone(),
            definition_problem: work.definition_problem.clone(),
        }
    }

    pub(super) fn is_wrong(&self) -> bool {
        !self.definition_problem.is_empty() || self.model_trouble().is_some()
    }

    fn model_trouble(&self) -> Option<&'static str> {
        match self.model_state.as_str() {
            "failing" => Some("the language model fails"),
            "over_budget" => Some("the language model has used up its tokens of today"),
            _ => None,
        }
    }
}

/// What whoever counts knows itself of a tenant.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) is_suspended: bool,
    /// The bot answers where nothing else is said.
    pub(super) is_builtin: bool,
    pub(super) health: Health,
}

/// The queue, as every tenant sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Queued {
    pub(super) length: u32,
    pub(super) trouble: Option<&'static str>,
}

/// How the bot of one tenant stands.
#[derive(Debug)]
pub(super) struct Stand {
    /// What was published last; none before.
    told: Option<BotStatus>,
    answers: u64,
    handoffs: u64,
    answer_time_mean_ms: u64,
    answered_at_ms: i64,
    replicas: HashMap<String, Said>,
}

/// What a replica said last.
#[derive(Debug)]
struct Said {
    /// By its clock.
    at_ms: i64,
    /// By ours.
    heard_at_ms: i64,
    health: Health,
}

impl Stand {
    /// Goes on from what was published last, by whomever.
    pub(super) fn new(stored: Option<BotStatus>) -> Self {
        let last = stored.clone().unwrap_or_default();
        let was_active = matches!(last.state(), BotState::Running | BotState::Degraded);
        Self {
            answers: last.answers,
            handoffs: last.handoffs,
            answer_time_mean_ms: last.answer_time_mean_ms,
            answered_at_ms: if was_active && last.answers > 0 { last.updated_at_ms } else { 0 },
            replicas: HashMap::new(),
            told: stored,
        }
    }

    /// Counts what a replica did, once.
    pub(super) fn count(&mut self, work: &BotWork, now_ms: i64) {
        if self.replicas.get(&work.node).is_some_and(|said| said.at_ms >= work.at_ms) {
            return;
        }
        let said = Said { at_ms: work.at_ms, heard_at_ms: now_ms, health: Health::of(work) };
        self.replicas.insert(work.node.clone(), said);
        self.answers += work.answers;
        self.handoffs += work.handoffs;
        if let Some(mean) = work.answer_time_total_ms.checked_div(work.answers) {
            let (new, known) = (work.answers.min(MEAN_ANSWERS), self.answers - work.answers);
            let old = known.min(MEAN_ANSWERS - new);
            self.answer_time_mean_ms = (self.answer_time_mean_ms * old + mean * new) / (old + new);
            self.answered_at_ms = now_ms;
        }
    }

    /// What is to be published, if it is not what was published last.
    pub(super) fn changed(
        &mut self,
        tenant: &str,
        seen: &Seen,
        queued: Queued,
        now_ms: i64,
    ) -> Option<BotStatus> {
        self.replicas.retain(|_, said| now_ms - said.heard_at_ms < REPLICA_MS_MAX);
        let (state, reason) = self.state(seen, queued, now_ms);
        let next = BotStatus {
            tenant: tenant.to_owned(),
            state: state.into(),
            reason,
            queued: if state == BotState::Off { 0 } else { queued.length },
            answer_time_mean_ms: self.answer_time_mean_ms,
            model: seen.health.model.clone(),
            model_state: self.model_state(&seen.health, now_ms),
            answers: self.answers,
            handoffs: self.handoffs,
            updated_at_ms: self.told.as_ref().map_or(0, |told| told.updated_at_ms),
        };
        (self.told.as_ref() != Some(&next)).then_some(BotStatus { updated_at_ms: now_ms, ..next })
    }

    /// It was published.
    pub(super) fn told(&mut self, status: BotStatus) {
        self.told = Some(status);
    }

    /// What was published last.
    pub(super) fn last(&self) -> Option<&BotStatus> {
        self.told.as_ref()
    }

    fn state(&self, seen: &Seen, queued: Queued, now_ms: i64) -> (BotState, String) {
        let is_active = self.answered_at_ms != 0 && now_ms - self.answered_at_ms < ACTIVE_MS_MAX;
        if seen.is_suspended {
            return (BotState::Off, "the tenant is suspended".to_owned());
        }
        if !seen.is_builtin && !is_active {
            return (BotState::Off, "contacts are answered by another bot, or by nobody".to_owned());
        }
        let mut reasons: Vec<&str> = Vec::new();
        for health in self.healths(&seen.health, now_ms) {
            reasons.extend(Some(health.definition_problem.as_str()).filter(|problem| !problem.is_empty()));
            reasons.extend(health.model_trouble());
        }
        reasons.extend(queued.trouble);
        reasons.sort_unstable();
        reasons.dedup();
        let state = if reasons.is_empty() { BotState::Running } else { BotState::Degraded };
        (state, reasons.join("; "))
    }

    /// The worst that any replica says.
    fn model_state(&self, own: &Health, now_ms: i64) -> String {
        let mut healths = self.healths(own, now_ms);
        let failing = healths.find(|health| health.model_trouble().is_some());
        failing.unwrap_or(own).model_state.clone()
    }

    fn healths<'a>(&'a self, own: &'a Health, now_ms: i64) -> impl Iterator<Item = &'a Health> {
        let counts = move |said: &&Said| now_ms - said.heard_at_ms < HEALTH_MS_MAX;
        std::iter::once(own).chain(self.replicas.values().filter(counts).map(|said| &said.health))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn work(at_ms: i64, answers: u64, mean_ms: u64) -> BotWork {
        BotWork {
            node: "a".to_owned(),
            answers,
            answer_time_total_ms: answers * mean_ms,
            at_ms,
            ..BotWork::default()
        }
    }

    fn builtin() -> Seen {
        Seen { is_builtin: true, ..Seen::default() }
    }

    fn told(stand: &mut Stand, seen: &Seen, now_ms: i64) -> Option<(BotState, String, u64, u64)> {
        let status = stand.changed("default", seen, Queued::default(), now_ms)?;
        stand.told(status.clone());
        Some((status.state(), status.reason, status.answers, status.answer_time_mean_ms))
    }

    #[test]
    fn a_newcomer_is_told_at_once_and_nothing_is_told_twice() {
        let mut stand = Stand::new(None);
        assert_eq!(told(&mut stand, &builtin(), NOW), Some((BotState::Running, String::new(), 0, 0)));
        assert_eq!(told(&mut stand, &builtin(), NOW + 1_000), None);
    }

    #[test]
    fn a_word_that_comes_twice_is_counted_once() {
        let mut stand = Stand::new(None);
        for (at_ms, answers, mean) in [(NOW, 2, 10), (NOW, 2, 10), (NOW + 1, 2, 30), (NOW, 2, 10)] {
            stand.count(&work(at_ms, answers, mean), NOW);
        }
        assert_eq!(told(&mut stand, &builtin(), NOW), Some((BotState::Running, String::new(), 4, 20)));
    }

    #[test]
    fn the_mean_forgets_what_is_long_ago() {
        let mut stand = Stand::new(None);
        stand.count(&work(NOW, 1_000_000, 500), NOW);
        stand.count(&work(NOW + 1, 50, 100), NOW);
        assert_eq!(told(&mut stand, &builtin(), NOW).map(|told| told.3), Some(300));
        stand.count(&work(NOW + 2, 100, 7), NOW);
        assert_eq!(told(&mut stand, &builtin(), NOW).map(|told| told.3), Some(7));
    }

    #[test]
    fn who_takes_over_goes_on_from_what_is_stored() {
        let stored = BotStatus {
            state: BotState::Running.into(),
            answers: 12,
            handoffs: 2,
            answer_time_mean_ms: 40,
            updated_at_ms: NOW,
            ..BotStatus::default()
        };
        let mut stand = Stand::new(Some(stored));
        stand.count(&work(NOW, 1, 40), NOW);
        let status = stand.changed("default", &Seen::default(), Queued::default(), NOW + 1_000).unwrap();
        assert_eq!((status.answers, status.handoffs, status.state()), (13, 2, BotState::Running));
    }

    #[test]
    fn the_bot_is_off_where_it_answers_nobody() {
        let mut stand = Stand::new(None);
        let (external, off) =
            (Seen::default(), "contacts are answered by another bot, or by nobody".to_owned());
        assert_eq!(told(&mut stand, &external, NOW), Some((BotState::Off, off.clone(), 0, 0)));
        // In one conversation it was told to answer.
        stand.count(&work(NOW, 1, 5), NOW);
        assert_eq!(told(&mut stand, &external, NOW), Some((BotState::Running, String::new(), 1, 5)));
        assert_eq!(told(&mut stand, &external, NOW + ACTIVE_MS_MAX), Some((BotState::Off, off, 1, 5)));
        let suspended = Seen { is_suspended: true, ..builtin() };
        let reason = "the tenant is suspended".to_owned();
        assert_eq!(told(&mut stand, &suspended, NOW), Some((BotState::Off, reason, 1, 5)));
    }

    #[test]
    fn whatever_is_wrong_with_any_replica_is_told_until_it_ends() {
        let mut stand = Stand::new(None);
        let problem = "default.toml:1:1: `x` is unknown".to_owned();
        let health = Health { definition_problem: problem.clone(), ..Health::default() };
        let seen = Seen { health, ..builtin() };
        let failing = BotWork { model_state: "failing".to_owned(), ..work(NOW, 0, 0) };
        stand.count(&failing, NOW);
        let queued = Queued { length: 3, trouble: Some("messages wait and no replica takes them") };
        let status = stand.changed("default", &seen, queued, NOW).unwrap();
        assert_eq!((status.state(), status.queued), (BotState::Degraded, 3));
        assert_eq!(status.model_state, "failing");
        let reason = format!("{problem}; messages wait and no replica takes them; the language model fails");
        assert_eq!(status.reason, reason);
        assert_eq!(
            told(&mut stand, &builtin(), NOW + HEALTH_MS_MAX).map(|told| told.0),
            Some(BotState::Running)
        );
    }
}
