//! How a conversation moves through a flow. Pure: whatever is asked of others is given back to the caller.

use chasqui_proto::v1::FlowAnswer;
use prost::Message as _;

use super::{
    Flow,
    call::{self, Call, Heard},
    choice::{self, Choice},
    date,
    question::{Answer, Circumstances, Question},
    state::{State, Target, Unknown},
    step::{Asked, CallFailed, End, Outcome, Phase, Position, Step},
    template,
};
use crate::{
    input::{Input, InputKind},
    language::Text,
    reply::Reply,
};

/// The longest text that a flow says, characters.
const REPLY_CHARACTERS_MAX: usize = 10_000;
/// The largest state that is stored, bytes: with what waits to be said it stays below the largest message of the bus.
const STATE_BYTES_MAX: usize = 256 * 1024;

/// A conversation on its way through a flow.
pub(super) struct Walk<'f> {
    pub(super) flow: &'f Flow,
    pub(super) position: Position,
}

impl<'f> Walk<'f> {
    /// Takes what the contact said.
    pub(super) fn take(mut self, input: &Input<'_>) -> Step {
        let expires_at_ms = self.position.state.expires_at_ms;
        match input.kind {
            InputKind::Silent => return Step::Done(self.unchanged()),
            _ if expires_at_ms <= self.position.now_ms => {
                self.say(self.flow.expiry.text.as_ref());
                return self.end(End::Expired);
            }
            InputKind::Start => return self.begin(),
            InputKind::Text if self.flow.exit.is_asked_for(input.text) => return self.enter(Target::Exit),
            InputKind::Text | InputKind::Media => {}
        }
        let Some((index, state)) = self.standing() else { return self.restart() };
        if !state.is_asked(&self.position.state) {
            return self.enter(Target::State(index));
        }
        match self.read(state, input) {
            Some(answer) => self.answer(state, answer),
            None => self.not_understood(state, input),
        }
    }

    /// Takes what a call came to.
    pub(super) fn hear(mut self, phase: Phase, answer: Result<FlowAnswer, CallFailed>) -> Step {
        let Some((_, state)) = self.standing() else { return self.restart() };
        let (call, needs_options) = match phase {
            Phase::Before => (&state.before, state.looks_options_up()),
            Phase::After => (&state.after, matches!(state.question, Question::Search { .. })),
        };
        let Some(call) = call else { return self.restart() };
        match answer.map(|answer| call.heard(answer, needs_options)) {
            Err(CallFailed) | Ok(Heard::Unfit) => self.fail(),
            Ok(Heard::No(refusal)) => {
                self.position.state.failures = 0;
                self.say(refusal.text.as_ref());
                match refusal.to {
                    Some(target) => self.enter(target),
                    None => self.ask_again_in_vain(state),
                }
            }
            Ok(Heard::Yes { values, options }) => {
                self.position.state.failures = 0;
                self.position.state.values.extend(values);
                if needs_options {
                    self.position.state.options = options;
                }
                match phase {
                    Phase::Before => self.ask(state),
                    Phase::After => self.leave(state),
                }
            }
        }
    }

    /// Begins at the first state, with nothing said before.
    pub(super) fn begin(mut self) -> Step {
        self.position.state.flow.clone_from(&self.flow.name);
        self.position.state.values.clear();
        self.position.state.options.clear();
        let start = Target::State(self.flow.start);
        self.enter(start)
    }

    /// The file has changed: where the conversation was, there is nothing to go on from (BEN-37).
    fn restart(mut self) -> Step {
        self.say(Some(&self.flow.texts.restart));
        self.begin()
    }

    /// The state that the conversation is in, as far as it can be gone on from.
    fn standing(&self) -> Option<(usize, &'f State)> {
        let (flow, stored) = (self.flow, &self.position.state);
        let index = flow.states.iter().position(|state| state.name == stored.state)?;
        let state = &flow.states[index];
        (stored.flow == self.flow.name && state.fits(stored)).then_some((index, state))
    }

    fn enter(mut self, target: Target) -> Step {
        let index = match target {
            Target::State(index) => index,
            Target::Handoff => return self.end(End::Handoff),
            Target::Completed => return self.end(End::Completed),
            Target::Exit => {
                self.say(self.flow.exit.text.as_ref());
                return self.end(End::Exited);
            }
        };
        let state = &self.flow.states[index];
        let stored = &mut self.position.state;
        stored.state.clone_from(&state.name);
        stored.reprompts = 0;
        if state.question.has_own_options() {
            stored.options.clear();
        }
        match &state.before {
            Some(before) => {
                for save in &before.saves {
                    stored.values.remove(&save.name);
                }
                if call::hold(&before.when, &stored.values) {
                    return self.call(before, Phase::Before);
                }
                self.ask(state)
            }
            None => self.ask(state),
        }
    }

    /// Asks the question, or says what there is to say and goes on.
    fn ask(mut self, state: &State) -> Step {
        if let Question::Choice(Choice::Fixed(options)) = &state.question {
            let language = self.position.language;
            self.position.state.options = options.iter().map(|option| option.given(language)).collect();
        }
        self.prompt(state, &state.prompts);
        match state.question {
            Question::Message => self.leave(state),
            _ => self.end(End::Open),
        }
    }

    fn read(&self, state: &State, input: &Input<'_>) -> Option<Answer> {
        let today = date::today(self.position.now_ms, self.flow.utc_offset_minutes);
        let with = Circumstances { state: &state.name, options: &self.position.state.options, today };
        (input.kind == InputKind::Text).then(|| state.question.answer(input, with)).flatten()
    }

    fn answer(mut self, state: &State, answer: Answer) -> Step {
        let values = &mut self.position.state.values;
        if let Some(save) = &state.save {
            values.retain(|name, _| name.strip_prefix(save).is_none_or(|rest| !rest.starts_with('.')));
            values.insert(save.clone(), answer.value);
            values.extend(answer.details.into_iter().map(|(name, value)| (format!("{save}.{name}"), value)));
        }
        match &state.after {
            Some(after) if call::hold(&after.when, values) => self.call(after, Phase::After),
            _ => self.leave(state),
        }
    }

    fn leave(self, state: &State) -> Step {
        let target = state.way(&self.position.state.values);
        self.enter(target)
    }

    fn not_understood(mut self, state: &State, input: &Input<'_>) -> Step {
        match state.unknown {
            Unknown::To(Target::State(index)) if input.kind == InputKind::Text => {
                let other = &self.flow.states[index];
                if let Some(answer) = self.read(other, input) {
                    self.position.state.state.clone_from(&other.name);
                    self.position.state.reprompts = 0;
                    return self.answer(other, answer);
                }
            }
            Unknown::To(target @ (Target::Handoff | Target::Exit | Target::Completed)) => {
                return self.enter(target);
            }
            Unknown::To(Target::State(_)) | Unknown::AskAgain => {}
        }
        if !self.may_ask_again(state) {
            return self.enter(state.reprompts.to);
        }
        let texts = &self.flow.texts;
        let media = state.media.as_ref().or(texts.media.as_ref()).filter(|_| input.kind == InputKind::Media);
        match media.or(state.invalid.as_ref()).or(texts.invalid.as_ref()) {
            Some(text) => self.prompt(state, std::slice::from_ref(text)),
            None => self.prompt(state, &state.prompts),
        }
        self.end(End::Open)
    }

    /// The answer was refused, which the contact was told: another answer is waited for.
    fn ask_again_in_vain(mut self, state: &State) -> Step {
        if self.may_ask_again(state) { self.end(End::Open) } else { self.enter(state.reprompts.to) }
    }

    fn may_ask_again(&mut self, state: &State) -> bool {
        let reprompts = &mut self.position.state.reprompts;
        *reprompts = reprompts.saturating_add(1);
        *reprompts <= state.reprompts.max
    }

    fn call(self, call: &Call, phase: Phase) -> Step {
        let stored = &self.position.state;
        let parameters = call.parameters(&stored.values);
        let request_id = call.request_id(&stored.run, &stored.state, &parameters);
        let call = call.name.clone();
        Step::Call(Box::new(Asked { call, parameters, request_id, position: self.position, phase }))
    }

    fn fail(mut self) -> Step {
        let failures = &mut self.position.state.failures;
        *failures = failures.saturating_add(1);
        let is_last = *failures >= self.flow.failures_max;
        self.say(Some(&self.flow.texts.error));
        self.end(if is_last { End::Failed } else { End::Open })
    }

    /// Says these, the last one with what there is to choose from.
    fn prompt(&mut self, state: &State, texts: &[Text]) {
        let Some((last, others)) = texts.split_last() else { return };
        for text in others {
            self.say(Some(text));
        }
        let mut reply = Reply::text(self.filled(last));
        if matches!(state.question, Question::Choice(_)) {
            let options = &self.position.state.options;
            reply.text = format!("{}\n\n{}", reply.text, choice::lines(options));
            reply.options = choice::buttons(&state.name, options);
        }
        self.reply(reply);
    }

    fn say(&mut self, text: Option<&Text>) {
        if let Some(text) = text {
            let text = self.filled(text);
            self.reply(Reply::text(text));
        }
    }

    fn reply(&mut self, reply: Reply) {
        if !reply.text.trim().is_empty() {
            self.position.replies.push(reply);
        }
    }

    fn filled(&self, text: &Text) -> String {
        let Position { state, language, .. } = &self.position;
        template::filled(text.of(*language), &state.values, REPLY_CHARACTERS_MAX)
    }

    /// Nothing more for now. A state that has grown beyond what can be stored is the end of the flow.
    fn end(mut self, end: End) -> Step {
        let is_outgrown = end == End::Open && self.position.state.encoded_len() > STATE_BYTES_MAX;
        if is_outgrown {
            self.say(Some(&self.flow.texts.error));
        }
        let end = if is_outgrown { End::Failed } else { end };
        let Position { mut state, replies, language, now_ms } = self.position;
        state.expires_at_ms = now_ms.saturating_add(self.flow.expiry.after_ms);
        let state = (end == End::Open).then_some(state);
        Step::Done(Outcome { state, replies, end, language })
    }

    fn unchanged(self) -> Outcome {
        let Position { state, replies, language, .. } = self.position;
        Outcome { state: Some(state), replies, end: End::Open, language }
    }
}
