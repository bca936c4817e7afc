//! What is answered after a pause, or by the language model.

use chasqui_proto::v1::{BotConversation, Heard, Waiting};

use super::{Decider, Decision, Said};
use crate::{
    definition::Action,
    meter::By,
    model::{self, ModelError},
    reply::Reply,
    waiting::{self, Pause},
};

/// What the language model said to some messages.
#[derive(Debug)]
pub(crate) struct Thought {
    pub(crate) heard: Vec<Heard>,
    pub(crate) answer: Result<model::Answer, ModelError>,
}

impl Decider<'_> {
    /// What becomes of messages for the language model that are not the bot's to answer any more; none where they are.
    pub(crate) fn let_go(&self, state: BotConversation, said: &Said<'_>) -> Option<Decision> {
        let mut decision = Decision { state, answers: Vec::new() };
        if self.is_bots(&mut decision, said) {
            return None;
        }
        decision.state.waiting = None;
        Some(decision)
    }

    /// What becomes of messages whose rule was to wait, and has.
    pub(crate) async fn after_pause(
        &self,
        state: BotConversation,
        waiting: Waiting,
        said: &Said<'_>,
    ) -> Decision {
        let mut decision = Decision { state, answers: Vec::new() };
        decision.state.waiting = None;
        if !self.is_bots(&mut decision, said) {
            return decision;
        }
        if self.is_late(said.stored_at_ms) {
            self.hand_over(&mut decision, "late", None);
            return decision;
        }
        match self.definition.rule_named(&waiting.rule).map(|rule| &rule.action) {
            Some(Action::Model) if self.definition.model().is_some() => {
                let waiting = waiting::begin("", waiting.heard, Pause::Delay(0), self.now_ms);
                decision.state.waiting = Some(waiting);
            }
            Some(action) => self.act(&mut decision, action, (By::Rule, "rule"), said).await,
            // The file says something else by now.
            None => {
                self.act(&mut decision, self.definition.fallback(), (By::Fallback, "fallback"), said).await;
            }
        }
        decision
    }

    /// What becomes of messages that the language model has thought about.
    pub(crate) async fn after_thought(
        &self,
        state: BotConversation,
        waiting: Waiting,
        thought: &Thought,
        said: &Said<'_>,
    ) -> Decision {
        let mut decision = Decision { state, answers: Vec::new() };
        decision.state.waiting = waiting::without(waiting, &thought.heard, self.now_ms);
        if !self.is_bots(&mut decision, said) {
            decision.state.waiting = None;
            return decision;
        }
        match &thought.answer {
            Ok(answer) => {
                answer.texts.iter().for_each(|text| decision.say(By::Model, Reply::text(text)));
            }
            Err(error) => {
                tracing::warn!(%error, conversation = %self.place, "the language model did not answer");
                let instead =
                    self.definition.model().map_or(self.definition.fallback(), |model| &model.on_failure);
                self.act(&mut decision, instead, (By::Fallback, "failure"), said).await;
            }
        }
        decision
    }

    /// Puts an answer off. Not where the language model is at work: there is no place for two.
    pub(super) fn wait(&self, decision: &mut Decision, rule: &str, heard: Heard, pause: Pause) -> bool {
        let is_of_another = |waiting: &Waiting| waiting.rule != rule && !waiting.rule.is_empty();
        if decision.state.waiting.as_ref().is_some_and(is_of_another) {
            self.answer_waiting(decision);
            if !decision.state.handoff.is_empty() {
                return true;
            }
        }
        match &mut decision.state.waiting {
            Some(waiting) if waiting.rule == rule => waiting::join(waiting, heard, pause, self.now_ms),
            Some(_) => return false,
            None => decision.state.waiting = Some(waiting::begin(rule, vec![heard], pause, self.now_ms)),
        }
        true
    }

    pub(super) fn wait_for_model(&self, decision: &mut Decision, heard: Vec<Heard>) {
        let debounce_ms = self.definition.model().map_or(0, |model| model.debounce_ms);
        let pause = Pause::Silence(i64::try_from(debounce_ms).unwrap_or(i64::MAX));
        for heard in heard {
            self.wait(decision, "", heard, pause);
        }
    }

    /// What waited when something else was said comes before it.
    pub(super) fn answer_overtaken(&self, decision: &mut Decision, before: Option<&Waiting>) {
        let is_overtaken = before.is_some_and(|waiting| !waiting.rule.is_empty())
            && decision.state.waiting.as_ref() == before
            && !decision.answers.is_empty();
        if is_overtaken {
            self.answer_waiting(decision);
        }
    }

    /// Does at once what a rule would have done later; what it says comes before everything else. Only a flow, which would
    /// take what was said meanwhile for an answer, is overtaken.
    fn answer_waiting(&self, decision: &mut Decision) {
        let Some(waiting) = decision.state.waiting.take() else { return };
        match self.definition.rule_named(&waiting.rule).map(|rule| &rule.action) {
            Some(Action::Reply(texts)) => {
                let language = self.language(&decision.state);
                let replies = texts.iter().map(|text| (By::Rule, Reply::text(text.of(language))));
                decision.answers.splice(0..0, replies);
            }
            Some(Action::Handoff(text)) => self.hand_over(decision, "rule", text.as_ref()),
            Some(Action::Model) => {
                let waiting = waiting::begin("", waiting.heard, Pause::Delay(0), self.now_ms);
                decision.state.waiting = Some(waiting);
            }
            Some(Action::Flow(_) | Action::Silence) | None => {}
        }
    }
}
