//! What a flow amounts to, for those who write it.

use std::fmt;

use super::{
    Flow,
    state::{State, Target, Unknown},
};
use crate::language::{Language, Text};

/// What a flow amounts to.
#[derive(Clone, Debug)]
pub struct Summary {
    name: String,
    version: u32,
    start: String,
    begun_by: Vec<String>,
    /// Texts there are, and how many of them in Spanish and English.
    texts: [usize; 3],
    rows: Vec<[String; 4]>,
}

const HEADINGS: [&str; 4] = ["state", "input", "calls", "goes on to"];

impl Summary {
    pub(super) fn of(flow: &Flow) -> Self {
        let events = flow.events.iter().map(|event| format!("event {event}"));
        let keywords = flow.keywords.iter().map(|(words, _)| format!("\"{}\"", words.as_str()));
        let texts: Vec<&Text> = texts(flow).collect();
        let in_language = |language| texts.iter().filter(|text| text.is_in(language)).count();
        Self {
            name: flow.name.clone(),
            version: flow.version,
            start: flow.states[flow.start].name.clone(),
            begun_by: events.chain(keywords).collect(),
            texts: [texts.len(), in_language(Language::Spanish), in_language(Language::English)],
            rows: flow.states.iter().map(|state| row(flow, state)).collect(),
        }
    }
}

fn texts(flow: &Flow) -> impl Iterator<Item = &Text> {
    let everywhere = [Some(&flow.texts.error), Some(&flow.texts.restart), flow.expiry.text.as_ref()];
    let of_states = flow.states.iter().flat_map(|state| {
        let calls = state.before.iter().chain(&state.after).flat_map(|call| &call.refusals);
        state
            .prompts
            .iter()
            .chain(&state.invalid)
            .chain(&state.media)
            .chain(calls.filter_map(|refusal| refusal.text.as_ref()))
    });
    let other = flow.exit.text.iter().chain(&flow.texts.invalid).chain(&flow.texts.media);
    everywhere.into_iter().flatten().chain(other).chain(of_states)
}

fn row(flow: &Flow, state: &State) -> [String; 4] {
    let calls: Vec<&str> = state.before.iter().chain(&state.after).map(|call| call.name.as_str()).collect();
    let mut targets: Vec<Target> = state.branches.iter().map(|branch| branch.to).collect();
    targets.push(state.next);
    if let Unknown::To(target) = state.unknown {
        targets.push(target);
    }
    let mut names: Vec<&str> = Vec::new();
    for target in targets {
        let name = match target {
            Target::State(index) => flow.states[index].name.as_str(),
            Target::Handoff => "handoff",
            Target::Exit => "exit",
            Target::Completed => "(end)",
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    [state.name.clone(), state.question.kind().to_owned(), calls.join(", "), names.join(", ")]
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begun_by =
            if self.begun_by.is_empty() { "rules only".to_owned() } else { self.begun_by.join(", ") };
        let [texts, spanish, english] = self.texts;
        writeln!(
            f,
            "flow {} (version {}), starts at {}, begun by {begun_by}",
            self.name, self.version, self.start
        )?;
        writeln!(f, "{} states, {texts} texts: {spanish} in Spanish, {english} in English", self.rows.len())?;
        let headings = HEADINGS.map(str::to_owned);
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&headings]).map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        };
        let widths = [width(0), width(1), width(2)];
        for row in [&headings].into_iter().chain(&self.rows) {
            let [state, input, calls, next] = row;
            let [first, second, third] = widths;
            writeln!(f, "  {state:first$}  {input:second$}  {calls:third$}  {next}")?;
        }
        Ok(())
    }
}
