//! What becomes of what a contact said: who answers it, with what, and what is remembered.

mod flows;
mod later;

use std::sync::Arc;

use chasqui_kit::TraceContext;
use chasqui_proto::v1::{BotConversation, FlowState, Heard, Responder};
use chasqui_responder::{Reason, Standing};

use crate::{
    definition::{Action, Definition},
    flow::Flow,
    input::{Input, InputKind},
    language::{Language, Text},
    meter::By,
    model,
    office::Office,
    place::Place,
    publication::Answer,
    reply::Reply,
    waiting::{self, Pause},
};

pub(crate) use later::Thought;

/// How long the states of chats may lag behind the answer that opened one, milliseconds.
const CHAT_LAG_MAX_MS: i64 = 60_000;
/// How far the clocks of the broker and the database may be apart, milliseconds.
const CLOCK_SKEW_MAX_MS: i64 = 1_000;

/// Something a contact said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    pub(crate) input: Input<'a>,
    /// By the broker's clock; unix milliseconds.
    pub(crate) stored_at_ms: i64,
    pub(crate) trace: TraceContext,
}

/// What becomes of it.
#[derive(Debug)]
pub(crate) struct Decision {
    /// What is remembered. With a `handoff`, people get the conversation.
    pub(crate) state: BotConversation,
    /// What is said, in this order.
    pub(crate) answers: Vec<Answer>,
}

/// Who decides: everything that is known of the conversation beside its state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decider<'a> {
    pub(crate) office: &'a Office,
    pub(crate) place: &'a Place,
    pub(crate) definition: &'a Definition,
    pub(crate) standing: &'a Standing,
    pub(crate) now_ms: i64,
}

impl Said<'_> {
    fn heard(&self) -> Heard {
        let message = self.input.message;
        let text = model::marked(message.r#type(), self.input.text);
        waiting::heard(message, self.input.seq, &text, self.stored_at_ms)
    }
}

impl Decision {
    fn say(&mut self, by: By, reply: Reply) {
        self.answers.push((by, reply));
    }
}

impl Decider<'_> {
    /// What becomes of something that a contact said just now.
    pub(crate) async fn decide(&self, state: BotConversation, said: &Said<'_>) -> Decision {
        let mut decision = Decision { state, answers: Vec::new() };
        if said.input.kind == InputKind::Silent || self.is_suspended() {
            return decision;
        }
        if said.input.is_for_flow {
            self.answer_front_end(&mut decision, said).await;
        } else if self.is_bots(&mut decision, said) {
            let before = decision.state.waiting.clone();
            self.answer(&mut decision, said).await;
            self.answer_overtaken(&mut decision, before.as_ref());
        }
        decision
    }

    /// The language in which the conversation is.
    pub(crate) fn language(&self, state: &BotConversation) -> Language {
        Language::of_code(&state.language).unwrap_or(self.definition.language())
    }

    fn is_suspended(&self) -> bool {
        self.office.directory.is_suspended(&self.place.tenant)
    }

    /// Whether it is the bot's to answer. Notes what changes for it when it is not.
    fn is_bots(&self, decision: &mut Decision, said: &Said<'_>) -> bool {
        let state = &mut decision.state;
        match self.responder(state) {
            Responder::Builtin => {}
            Responder::External => return false,
            Responder::Person | Responder::Unspecified => {
                drop(state.flow.take_if(|flow| !flow.from_front_end));
                state.waiting = None;
                self.note_chat(state);
                return false;
            }
        }
        if let Some(chat) = self.standing.chat.as_ref().filter(|chat| chat.version > state.chat_version) {
            let began_before =
                |flow: &mut FlowState| !flow.from_front_end && flow.started_at_ms <= chat.closed_at_ms;
            // People had it meanwhile: nobody remembers where the flow was.
            drop(state.flow.take_if(began_before));
            self.note_chat(state);
        }
        if self.is_suspended() || self.was_peoples(said.stored_at_ms) || self.is_before_bot(said.stored_at_ms)
        {
            return false;
        }
        let is_quiet = state.quiet_until_ms > said.stored_at_ms && !self.is_given_back(state);
        if is_quiet {
            state.waiting = None;
        }
        !is_quiet && !self.definition.is_ignored(said.input.message)
    }

    /// Whether what was said then was said to people, whose chat is closed by now.
    fn was_peoples(&self, stored_at_ms: i64) -> bool {
        let closed_at_ms = self.standing.chat.as_ref().map_or(0, |chat| chat.closed_at_ms);
        stored_at_ms + CLOCK_SKEW_MAX_MS < closed_at_ms
    }

    /// Whether the agent for whom the bot is silent has closed a chat since.
    fn is_given_back(&self, state: &BotConversation) -> bool {
        let wrote_at_ms = state.quiet_until_ms.saturating_sub(self.office.config.quiet_ms());
        self.standing.chat.as_ref().is_some_and(|chat| chat.closed_at_ms >= wrote_at_ms)
    }

    /// Whether what was said then was somebody else's: the bot was given the conversation later. That it was let go is
    /// written nowhere, so that whoever catches up finds it again.
    fn is_before_bot(&self, stored_at_ms: i64) -> bool {
        let was_bots = self.standing.reason == Reason::Active
            && self.office.responders.of_tenant(&self.place.tenant) == Responder::Builtin;
        let steered_at_ms = self.standing.conversation.as_ref().map_or(0, |state| state.steered_at_ms);
        !was_bots && stored_at_ms < steered_at_ms
    }

    fn responder(&self, state: &BotConversation) -> Responder {
        let version = self.standing.chat.as_ref().map_or(0, |chat| chat.version);
        // The bot opened a chat that is not told of yet.
        let is_behind = version < state.chat_version && self.now_ms < state.updated_at_ms + CHAT_LAG_MAX_MS;
        if is_behind { Responder::Person } else { self.standing.responder }
    }

    /// Whether what was said then is too old for the bot to answer.
    pub(crate) fn is_late(&self, stored_at_ms: i64) -> bool {
        let age_ms_max = self.office.config.age_secs_max.saturating_mul(1_000);
        self.now_ms - stored_at_ms > i64::try_from(age_ms_max).unwrap_or(i64::MAX)
    }

    fn note_chat(&self, state: &mut BotConversation) {
        let version = self.standing.chat.as_ref().map_or(0, |chat| chat.version);
        state.chat_version = state.chat_version.max(version);
    }

    async fn answer(&self, decision: &mut Decision, said: &Said<'_>) {
        if self.is_late(said.stored_at_ms) {
            return self.hand_over(decision, "late", None);
        }
        let is_elsewhere = decision.state.flow.as_ref().is_some_and(|flow| flow.from_front_end);
        let is_choice = !is_elsewhere && self.is_choice(&decision.state, said);
        if !is_choice && self.definition.handoff().is_asked_for(said.input.text) {
            return self.hand_over(decision, "keyword", None);
        }
        if !is_elsewhere && self.go_on_with_flow(decision, said).await {
            return;
        }
        let of_keyword = |flow: &&Arc<Flow>| flow.language_of_keyword(said.input.text).is_some();
        if let Some(flow) = self.definition.flows().iter().find(of_keyword) {
            if let Some(language) = flow.language_of_keyword(said.input.text) {
                language.code().clone_into(&mut decision.state.language);
            }
            return self.start_flow(decision, flow, said).await;
        }
        if let Some(text) = self.definition.greeting(decision.state.greeted_at_ms, self.now_ms) {
            let language = self.language(&decision.state);
            decision.say(By::Greeting, Reply::text(text.of(language)));
            decision.state.greeted_at_ms = self.now_ms;
        }
        let Some(rule) = self.definition.rule(&said.input, self.now_ms) else {
            return self.answer_without_rule(decision, said).await;
        };
        let milliseconds = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let pause = match (milliseconds(rule.delay_ms), milliseconds(rule.debounce_ms)) {
            (0, 0) => None,
            (delay, 0) => Some(Pause::Delay(delay)),
            (_, silence) => Some(Pause::Silence(silence)),
        };
        match pause {
            Some(pause) if self.wait(decision, &rule.name, said.heard(), pause) => {}
            _ => self.act(decision, &rule.action, (By::Rule, "rule"), said).await,
        }
    }

    async fn answer_without_rule(&self, decision: &mut Decision, said: &Said<'_>) {
        if self.definition.model().is_some() {
            return self.wait_for_model(decision, vec![said.heard()]);
        }
        self.act(decision, self.definition.fallback(), (By::Fallback, "fallback"), said).await;
    }

    /// Does what a rule says, or whatever stands in for one.
    async fn act(
        &self,
        decision: &mut Decision,
        action: &Action,
        (by, reason): (By, &'static str),
        said: &Said<'_>,
    ) {
        match action {
            Action::Reply(texts) => {
                let language = self.language(&decision.state);
                for text in texts {
                    decision.say(by, Reply::text(text.of(language)));
                }
            }
            Action::Flow(name) => match self.definition.flow(name) {
                Some(flow) => Box::pin(self.start_flow(decision, flow, said)).await,
                None => self.hand_over(decision, "failure", None),
            },
            Action::Handoff(text) => self.hand_over(decision, reason, text.as_ref()),
            Action::Model if self.definition.model().is_some() => {
                self.wait_for_model(decision, vec![said.heard()]);
            }
            // Where no model is, what asks for it cannot be done.
            Action::Model => self.hand_over(decision, "failure", None),
            Action::Silence => {}
        }
    }

    /// People get the conversation, whatever was under way in it.
    fn hand_over(&self, decision: &mut Decision, reason: &'static str, text: Option<&Text>) {
        let text = text.unwrap_or(self.definition.handoff().text());
        decision.say(By::Handoff, Reply::text(text.of(self.language(&decision.state))));
        self.give_up(&mut decision.state, reason);
    }

    fn give_up(&self, state: &mut BotConversation, reason: &'static str) {
        tracing::info!(conversation = %self.place, reason, "people are to take over");
        reason.clone_into(&mut state.handoff);
        (state.flow, state.waiting) = (None, None);
    }
}
