//! The languages that the bot speaks.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

/// A language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Language {
    #[default]
    Spanish,
    English,
}

impl Language {
    /// Its code, as in `BotConversation.language` and in files.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Spanish => "es",
            Self::English => "en",
        }
    }

    /// The language of a code.
    pub(crate) fn of_code(code: &str) -> Option<Self> {
        [Self::Spanish, Self::English].into_iter().find(|language| language.code() == code)
    }
}

impl<'de> Deserialize<'de> for Language {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::of_code(&code).ok_or_else(|| de::Error::custom("must be \"es\" or \"en\""))
    }
}

/// What the bot says, in each language; where one is missing, in the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    spanish: Option<String>,
    english: Option<String>,
}

impl Text {
    /// A text in both languages.
    pub(crate) fn in_both(spanish: &str, english: &str) -> Self {
        Self { spanish: Some(spanish.to_owned()), english: Some(english.to_owned()) }
    }

    /// The text for who speaks a language.
    pub(crate) fn of(&self, language: Language) -> &str {
        let (first, second) = match language {
            Language::Spanish => (&self.spanish, &self.english),
            Language::English => (&self.english, &self.spanish),
        };
        first.as_deref().or(second.as_deref()).expect("one of them is there: it is checked when it is read")
    }

    /// Whether there is one for who speaks a language. What is the same in every language counts as Spanish.
    pub(crate) fn is_in(&self, language: Language) -> bool {
        match language {
            Language::Spanish => self.spanish.is_some(),
            Language::English => self.english.is_some(),
        }
    }

    /// The same in each of two languages.
    pub(crate) fn new(spanish: &str, english: &str) -> Self {
        Self { spanish: Some(spanish.to_owned()), english: Some(english.to_owned()) }
    }

    /// Every text there is, for checks.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        [&self.spanish, &self.english].into_iter().filter_map(Option::as_deref)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self { spanish: Some(text.to_owned()), english: None }
    }
}

/// `"…"`, the same in every language, or `{ es = "…", en = "…" }`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text, or { es = \"…\", en = \"…\" }")]
enum Written {
    One(String),
    // A map and not a struct, which would take a list for its fields.
    Each(BTreeMap<Language, String>),
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut each = match Written::deserialize(deserializer)? {
            Written::One(text) => BTreeMap::from([(Language::Spanish, text)]),
            Written::Each(each) => each,
        };
        let text =
            Self { spanish: each.remove(&Language::Spanish), english: each.remove(&Language::English) };
        if text.all().next().is_none() || text.all().any(|text| text.trim().is_empty()) {
            return Err(de::Error::custom("must not be empty"));
        }
        Ok(text)
    }
}
