//! How a contact is given to people.

use serde::Deserialize;
use toml::Spanned;

use crate::fields::{Fields, Found};
use crate::{language::Text, words::Words};

/// What a contact is told where the file says nothing.
const TEXT: (&str, &str) = (
    "Un momento, por favor: una persona te va a responder.",
    "One moment, please: somebody will answer you.",
);

/// How a contact is given to people.
#[derive(Debug)]
pub(crate) struct Handoff {
    keywords: Vec<Keyword>,
    text: Text,
}

/// What a contact says to be given to people.
#[derive(Debug)]
pub(super) struct Keyword {
    pub(super) words: Words,
    /// As it stands in the file.
    pub(super) written: String,
    pub(super) place: std::ops::Range<usize>,
}

/// `["…"]`, or `{ es = ["…"], en = ["…"] }`, which is the same: a contact is understood in every language.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ByLanguage {
    es: Vec<Spanned<String>>,
    en: Vec<Spanned<String>>,
}

impl Handoff {
    /// The table `handoff`; without one, nothing is a keyword.
    pub(super) fn read<'t>(table: Option<Fields<'t>>, found: &mut Found<'t>) -> Self {
        let mut handoff = Self { keywords: Vec::new(), text: Text::in_both(TEXT.0, TEXT.1) };
        let Some(mut table) = table else { return handoff };
        if let Some(text) = table.take::<Text>(found, "text") {
            handoff.text = text.value;
        }
        let written = if table.is_table("keywords") {
            let keywords = table.take::<ByLanguage>(found, "keywords").map(|keywords| keywords.value);
            keywords.map_or_else(Vec::new, |keywords| [keywords.es, keywords.en].concat())
        } else {
            let keywords = table.take::<Vec<Spanned<String>>>(found, "keywords");
            keywords.map_or_else(Vec::new, |keywords| keywords.value)
        };
        table.finish(found);
        for keyword in written {
            let (words, place) = (Words::of(keyword.get_ref()), keyword.span());
            if words.is_empty() {
                found.problem(place, "a keyword must have a letter or digit");
                continue;
            }
            handoff.keywords.push(Keyword { words, written: keyword.into_inner(), place });
        }
        handoff
    }

    /// Whether a contact asks for people: what it says is a keyword, or contains one of several words. A single word
    /// within a sentence does not count: contacts describe things.
    pub(crate) fn is_asked_for(&self, text: &str) -> bool {
        let said = Words::of(text);
        self.keywords
            .iter()
            .any(|keyword| said == keyword.words || (!keyword.words.is_one() && said.contain(&keyword.words)))
    }

    /// What the contact is told.
    pub(crate) fn text(&self) -> &Text {
        &self.text
    }

    /// Every keyword.
    pub(super) fn keywords(&self) -> &[Keyword] {
        &self.keywords
    }
}
