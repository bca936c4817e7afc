//! Reads a state.

use serde::Deserialize;

use super::Reading;
use crate::{
    fields::{At, Fields},
    flow::{
        call::Call,
        check::{Moment, Pass},
        choice::Choice,
        question::Question,
        state::{Branch, Reprompts, State, Target, Unknown},
        step::Phase,
    },
    language::Text,
};

/// The most messages that a state says at once.
const PROMPTS_MAX: usize = 5;
/// The most branches of a state.
const BRANCHES_MAX: usize = 50;
/// What only a state that asks something can have.
const ONLY_WITH_INPUT: [&str; 6] = ["save", "invalid", "media", "after", "unknown", "reprompts"];

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text, { es = \"…\", en = \"…\" }, or a list of them")]
enum Prompts {
    One(Text),
    Several(Vec<Text>),
}

impl<'t> Reading<'t> {
    /// The state at a place in the file, whose name is read already.
    pub(super) fn state(&mut self, index: usize, mut fields: Fields<'t>, reprompts: Reprompts) -> State {
        let question = self.question(&mut fields);
        self.require_input(&fields, &question);
        let prompts = self.prompts(&mut fields, index, &question);
        let save = fields.take::<String>(&mut self.found, "save");
        if let Some(save) = &save {
            self.require_name(save, "a value");
        }
        let invalid = self.text(&mut fields, "invalid", Moment::Asked(index));
        let media = self.text(&mut fields, "media", Moment::Asked(index));
        let before = self.call(&mut fields, Phase::Before, index);
        let after = self.call(&mut fields, Phase::After, index);
        let branches = self.branches(&mut fields);
        let next = self.next(&mut fields, &question, !branches.is_empty());
        let unknown = self.unknown(&mut fields, index);
        let reprompts = self.reprompts(&mut fields, reprompts);
        let state = State {
            name: self.names[index].clone(),
            prompts,
            question,
            save: save.map(|save| save.value),
            invalid,
            media,
            before,
            after,
            branches,
            next,
            unknown,
            reprompts,
            given: Vec::new(),
        };
        self.require_calls(&fields, &state);
        fields.finish(&mut self.found);
        state
    }

    fn require_input(&mut self, fields: &Fields<'t>, question: &Question) {
        if matches!(question, Question::Message) {
            for field in ONLY_WITH_INPUT.into_iter().filter(|field| fields.has(field)) {
                self.found.problem(fields.span(), format!("`{field}` needs an `input`"));
            }
        }
    }

    fn prompts(&mut self, fields: &mut Fields<'t>, index: usize, question: &Question) -> Vec<Text> {
        let is_needless = matches!(question, Question::Message) || fields.has("prompt");
        let Some(At { value, span }) = fields.take::<Prompts>(&mut self.found, "prompt") else {
            self.found.require(is_needless, fields.span(), "`prompt` is missing: what the contact is asked");
            return Vec::new();
        };
        let prompts = match value {
            Prompts::One(text) => vec![text],
            Prompts::Several(texts) => texts,
        };
        let is_right = (1..=PROMPTS_MAX).contains(&prompts.len());
        self.found.require(is_right, span.clone(), format!("`prompt` must have 1 to {PROMPTS_MAX} texts"));
        for prompt in &prompts {
            self.said(prompt, &span, Moment::Asked(index));
        }
        prompts
    }

    fn branches(&mut self, fields: &mut Fields<'t>) -> Vec<Branch> {
        let tables = fields.tables(&mut self.found, "branches");
        let is_few = tables.len() <= BRANCHES_MAX;
        self.found.require(is_few, fields.span(), format!("there must be at most {BRANCHES_MAX} branches"));
        let mut branches = Vec::with_capacity(tables.len());
        for mut table in tables {
            let has_when = table.has("when");
            self.found.require(has_when, table.span(), "`when` is missing: the values of this branch");
            let when = self.when(&mut table);
            let to = table.need::<String>(&mut self.found, "to").map(|to| self.target(&to));
            table.finish(&mut self.found);
            branches.extend(to.map(|to| Branch { when, to }));
        }
        branches
    }

    fn next(&mut self, fields: &mut Fields<'t>, question: &Question, has_branches: bool) -> Target {
        let next = fields.take::<String>(&mut self.found, "next");
        let end = fields.take::<bool>(&mut self.found, "end");
        if let Some(At { value: true, span }) = end {
            let is_alone = next.is_none() && !has_branches;
            self.found.require(is_alone, span.clone(), "a state with `end` has no `next` and no `branches`");
            let is_message = matches!(question, Question::Message);
            self.found.require(is_message, span, "a state with `end` has no `input`: its flow is through");
            return Target::Completed;
        }
        let Some(next) = next else {
            let message = "`next` is missing: the state that follows, `handoff` or `exit`, or `end = true`";
            self.found.problem(fields.span(), message);
            self.noted.has_lost_way = true;
            return Target::Completed;
        };
        self.target(&next)
    }

    fn unknown(&mut self, fields: &mut Fields<'t>, from: usize) -> Unknown {
        let Some(unknown) = fields.take::<String>(&mut self.found, "unknown") else {
            return Unknown::AskAgain;
        };
        let target = self.target(&unknown);
        if let Target::State(to) = target {
            self.noted.passes.push(Pass { from, to, span: unknown.span });
        }
        Unknown::To(target)
    }

    /// What calls must have for the question they belong to.
    fn require_calls(&mut self, fields: &Fields<'t>, state: &State) {
        let span = fields.span();
        let is_always = |call: &Call| call.when.is_empty();
        match &state.question {
            Question::Choice(Choice::LookedUp) => {
                let is_there = state.before.as_ref().is_some_and(is_always);
                let message = "`options_from = \"before\"` needs a `before` without `when`";
                self.found.require(is_there, span, message);
            }
            Question::Message => {}
            question => {
                let is_seen = state.before.as_ref().is_none_or(|before| !before.saves.is_empty());
                let message = "a `before` of a question must `save` something or give its options";
                self.found.require(is_seen, span.clone(), message);
                let is_search = matches!(question, Question::Search { .. });
                let is_there = !is_search || state.after.as_ref().is_some_and(is_always);
                self.found.require(is_there, span, "`input = \"search\"` needs an `after` without `when`");
            }
        }
    }
}
