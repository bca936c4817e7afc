//! Reads what a state waits for.

use std::ops::RangeInclusive;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::{Reading, nearest};
use crate::{
    fields::{At, Fields},
    flow::{
        check::Moment,
        choice::{Choice, FixedOption, LABEL_CHARACTERS_MAX, OPTION_ID_BYTES_MAX, OPTIONS_MAX},
        date::{Bound, Dates, Format},
        question::{ANSWER_CHARACTERS_MAX, Question},
    },
    language::Text,
    words::Words,
};

const KINDS: [&str; 6] = ["none", "text", "search", "choice", "date", "document"];
/// How long a text may be where the file does not say it, characters.
const TEXT_CHARACTERS: RangeInclusive<usize> = 1..=1_000;
/// Likewise a text that is looked for.
const SEARCH_CHARACTERS: RangeInclusive<usize> = 2..=100;
/// The largest automaton of a pattern, bytes.
const PATTERN_SIZE_MAX: usize = 1024 * 1024;

/// Where the options of a choice come from, when they do not stand in the file.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum OptionsFrom {
    Before,
    Search,
}

impl<'t> Reading<'t> {
    /// What a state waits for; without `input` nothing.
    pub(super) fn question(&mut self, fields: &mut Fields<'t>) -> Question {
        let Some(kind) = fields.take::<String>(&mut self.found, "input") else { return Question::Message };
        match self.kind(&kind) {
            "text" => {
                let characters = self.characters(fields, TEXT_CHARACTERS);
                Question::Text { characters, pattern: self.pattern(fields) }
            }
            "search" => Question::Search { characters: self.characters(fields, SEARCH_CHARACTERS) },
            "choice" => Question::Choice(self.choice(fields, &kind)),
            "date" => Question::Date(self.dates(fields)),
            "document" => Question::Document,
            _ => Question::Message,
        }
    }

    /// The kind that a name means; of an unknown name the nearest one, so that no more problems come of it.
    fn kind(&mut self, kind: &At<String>) -> &'static str {
        if let Some(known) = KINDS.into_iter().find(|known| *known == kind.value) {
            return known;
        }
        let nearest = nearest(&kind.value, KINDS.into_iter());
        let meant = nearest.map_or(String::new(), |kind| format!(", did you mean `{kind}`?"));
        let kinds = KINDS.join("`, `");
        self.found.problem(kind.span.clone(), format!("`input` must be one of `{kinds}`{meant}"));
        nearest.unwrap_or("text")
    }

    fn characters(&mut self, fields: &mut Fields<'t>, usual: RangeInclusive<usize>) -> RangeInclusive<usize> {
        let bounds = 1..=ANSWER_CHARACTERS_MAX as u64;
        let least = fields.number(&mut self.found, "min_length", bounds.clone());
        let most = fields.number(&mut self.found, "max_length", bounds);
        let span = most.as_ref().or(least.as_ref()).map(|bound| bound.span.clone());
        let length = |bound: Option<At<u64>>| bound.and_then(|bound| usize::try_from(bound.value).ok());
        let least = length(least).unwrap_or(*usual.start());
        let most = length(most).unwrap_or((*usual.end()).max(least));
        let message = "`min_length` must not be more than `max_length`";
        self.found.require(least <= most, span.unwrap_or_default(), message);
        least..=most
    }

    fn pattern(&mut self, fields: &mut Fields<'t>) -> Option<Regex> {
        let pattern = fields.take::<String>(&mut self.found, "pattern")?;
        // Read alone first: a closing parenthesis of its own must not close the group around it.
        let whole = compiled(&pattern.value).and_then(|_| compiled(&format!("^(?:{})$", pattern.value)));
        match whole {
            Ok(whole) => Some(whole),
            Err(error) => {
                let reason = error.to_string();
                let reason =
                    reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                self.found.problem(pattern.span, format!("`pattern` is no regular expression: {reason}"));
                None
            }
        }
    }

    fn choice(&mut self, fields: &mut Fields<'t>, kind: &At<String>) -> Choice {
        let from = fields.take::<OptionsFrom>(&mut self.found, "options_from");
        let is_fixed = fields.has("options");
        let options = fields.tables(&mut self.found, "options");
        let message = "a choice has either `options` or `options_from` (\"before\" or \"search\")";
        self.found.require(is_fixed != from.is_some(), kind.span.clone(), message);
        match from {
            Some(At { value: OptionsFrom::Before, .. }) => Choice::LookedUp,
            Some(At { value: OptionsFrom::Search, .. }) => Choice::Found,
            None => Choice::Fixed(self.options(options, kind)),
        }
    }

    fn options(&mut self, tables: Vec<Fields<'t>>, kind: &At<String>) -> Vec<FixedOption> {
        let is_right = (1..=OPTIONS_MAX).contains(&tables.len());
        let message = format!("`options` must have 1 to {OPTIONS_MAX} options");
        self.found.require(is_right, kind.span.clone(), message);
        let mut options: Vec<FixedOption> = Vec::with_capacity(tables.len());
        for table in tables {
            let span = table.span();
            let Some(option) = self.option(table) else { continue };
            let is_new = options.iter().all(|other| other.id != option.id);
            self.found.require(is_new, span.clone(), format!("there are two options `{}`", option.id));
            let twice =
                option.means.iter().find(|words| options.iter().any(|other| other.means.contains(words)));
            if let Some(words) = twice {
                let message =
                    format!("`{}` means another option too (case and accents do not count)", words.as_str());
                self.found.problem(span, message);
            }
            options.push(option);
        }
        options
    }

    fn option(&mut self, mut table: Fields<'t>) -> Option<FixedOption> {
        let id = table.need::<String>(&mut self.found, "id");
        if let Some(id) = &id {
            let is_id =
                (1..=OPTION_ID_BYTES_MAX).contains(&id.value.len()) && !id.value.contains(char::is_control);
            let message = format!("`id` must have 1 to {OPTION_ID_BYTES_MAX} bytes");
            self.found.require(is_id, id.span.clone(), message);
        }
        let label = table.need::<Text>(&mut self.found, "label");
        if let Some(label) = &label {
            self.said(&label.value, &label.span, Moment::Anywhere);
            let is_short = label.value.all().all(|label| label.chars().count() <= LABEL_CHARACTERS_MAX);
            let message = format!("`label` must have at most {LABEL_CHARACTERS_MAX} characters");
            self.found.require(is_short, label.span.clone(), message);
        }
        let also = table.take::<Vec<String>>(&mut self.found, "also");
        let mut means = also.map_or(Vec::new(), |also| self.keywords(also));
        table.finish(&mut self.found);
        let label = label?.value;
        means.extend(label.all().map(Words::of));
        Some(FixedOption { id: id?.value, label, means })
    }

    fn dates(&mut self, fields: &mut Fields<'t>) -> Dates {
        let mut formats = vec![Format::DayFirst, Format::YearFirst];
        if let Some(At { value, span }) = fields.take::<Vec<String>>(&mut self.found, "formats") {
            let read: Option<Vec<Format>> = value.iter().map(|name| Format::of_name(name)).collect();
            match read.filter(|read| !read.is_empty()) {
                Some(read) => formats = read,
                None => self.found.problem(span, "`formats` must be of \"dd/mm/yyyy\" and \"yyyy-mm-dd\""),
            }
        }
        let earliest = self.bound(fields, "earliest");
        let latest = self.bound(fields, "latest");
        let is_later = earliest.as_ref().zip(latest.as_ref());
        let is_later = is_later.and_then(|(earliest, latest)| earliest.value.is_later(latest.value));
        if let (Some(true), Some(latest)) = (is_later, &latest) {
            self.found.problem(latest.span.clone(), "`latest` must not be before `earliest`");
        }
        let value = |bound: Option<At<Bound>>| bound.map(|bound| bound.value);
        Dates { formats, earliest: value(earliest), latest: value(latest) }
    }

    fn bound(&mut self, fields: &mut Fields<'t>, name: &'static str) -> Option<At<Bound>> {
        let At { value, span } = fields.take::<String>(&mut self.found, name)?;
        let bound = Bound::of_text(&value).map(|value| At { value, span: span.clone() });
        let message =
            || format!("`{name}` must be like \"today\", \"today+30\", \"today-1\" or \"2026-12-31\"");
        self.found.require(bound.is_some(), span, message());
        bound
    }
}

fn compiled(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(PATTERN_SIZE_MAX).build()
}
