//! A rule: which messages it is about, and what is done then.

use std::{ops::Range, sync::Arc};

use chasqui_proto::v1::MessageType;
use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::{
    action::{self, Action},
    ignored::{list, types},
};
use crate::{
    fields::{At, Fields, Found},
    flow::Flow,
    input::Input,
    words::Words,
};

/// The longest pause before an answer, milliseconds.
const PAUSE_MS_MAX: u64 = 60_000;
/// The most important rule.
const PRIORITY_MAX: i64 = 1_000_000;
/// How large a compiled pattern may be, bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// The longest name, characters.
const NAME_CHARACTERS_MAX: usize = 64;

/// A rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) action: Action,
    /// How long the answer waits.
    pub(crate) delay_ms: u64,
    /// How long the contact must be silent before it is answered.
    pub(crate) debounce_ms: u64,
    pub(super) priority: i64,
    pub(super) trigger: Trigger,
    /// Empty: all.
    types: Vec<MessageType>,
    when: When,
    pub(super) place: Range<usize>,
}

/// What a message says for a rule to match.
#[derive(Debug)]
pub(super) enum Trigger {
    Keywords(Vec<Words>),
    Regex(Regex),
    All,
}

/// When a rule counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum When {
    #[default]
    Always,
    /// Within business hours.
    Open,
    /// Outside of them.
    Closed,
}

/// What a contact said, as rules look at it.
pub(super) struct Said<'a> {
    kind: MessageType,
    text: &'a str,
    words: Words,
    is_open: bool,
}

impl<'a> Said<'a> {
    pub(super) fn of(input: &Input<'a>, is_open: bool) -> Self {
        Self { kind: input.message.r#type(), text: input.text, words: Words::of(input.text), is_open }
    }
}

impl Rule {
    pub(super) fn matches(&self, said: &Said<'_>) -> bool {
        let is_time = match self.when {
            When::Always => true,
            When::Open => said.is_open,
            When::Closed => !said.is_open,
        };
        let is_said = || match &self.trigger {
            Trigger::Keywords(keywords) => keywords.iter().any(|keyword| said.words.contain(keyword)),
            Trigger::Regex(regex) => regex.is_match(said.text),
            Trigger::All => true,
        };
        is_time && (self.types.is_empty() || self.types.contains(&said.kind)) && is_said()
    }

    /// Whether this rule takes everything that `later` could.
    pub(super) fn hides(&self, later: &Self) -> bool {
        let all_types = self.types.is_empty()
            || (!later.types.is_empty() && later.types.iter().all(|kind| self.types.contains(kind)));
        let all_times = self.when == When::Always || self.when == later.when;
        matches!(self.trigger, Trigger::All) && all_types && all_times
    }

    pub(super) fn depends_on_hours(&self) -> bool {
        self.when != When::Always
    }

    /// One table of `rules`; none where what is missing leaves nothing to go on with.
    pub(super) fn read<'t>(
        mut table: Fields<'t>,
        found: &mut Found<'t>,
        flows: &[Arc<Flow>],
    ) -> Option<Self> {
        let place = table.span();
        let name = table.need::<String>(found, "name");
        if let Some(name) = &name {
            let is_right = (1..=NAME_CHARACTERS_MAX).contains(&name.value.trim().chars().count());
            let message = format!("`name` must have 1 to {NAME_CHARACTERS_MAX} characters");
            found.require(is_right, name.span.clone(), message);
        }
        let priority = table.take::<i64>(found, "priority");
        if let Some(priority) = &priority {
            let is_right = (-PRIORITY_MAX..=PRIORITY_MAX).contains(&priority.value);
            let message = format!("`priority` must be -{PRIORITY_MAX} to {PRIORITY_MAX}");
            found.require(is_right, priority.span.clone(), message);
        }
        let trigger = read_trigger(&mut table, found);
        let types = types(&mut table, found, "types");
        let when = table.take::<When>(found, "when").map_or_else(When::default, |when| when.value);
        let problems = found.problems.len();
        let action = Action::read(&mut table, found, flows);
        if action.is_none() && found.problems.len() == problems {
            let message = format!("the rule says nothing of what is done: one of {}", action::FIELDS);
            found.problem(place.clone(), message);
        }
        let delay = table.number(found, "delay_ms", 0..=PAUSE_MS_MAX);
        let debounce = table.number(found, "debounce_ms", 0..=PAUSE_MS_MAX);
        if let (Some(_), Some(debounce)) = (&delay, &debounce) {
            found.problem(
                debounce.span.clone(),
                "`delay_ms` and `debounce_ms` contradict each other: one of them",
            );
        }
        table.finish(found);
        Some(Self {
            name: name?.value,
            action: action?,
            delay_ms: delay.map_or(0, |delay| delay.value),
            debounce_ms: debounce.map_or(0, |debounce| debounce.value),
            priority: priority.map_or(0, |priority| priority.value),
            trigger: trigger?,
            types,
            when,
            place,
        })
    }
}

fn read_trigger<'t>(table: &mut Fields<'t>, found: &mut Found<'t>) -> Option<Trigger> {
    let named: Vec<_> = ["keywords", "regex", "all"].into_iter().filter(|name| table.has(name)).collect();
    match named.as_slice() {
        [_] => {}
        [] => found.problem(
            table.span(),
            "the rule says nothing of what it is about: one of `keywords`, `regex`, `all`",
        ),
        several => found.problem(
            table.span(),
            format!("`{}` contradict each other: one of them", several.join("` and `")),
        ),
    }
    let keywords = table.has("keywords").then(|| Trigger::Keywords(read_keywords(table, found)));
    let regex = table.take::<String>(found, "regex").and_then(|regex| read_regex(&regex, found));
    let all = table.take::<bool>(found, "all").map(|all| {
        found.require(all.value, all.span, "`all` must be true, or not stand here");
        Trigger::All
    });
    keywords.or(regex).or(all)
}

/// Accents count in a pattern: it says exactly what it is about. Case does not, unless it says `(?-i)`.
fn read_regex(regex: &At<String>, found: &mut Found<'_>) -> Option<Trigger> {
    match RegexBuilder::new(&regex.value).case_insensitive(true).size_limit(REGEX_BYTES_MAX).build() {
        Ok(regex) => Some(Trigger::Regex(regex)),
        Err(error) => {
            found.problem(regex.span.clone(), format!("`regex`: {}", told(&error)));
            None
        }
    }
}

fn read_keywords<'t>(table: &mut Fields<'t>, found: &mut Found<'t>) -> Vec<Words> {
    let (place, problems) = (table.span(), found.problems.len());
    let mut keywords = Vec::new();
    for keyword in list(table, found, "keywords") {
        let words = Words::of(&keyword.value);
        found.require(!words.is_empty(), keyword.span, "a keyword must have a letter or digit");
        keywords.push(words);
    }
    let is_right = !keywords.is_empty() || found.problems.len() > problems;
    found.require(is_right, place, "`keywords` must not be empty");
    keywords
}

/// The last line of what the crate says, which is the reason; the others draw the place.
fn told(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(bytes) => format!("it is larger than {bytes} bytes when compiled"),
        error => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            reason.trim_start_matches("error: ").to_owned()
        }
    }
}
