//! Checks what only a whole flow shows: whether each state can be reached, whether it comes to an end by itself, and
//! whether every value that a text has a place for is there when it is said.

mod pace;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{
    call::{Call, Condition},
    choice::Choice,
    question::Question,
    read::nearest,
    state::{State, Target, Unknown},
};
use crate::fields::Found;

/// In the values that are there: options that a search has found.
const FOUND: &str = "[found]";

/// When a text is said, which is what decides which values are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// In any state: no value is certain.
    Anywhere,
    /// On the way into a state.
    Entry(usize),
    /// With its question.
    Asked(usize),
    /// After its answer.
    Answered(usize),
}

/// A place for a value.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) name: String,
    pub(super) span: Range<usize>,
    pub(super) moment: Moment,
}

/// A condition, and where it stands.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) condition: Condition,
    pub(super) span: Range<usize>,
}

/// A state that gives what it does not understand to another.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) span: Range<usize>,
}

/// What was noted while the file was read.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Where the name of each state stands.
    pub(super) states: Vec<Range<usize>>,
    pub(super) uses: Vec<Use>,
    pub(super) tests: Vec<Test>,
    pub(super) passes: Vec<Pass>,
    /// A way leads nowhere, which is told: what cannot be reached because of that is not.
    pub(super) has_lost_way: bool,
}

/// A flow that is read and not yet checked.
pub(super) struct Check<'c> {
    pub(super) states: &'c [State],
    pub(super) noted: &'c Noted,
    pub(super) start: usize,
}

/// The names of values that are there whichever way was taken.
type Names = BTreeSet<String>;

/// What a way through a state starts from, step by step.
struct Known {
    entry: Names,
    asked: Names,
    answered: Names,
    ways: Vec<(usize, Names)>,
}

impl Check<'_> {
    /// Notes every problem; gives the values that are there at the entry of each state.
    pub(super) fn run(&self, found: &mut Found<'_>) -> Vec<Vec<String>> {
        let entries = self.entries();
        self.require_reachable(&entries, found);
        self.require_pace(found);
        self.require_places(&entries, found);
        self.require_tests(found);
        self.require_passes(found);
        self.require_found(&entries, found);
        let certain = |names: Names| names.into_iter().filter(|name| !name.contains(['[', '*'])).collect();
        std::iter::zip(self.states, entries)
            .map(|(state, entry)| entry.map_or(Vec::new(), |entry| certain(known(state, entry).entry)))
            .collect()
    }

    /// The values that are there when a state is entered; none for what cannot be.
    fn entries(&self) -> Vec<Option<Names>> {
        let mut entries: Vec<Option<Names>> = vec![None; self.states.len()];
        entries[self.start] = Some(Names::new());
        let mut changed = vec![self.start];
        // Names only ever leave a set that was reached, so this ends.
        while let Some(index) = changed.pop() {
            let Some(entry) = entries[index].clone() else { continue };
            for (to, names) in known(&self.states[index], entry).ways {
                let narrowed = match &entries[to] {
                    Some(there) => there.intersection(&names).cloned().collect(),
                    None => names,
                };
                if entries[to].as_ref() != Some(&narrowed) {
                    entries[to] = Some(narrowed);
                    changed.push(to);
                }
            }
        }
        entries
    }

    fn require_reachable(&self, entries: &[Option<Names>], found: &mut Found<'_>) {
        for (index, _) in entries.iter().enumerate().filter(|(_, entry)| entry.is_none()) {
            let message = || format!("nothing leads to the state `{}`", self.states[index].name);
            found.require(self.noted.has_lost_way, self.noted.states[index].clone(), message());
        }
    }

    fn require_places(&self, entries: &[Option<Names>], found: &mut Found<'_>) {
        let anywhere = Names::new();
        let known: Vec<Option<Known>> = std::iter::zip(self.states, entries)
            .map(|(state, entry)| entry.clone().map(|entry| known(state, entry)))
            .collect();
        let set = self.set_anywhere();
        for Use { name, span, moment } in &self.noted.uses {
            let names = match moment {
                Moment::Anywhere => Some(&anywhere),
                Moment::Entry(index) => known[*index].as_ref().map(|known| &known.entry),
                Moment::Asked(index) => known[*index].as_ref().map(|known| &known.asked),
                Moment::Answered(index) => known[*index].as_ref().map(|known| &known.answered),
            };
            if names.is_none_or(|names| has(names, name)) && (names.is_some() || has(&set, name)) {
                continue;
            }
            if !has(&set, name) {
                let known = set.iter().map(String::as_str).filter(|known| !known.contains(['[', '*']));
                let meant = nearest(name, known)
                    .map_or(String::new(), |known| format!(", did you mean {{{known}}}?"));
                found.problem(span.clone(), format!("nothing sets {{{name}}}{meant}"));
            } else if *moment == Moment::Anywhere {
                found.problem(
                    span.clone(),
                    format!("{{{name}}} is not there in every state in which this is said"),
                );
            } else {
                found.problem(span.clone(), format!("{{{name}}} is not there on every way that leads here"));
            }
        }
    }

    /// What is set at all, wherever.
    fn set_anywhere(&self) -> Names {
        let mut names = Names::new();
        for state in self.states {
            names.extend(answer_names(state));
            for call in state.before.iter().chain(&state.after) {
                names.extend(save_names(call));
            }
        }
        names
    }

    /// What is compared can be so.
    fn require_tests(&self, found: &mut Found<'_>) {
        let set = self.set_anywhere();
        let ids = self.option_ids();
        for Test { condition, span } in &self.noted.tests {
            if !has(&set, &condition.value) {
                let meant = nearest(&condition.value, set.iter().map(String::as_str));
                let meant = meant.map_or(String::new(), |known| format!(", did you mean `{known}`?"));
                found.problem(span.clone(), format!("nothing sets `{}`{meant}", condition.value));
            }
            let Some(Some(ids)) = ids.get(condition.value.as_str()) else { continue };
            for value in condition.one_of.iter().filter(|value| !ids.contains(value.as_str())) {
                let ids = ids.iter().copied().collect::<Vec<_>>().join("`, `");
                let message = format!("`{}` is never `{value}`; it is one of `{ids}`", condition.value);
                found.problem(span.clone(), message);
            }
        }
    }

    /// What values can be, for those that only options of the file set.
    fn option_ids(&self) -> BTreeMap<&str, Option<BTreeSet<&str>>> {
        let mut ids: BTreeMap<&str, Option<BTreeSet<&str>>> = BTreeMap::new();
        for state in self.states {
            for save in state.before.iter().chain(&state.after).flat_map(|call| &call.saves) {
                ids.insert(&save.name, None);
            }
        }
        for state in self.states {
            let Some(save) = &state.save else { continue };
            let known = ids.entry(save).or_insert_with(|| Some(BTreeSet::new()));
            match &state.question {
                Question::Choice(Choice::Fixed(options)) => {
                    if let Some(known) = known {
                        known.extend(options.iter().map(|option| option.id.as_str()));
                    }
                }
                _ => *known = None,
            }
        }
        ids
    }

    /// What a state does not understand goes to one that can take it as it is.
    fn require_passes(&self, found: &mut Found<'_>) {
        for Pass { from, to, span } in &self.noted.passes {
            let state = &self.states[*to];
            let takes_words = matches!(state.question, Question::Text { .. } | Question::Search { .. });
            let is_right =
                from != to && takes_words && state.before.is_none() && state.unknown == Unknown::AskAgain;
            let message = "`unknown` must name another state whose `input` is text or search, without `before` and `unknown`";
            found.require(is_right, span.clone(), message);
        }
    }

    /// What a search has found is still there when the contact chooses from it.
    fn require_found(&self, entries: &[Option<Names>], found: &mut Found<'_>) {
        for (index, state) in self.states.iter().enumerate() {
            let needs = matches!(state.question, Question::Choice(Choice::Found));
            let is_there = entries[index].as_ref().is_none_or(|names| names.contains(FOUND));
            let message = "`options_from = \"search\"`: not every way that leads here comes from a search";
            found.require(!needs || is_there, self.noted.states[index].clone(), message);
        }
    }
}

/// Whether a value is among names: `city.price` is where `city` is an option that a call gave.
fn has(names: &Names, name: &str) -> bool {
    let is_detail = |(base, _): (&str, &str)| names.contains(&format!("{base}.*"));
    names.contains(name) || name.split_once('.').is_some_and(is_detail)
}

/// What an answer is remembered as.
fn answer_names(state: &State) -> Vec<String> {
    let Some(save) = &state.save else { return Vec::new() };
    match &state.question {
        Question::Choice(Choice::Fixed(_)) | Question::Date(_) => vec![save.clone(), format!("{save}.label")],
        Question::Choice(_) => vec![save.clone(), format!("{save}.label"), format!("{save}.*")],
        _ => vec![save.clone()],
    }
}

fn save_names(call: &Call) -> impl Iterator<Item = String> {
    call.saves.iter().map(|save| save.name.clone())
}

/// Follows every way through a state.
fn known(state: &State, entry: Names) -> Known {
    let mut ways = Vec::new();
    let mut names = entry;
    if state.question.has_own_options() {
        names.remove(FOUND);
    }
    let mut entered = names.clone();
    if let Some(before) = &state.before {
        for save in &before.saves {
            names.remove(&save.name);
        }
        entered.clone_from(&names);
        refused(before, &names, &mut ways);
        if before.when.is_empty() {
            names.extend(save_names(before));
        }
    }
    let asked = names.clone();
    if !matches!(state.question, Question::Message) {
        lead(state.reprompts.to, &asked, &mut ways);
        if let Unknown::To(target) = state.unknown {
            lead(target, &asked, &mut ways);
        }
    }
    names.extend(answer_names(state));
    let answered = names.clone();
    if let Some(after) = &state.after {
        refused(after, &names, &mut ways);
        if after.when.is_empty() {
            names.extend(save_names(after));
        }
    }
    if matches!(state.question, Question::Search { .. }) {
        names.insert(FOUND.to_owned());
    }
    for branch in &state.branches {
        let mut names = names.clone();
        let after =
            state.after.iter().filter(|after| after.when.iter().all(|when| branch.when.contains(when)));
        names.extend(after.flat_map(save_names));
        lead(branch.to, &names, &mut ways);
    }
    lead(state.next, &names, &mut ways);
    Known { entry: entered, asked, answered, ways }
}

fn refused(call: &Call, names: &Names, ways: &mut Vec<(usize, Names)>) {
    for to in call.refusals.iter().filter_map(|refusal| refusal.to) {
        lead(to, names, ways);
    }
}

fn lead(target: Target, names: &Names, ways: &mut Vec<(usize, Names)>) {
    if let Target::State(index) = target {
        ways.push((index, names.clone()));
    }
}
