//! The states of a flow.

use std::collections::BTreeMap;

use chasqui_proto::v1::FlowState;

use super::{
    call::{self, Call, Condition},
    choice::Choice,
    question::Question,
};
use crate::language::Text;

/// Where a flow goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// By its place in the file.
    State(usize),
    /// To people.
    Handoff,
    /// Out of it, as the exit word does.
    Exit,
    /// Nowhere: it is through.
    Completed,
}

/// A way out of a state that is taken where values are as it says.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) when: Vec<Condition>,
    pub(super) to: Target,
}

/// What is done about what is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// The question is asked again.
    AskAgain,
    /// The flow goes on there at once; a state takes it as its own answer.
    To(Target),
}

/// How often a question is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reprompts {
    pub(super) max: u32,
    /// Where the flow goes on after that.
    pub(super) to: Target,
}

/// A state.
#[derive(Debug)]
pub(super) struct State {
    pub(super) name: String,
    /// Each is a message.
    pub(super) prompts: Vec<Text>,
    pub(super) question: Question,
    /// What the answer is remembered as.
    pub(super) save: Option<String>,
    /// What is said to what is no answer; none is the flow's.
    pub(super) invalid: Option<Text>,
    /// What is said to a picture, a voice note or a place; none is the flow's.
    pub(super) media: Option<Text>,
    /// Asked before the question.
    pub(super) before: Option<Call>,
    /// Asked after the answer.
    pub(super) after: Option<Call>,
    pub(super) branches: Vec<Branch>,
    /// Where no branch is taken.
    pub(super) next: Target,
    pub(super) unknown: Unknown,
    pub(super) reprompts: Reprompts,
    /// The values that are there whichever way led here.
    pub(super) given: Vec<String>,
}

impl State {
    /// Where the flow goes on with these values.
    pub(super) fn way(&self, values: &BTreeMap<String, String>) -> Target {
        let taken = self.branches.iter().find(|branch| call::hold(&branch.when, values));
        taken.map_or(self.next, |branch| branch.to)
    }

    /// Whether its call before the question has to give options.
    pub(super) fn looks_options_up(&self) -> bool {
        matches!(self.question, Question::Choice(Choice::LookedUp))
    }

    /// Whether a stored state can be one of this: what every way here gives is there.
    pub(super) fn fits(&self, stored: &FlowState) -> bool {
        let has_options =
            !matches!(self.question, Question::Choice(Choice::Found)) || !stored.options.is_empty();
        has_options && self.given.iter().all(|name| stored.values.contains_key(name))
    }

    /// Whether the contact was asked. Where the call before the question failed, it was not, and neither where the
    /// options have changed in the file meanwhile.
    pub(super) fn is_asked(&self, stored: &FlowState) -> bool {
        let is_answered = |call: &Call| call.saves.iter().all(|save| stored.values.contains_key(&save.name));
        let before = self.before.as_ref().filter(|call| call::hold(&call.when, &stored.values));
        let has_options = match &self.question {
            Question::Message => false,
            Question::Choice(choice) => choice.is_given(&stored.options),
            _ => true,
        };
        has_options && before.is_none_or(is_answered)
    }
}
