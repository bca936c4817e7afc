//! Reads the file of a flow.

mod call;
mod question;
mod state;

use std::{collections::BTreeSet, ops::Range};

use serde::Deserialize;

use super::{
    Exit, Expiry, Flow, Texts,
    check::{Check, Moment, Noted, Use},
    state::{Reprompts, Target},
    template::{Piece, pieces},
};
use crate::{
    fields::{At, Fields, Found},
    language::{Language, Text},
    problem::Problem,
    words::Words,
};

/// The largest file, bytes.
const FILE_BYTES_MAX: usize = 256 * 1024;
/// The most states of a flow.
const STATES_MAX: usize = 200;
/// The longest name of a flow, a state or a value, bytes.
const NAME_BYTES_MAX: usize = 64;
/// The longest text, characters: a message of WhatsApp.
const TEXT_CHARACTERS_MAX: usize = 4_096;
/// The longest keyword, characters.
pub(super) const KEYWORD_CHARACTERS_MAX: usize = 64;
/// The most keywords of a flow, of its exit, and other words of an option.
const KEYWORDS_MAX: usize = 100;
/// The most events that begin a flow.
const EVENTS_MAX: usize = 16;
/// How long a contact may be away at most, seconds: thirty days.
const EXPIRY_SECS_MAX: u64 = 30 * 24 * 3_600;
/// How long where the file does not say it, seconds: a day.
const EXPIRY_SECS: u64 = 24 * 3_600;
/// The most times that a question is asked again.
const REPROMPTS_MAX: u64 = 20;
/// How often where the file does not say it.
const REPROMPTS: u32 = 3;
/// The most failures in a row.
const FAILURES_MAX: u64 = 10;
/// How many where the file does not say it.
const FAILURES: u32 = 3;
/// The words that stand for a way out of the flow instead of a state.
const WAYS_OUT: [(&str, Target); 2] = [("handoff", Target::Handoff), ("exit", Target::Exit)];
/// How far from UTC a place can be, minutes.
const UTC_OFFSET_MINUTES_MAX: i32 = 14 * 60;

/// A file that is being read.
struct Reading<'t> {
    found: Found<'t>,
    /// The names of the states; empty where one has none that it can have.
    names: Vec<String>,
    /// What can be checked only when everything is read.
    noted: Noted,
}

/// What a contact writes, by language.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Keywords {
    es: Vec<String>,
    en: Vec<String>,
}

/// Reads and checks a flow.
pub(super) fn flow(file: &str, text: &str) -> Result<Flow, Vec<Problem>> {
    if text.len() > FILE_BYTES_MAX {
        return Err(vec![Problem::at(file, text, 0..0, format!("must have at most {FILE_BYTES_MAX} bytes"))]);
    }
    let mut found = Found { file, text, problems: Vec::new() };
    let mut fields = found.parse();
    if !found.problems.is_empty() {
        return Err(sorted(found.problems));
    }
    let mut tables = fields.tables(&mut found, "states");
    let mut reading = Reading { found, names: Vec::new(), noted: Noted::default() };
    reading.state_names(&mut tables);
    let flow = reading.flow(fields, tables);
    match sorted(reading.found.problems) {
        problems if problems.is_empty() => Ok(flow.expect("a flow that cannot be made has problems")),
        problems => Err(problems),
    }
}

fn sorted(problems: Vec<Problem>) -> Vec<Problem> {
    problems.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

impl<'t> Reading<'t> {
    fn flow(&mut self, mut fields: Fields<'t>, tables: Vec<Fields<'t>>) -> Option<Flow> {
        let name = fields.need::<String>(&mut self.found, "name");
        if let Some(name) = &name {
            self.require_name(name, "a flow");
        }
        let version = fields.number(&mut self.found, "version", 1..=u64::from(u32::MAX));
        let start = fields.need::<String>(&mut self.found, "start");
        let start = self.start(start);
        let failures = fields.number(&mut self.found, "failures_max", 1..=FAILURES_MAX);
        let utc_offset = fields.take::<String>(&mut self.found, "utc_offset");
        let reprompts = Reprompts { max: REPROMPTS, to: Target::Handoff };
        let reprompts = self.reprompts(&mut fields, reprompts);
        let (events, keywords) = self.trigger(&mut fields);
        let expiry = self.expiry(&mut fields);
        let exit = self.exit(&mut fields);
        let texts = self.texts(&mut fields);
        self.require_states(&tables, &fields);
        let mut states = Vec::with_capacity(tables.len());
        for (index, table) in tables.into_iter().enumerate() {
            states.push(self.state(index, table, reprompts));
        }
        let utc_offset_minutes = utc_offset.map_or(0, |offset| self.utc_offset(&offset));
        fields.finish(&mut self.found);
        if !(1..=STATES_MAX).contains(&states.len()) {
            return None;
        }
        let given = Check { states: &states, noted: &self.noted, start }.run(&mut self.found);
        for (given, state) in given.into_iter().zip(&mut states) {
            state.given = given;
        }
        Some(Flow {
            name: name?.value,
            version: version.map_or(1, |version| u32::try_from(version.value).unwrap_or(u32::MAX)),
            states,
            start,
            events,
            keywords,
            expiry,
            exit,
            texts,
            failures_max: failures
                .map_or(FAILURES, |failures| u32::try_from(failures.value).unwrap_or(FAILURES)),
            utc_offset_minutes,
        })
    }

    /// The place of the first state; where none is named, the first one there is, so that the others are checked.
    fn start(&mut self, start: Option<At<String>>) -> usize {
        let target = start.as_ref().map(|start| self.target(start));
        match (target, start) {
            (Some(Target::State(index)), _) => return index,
            (Some(_), Some(start)) if WAYS_OUT.iter().any(|(word, _)| *word == start.value) => {
                self.found.problem(start.span, "`start` must be a state");
            }
            _ => {}
        }
        self.noted.has_lost_way = true;
        0
    }

    fn trigger(&mut self, fields: &mut Fields<'t>) -> (Vec<String>, Vec<(Words, Language)>) {
        let Some(mut trigger) = fields.table(&mut self.found, "trigger") else { return Default::default() };
        let events = trigger.take::<Vec<String>>(&mut self.found, "events");
        if let Some(events) = &events {
            let is_right = events.value.len() <= EVENTS_MAX
                && events.value.iter().all(|event| (1..=NAME_BYTES_MAX).contains(&event.len()));
            let message =
                format!("`events` must be at most {EVENTS_MAX} names of 1 to {NAME_BYTES_MAX} bytes");
            self.found.require(is_right, events.span.clone(), message);
        }
        let mut keywords = Vec::new();
        if let Some(At { value, span }) = trigger.take::<Keywords>(&mut self.found, "keywords") {
            for (words, language) in [(value.es, Language::Spanish), (value.en, Language::English)] {
                let words = self.keywords(At { value: words, span: span.clone() });
                keywords.extend(words.into_iter().map(|word| (word, language)));
            }
        }
        trigger.finish(&mut self.found);
        (events.map(|events| events.value).unwrap_or_default(), keywords)
    }

    fn expiry(&mut self, fields: &mut Fields<'t>) -> Expiry {
        let mut expiry = Expiry { after_ms: 0, text: None };
        let mut after_secs = EXPIRY_SECS;
        if let Some(mut table) = fields.table(&mut self.found, "expiry") {
            if let Some(after) = table.number(&mut self.found, "after_secs", 1..=EXPIRY_SECS_MAX) {
                after_secs = after.value.min(EXPIRY_SECS_MAX);
            }
            expiry.text = self.text(&mut table, "text", Moment::Anywhere);
            table.finish(&mut self.found);
        }
        expiry.after_ms = i64::try_from(after_secs * 1_000).expect("thirty days are few milliseconds");
        expiry
    }

    fn exit(&mut self, fields: &mut Fields<'t>) -> Exit {
        let mut exit = Exit { keywords: Vec::new(), text: None };
        if let Some(mut table) = fields.table(&mut self.found, "exit") {
            if let Some(keywords) = table.need::<Vec<String>>(&mut self.found, "keywords") {
                exit.keywords = self.keywords(keywords);
            }
            exit.text = self.text(&mut table, "text", Moment::Anywhere);
            table.finish(&mut self.found);
        }
        exit
    }

    fn texts(&mut self, fields: &mut Fields<'t>) -> Texts {
        let mut texts = Texts {
            error: Text::new(
                "Error interno, por favor intente nuevamente más tarde.",
                "Internal error, please try again later.",
            ),
            restart: Text::new("Empecemos de nuevo.", "Let us begin again."),
            invalid: None,
            media: None,
        };
        if let Some(mut table) = fields.table(&mut self.found, "texts") {
            if let Some(error) = self.text(&mut table, "error", Moment::Anywhere) {
                texts.error = error;
            }
            if let Some(restart) = self.text(&mut table, "restart", Moment::Anywhere) {
                texts.restart = restart;
            }
            texts.invalid = self.text(&mut table, "invalid", Moment::Anywhere);
            texts.media = self.text(&mut table, "media", Moment::Anywhere);
            table.finish(&mut self.found);
        }
        texts
    }

    fn reprompts(&mut self, fields: &mut Fields<'t>, defaults: Reprompts) -> Reprompts {
        let Some(mut table) = fields.table(&mut self.found, "reprompts") else { return defaults };
        let max = table.number(&mut self.found, "max", 0..=REPROMPTS_MAX);
        let to = table.take::<String>(&mut self.found, "to");
        table.finish(&mut self.found);
        Reprompts {
            max: max.and_then(|max| u32::try_from(max.value).ok()).unwrap_or(defaults.max),
            to: to.map_or(defaults.to, |to| self.target(&to)),
        }
    }

    /// The state or way out that a name means; one that is unknown leads out.
    fn target(&mut self, name: &At<String>) -> Target {
        let state = self.names.iter().position(|known| *known == name.value).map(Target::State);
        let out = WAYS_OUT.into_iter().find(|(word, _)| *word == name.value).map(|(_, out)| out);
        if let Some(target) = state.or(out) {
            return target;
        }
        let known = self.names.iter().map(String::as_str).filter(|known| !known.is_empty());
        let nearest = nearest(&name.value, known.chain(WAYS_OUT.map(|(word, _)| word)));
        let meant = nearest.map_or(String::new(), |nearest| format!(", did you mean `{nearest}`?"));
        self.found.problem(name.span.clone(), format!("there is no state `{}`{meant}", name.value));
        self.noted.has_lost_way = true;
        Target::Exit
    }

    /// A text, and what it has places for.
    fn text(&mut self, fields: &mut Fields<'t>, field: &'static str, moment: Moment) -> Option<Text> {
        let text = fields.take::<Text>(&mut self.found, field)?;
        self.said(&text.value, &text.span, moment);
        Some(text.value)
    }

    fn said(&mut self, text: &Text, span: &Range<usize>, moment: Moment) {
        for text in text.all() {
            let is_short = text.chars().count() <= TEXT_CHARACTERS_MAX;
            let message = || format!("a text must have at most {TEXT_CHARACTERS_MAX} characters");
            self.found.require(is_short, span.clone(), message());
            self.places(text, span, moment);
        }
    }

    /// Notes what a text has places for.
    fn places(&mut self, text: &str, span: &Range<usize>, moment: Moment) {
        let source = self.found.text.get(span.clone()).unwrap_or_default();
        let start = source.find(text).map(|start| span.start + start);
        for (written, piece) in pieces(text) {
            // A text with escapes is written otherwise than it reads: its beginning has to do as the place.
            let place = start.map_or(span.clone(), |start| start + written.start..start + written.end);
            match piece {
                Piece::Plain(_) => {}
                Piece::Stray(_) => self.found.problem(place, "a value is written {name}, a brace {{ or }}"),
                Piece::Value(name) => {
                    self.noted.uses.push(Use { name: name.to_owned(), span: place, moment });
                }
            }
        }
    }

    fn keywords(&mut self, keywords: At<Vec<String>>) -> Vec<Words> {
        let At { value, span } = keywords;
        let is_few = value.len() <= KEYWORDS_MAX;
        self.found.require(is_few, span.clone(), format!("must be at most {KEYWORDS_MAX} keywords"));
        let mut known = Vec::with_capacity(value.len());
        for keyword in &value {
            let words = Words::of(keyword);
            let is_right = !words.is_empty() && keyword.chars().count() <= KEYWORD_CHARACTERS_MAX;
            let message = || {
                format!(
                    "a keyword must have a letter or digit and at most {KEYWORD_CHARACTERS_MAX} characters"
                )
            };
            self.found.require(is_right, span.clone(), message());
            let message =
                || format!("the keyword `{keyword}` stands here twice (case and accents do not count)");
            self.found.require(!known.contains(&words), span.clone(), message());
            known.push(words);
        }
        known
    }

    fn require_name(&mut self, name: &At<String>, what: &str) -> bool {
        let is_name = name.value.starts_with(|c: char| c.is_ascii_lowercase())
            && name.value.len() <= NAME_BYTES_MAX
            && name
                .value
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        let message = format!(
            "the name of {what} must begin with a small letter and have at most {NAME_BYTES_MAX} small letters, digits and `_`"
        );
        self.found.require(is_name, name.span.clone(), message);
        is_name
    }

    fn state_names(&mut self, tables: &mut [Fields<'t>]) {
        for table in tables {
            let name = table.need::<String>(&mut self.found, "name");
            self.noted.states.push(name.as_ref().map_or_else(|| table.span(), |name| name.span.clone()));
            let name = name.filter(|name| self.require_name(name, "a state"));
            if let Some(name) = &name {
                let is_new = !self.names.contains(&name.value);
                self.found.require(
                    is_new,
                    name.span.clone(),
                    format!("there are two states `{}`", name.value),
                );
                let is_state = WAYS_OUT.iter().all(|(word, _)| *word != name.value);
                let message = format!("`{}` is a way out of a flow: no state can have that name", name.value);
                self.found.require(is_state, name.span.clone(), message);
            }
            self.names.push(name.map(|name| name.value).unwrap_or_default());
        }
    }

    fn require_states(&mut self, tables: &[Fields<'t>], fields: &Fields<'t>) {
        let is_right = (1..=STATES_MAX).contains(&tables.len());
        let span = tables.get(STATES_MAX).map_or(fields.span(), Fields::span);
        self.found.require(is_right, span, format!("there must be 1 to {STATES_MAX} [[states]]"));
    }

    fn utc_offset(&mut self, offset: &At<String>) -> i32 {
        let minutes = || {
            let (sign, rest) = match offset.value.split_at_checked(1)? {
                ("+", rest) => (1, rest),
                ("-", rest) => (-1, rest),
                _ => return None,
            };
            let (hours, minutes) =
                rest.split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2)?;
            let (hours, minutes) =
                (hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok().filter(|minutes| *minutes < 60)?);
            let offset = sign * (i32::from(hours) * 60 + i32::from(minutes));
            (-UTC_OFFSET_MINUTES_MAX..=UTC_OFFSET_MINUTES_MAX).contains(&offset).then_some(offset)
        };
        let minutes = minutes();
        let message = "`utc_offset` must be like \"-05:00\", at most 14 hours";
        self.found.require(minutes.is_some(), offset.span.clone(), message);
        minutes.unwrap_or_default()
    }
}

/// The known name that is most like a name, if one is like it.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let distance = |known: &&str| strsim::damerau_levenshtein(name, known);
    known.min_by_key(distance).filter(|known| distance(known) <= known.len().max(3) / 3)
}
