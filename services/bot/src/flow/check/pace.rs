//! What happens between two answers of a contact: it comes to an end, and soon.

use super::{Check, Names, known};
use crate::{
    fields::Found,
    flow::{
        question::Question,
        state::{State, Target},
    },
};

/// The most calls between two answers of a contact, who waits for all of them.
const CALLS_MAX: usize = 8;
/// The most messages that a contact is sent between two answers.
const MESSAGES_MAX: usize = 20;

/// What happens from the entry of a state to the next question, at most.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    calls: usize,
    messages: usize,
}

impl Load {
    fn or(self, other: Self) -> Self {
        Self { calls: self.calls.max(other.calls), messages: self.messages.max(other.messages) }
    }
}

impl Check<'_> {
    pub(super) fn require_pace(&self, found: &mut Found<'_>) {
        let mut loads: Vec<Option<Load>> = vec![None; self.states.len()];
        for index in 0..self.states.len() {
            self.load_from(index, &mut loads, &mut Vec::new(), found);
        }
        let load_of = |index: usize| loads[index].unwrap_or_default();
        for (index, state) in self.states.iter().enumerate() {
            let after = usize::from(state.after.is_some());
            let mut load = targets(state).map(load_of).fold(Load::default(), Load::or);
            load.calls += after;
            if index == self.start {
                load = load.or(load_of(index));
            }
            for (count, most, what) in
                [(load.calls, CALLS_MAX, "calls"), (load.messages, MESSAGES_MAX, "messages")]
            {
                let name = &state.name;
                let message = || {
                    format!(
                        "after `{name}` there are more than {most} {what} before the contact is asked again"
                    )
                };
                found.require(count <= most, self.noted.states[index].clone(), message());
            }
        }
    }

    fn load_from(
        &self,
        index: usize,
        loads: &mut Vec<Option<Load>>,
        path: &mut Vec<usize>,
        found: &mut Found<'_>,
    ) -> Load {
        if let Some(known) = loads[index] {
            return known;
        }
        if let Some(at) = path.iter().position(|other| *other == index) {
            let circle = path[at..].iter().chain([&index]).map(|index| self.states[*index].name.as_str());
            let circle = circle.collect::<Vec<_>>().join(" → ");
            let message = format!("these go on in a circle and never ask anything: {circle}");
            found.problem(self.noted.states[index].clone(), message);
            return Load::default();
        }
        path.push(index);
        let state = &self.states[index];
        let loads_after = unasked_targets(state).map(|to| self.load_from(to, loads, path, found));
        let mut load = loads_after.fold(Load::default(), Load::or);
        path.pop();
        load.calls += usize::from(state.before.is_some());
        load.messages += state.prompts.len();
        loads[index] = Some(load);
        load
    }
}

/// Every state that a state leads to.
fn targets(state: &State) -> impl Iterator<Item = usize> {
    known(state, Names::new()).ways.into_iter().map(|(to, _)| to)
}

/// The states that a state leads to without an answer of the contact.
fn unasked_targets(state: &State) -> impl Iterator<Item = usize> {
    let goes_on = matches!(state.question, Question::Message);
    let refused = state.before.iter().flat_map(|before| &before.refusals).filter_map(|refusal| refusal.to);
    let branches = state.branches.iter().map(|branch| branch.to).chain([state.next]);
    refused.chain(branches.filter(move |_| goes_on)).filter_map(|target| match target {
        Target::State(index) => Some(index),
        _ => None,
    })
}
