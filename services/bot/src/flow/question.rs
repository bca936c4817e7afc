//! What kind of answer a state waits for, and whether a text is one.

use std::ops::RangeInclusive;

use chasqui_proto::v1::FlowOption;
use regex::Regex;
use time::Date;

use super::{
    choice::{self, Choice},
    date::{self, Dates},
};
use crate::input::Input;

/// The longest answer, characters.
pub(super) const ANSWER_CHARACTERS_MAX: usize = 4_000;
/// The letters and digits of an identity document.
const DOCUMENT_CHARACTERS: RangeInclusive<usize> = 5..=15;

/// What a state waits for.
#[derive(Debug)]
pub(super) enum Question {
    /// Nothing: it says something and goes on.
    Message,
    /// So many characters, which match as a whole.
    Text { characters: RangeInclusive<usize>, pattern: Option<Regex> },
    /// A text that is looked for.
    Search { characters: RangeInclusive<usize> },
    /// One of the options that were given.
    Choice(Choice),
    /// A day.
    Date(Dates),
    /// The number of an identity document.
    Document,
}

/// What the answer is read with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    /// The name of the state that asked.
    pub(super) state: &'a str,
    /// What the contact was given to choose from.
    pub(super) options: &'a [FlowOption],
    pub(super) today: Date,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// As programs read it.
    pub(super) value: String,
    /// What else is known of it, by name: `label` is as the contact reads it.
    pub(super) details: Vec<(String, String)>,
}

impl Answer {
    fn plain(value: impl Into<String>) -> Self {
        Self { value: value.into(), details: Vec::new() }
    }
}

impl Question {
    /// Its name in files.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Message => "none",
            Self::Text { .. } => "text",
            Self::Search { .. } => "search",
            Self::Choice(_) => "choice",
            Self::Date(_) => "date",
            Self::Document => "document",
        }
    }

    /// Whether it replaces the options that were given before.
    pub(super) fn has_own_options(&self) -> bool {
        matches!(self, Self::Choice(Choice::Fixed(_) | Choice::LookedUp))
    }

    /// What the contact answered; none where it is no answer.
    pub(super) fn answer(&self, input: &Input<'_>, with: Circumstances<'_>) -> Option<Answer> {
        let length = input.text.chars().take(ANSWER_CHARACTERS_MAX + 1).count();
        // Who presses a button twice has answered the question before, and not this one.
        let is_of_button = !matches!(self, Self::Choice(_)) && choice::is_button(input);
        if length > ANSWER_CHARACTERS_MAX || is_of_button {
            return None;
        }
        match self {
            Self::Message => None,
            Self::Text { characters, pattern } => {
                let is_match = pattern.as_ref().is_none_or(|pattern| pattern.is_match(input.text));
                (characters.contains(&length) && is_match).then(|| Answer::plain(input.text))
            }
            Self::Search { characters } => characters.contains(&length).then(|| Answer::plain(input.text)),
            Self::Choice(choice) => choice.chosen(with.state, with.options, input).map(of_option),
            Self::Date(dates) => dates.answer(input.text, with.today).map(|day| Answer {
                value: date::value(day),
                details: vec![("label".to_owned(), date::label(day))],
            }),
            Self::Document => document(input.text).map(Answer::plain),
        }
    }
}

fn of_option(option: &FlowOption) -> Answer {
    let mut details: Vec<(String, String)> =
        option.values.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    details.push(("label".to_owned(), option.label.clone()));
    details.push(("description".to_owned(), option.description.clone()));
    Answer { value: option.id.clone(), details }
}

/// Letters and digits, of which people write some with dots, blanks or dashes between them; words without a digit are
/// no document.
fn document(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|c| !c.is_whitespace() && !".-".contains(*c)).collect();
    let is_document = DOCUMENT_CHARACTERS.contains(&plain.len())
        && plain.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && plain.bytes().any(|byte| byte.is_ascii_digit());
    is_document.then(|| plain.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::{self, Message};
    use proptest::prelude::*;

    use super::*;
    use crate::flow::date::{Bound, Format};

    const WITH: Circumstances<'_> = Circumstances { state: "asked", options: &[], today: Date::MIN };

    fn value(question: &Question, text: &str) -> Option<String> {
        let message = Message { text: text.to_owned(), ..Message::default() };
        question.answer(&Input::of(&message, 1), WITH).map(|answer| answer.value)
    }

    #[test]
    fn ben_36_a_document_is_read_as_people_write_it() {
        for text in ["12.345.678", " 12 345 678 ", "12345-678", "12345678"] {
            assert_eq!(value(&Question::Document, text).as_deref(), Some("12345678"), "{text}");
        }
        assert_eq!(value(&Question::Document, "ab-12345").as_deref(), Some("AB12345"));
        for text in ["1234", "1234567890123456", "12_345", "hola gente", "ñ123456", "", "1234567/8"] {
            assert_eq!(value(&Question::Document, text), None, "{text}");
        }
    }

    #[test]
    fn a_text_has_its_bounds_and_its_form() {
        let pattern = Some(Regex::new("^(?:[a-zñ]+)$").unwrap());
        let text = Question::Text { characters: 2..=4, pattern };
        assert_eq!(value(&text, " señ ").as_deref(), Some("señ"));
        for wrong in ["a", "abcde", "a1", ""] {
            assert_eq!(value(&text, wrong), None, "{wrong}");
        }
        let open = Question::Text { characters: 0..=usize::MAX, pattern: None };
        assert_eq!(value(&open, &"a".repeat(ANSWER_CHARACTERS_MAX + 1)), None);
    }

    #[test]
    fn a_button_of_an_earlier_question_is_no_answer() {
        let pressed = |id: &str| Message {
            text: "Primera vez".to_owned(),
            choice: Some(v1::Choice { id: id.to_owned(), ..v1::Choice::default() }),
            ..Message::default()
        };
        let text = Question::Text { characters: 1..=99, pattern: None };
        for question in [text, Question::Search { characters: 1..=99 }] {
            let is_answer = |id: &str| question.answer(&Input::of(&pressed(id), 1), WITH).is_some();
            assert!(!is_answer("flow:awaiting_visit_type:primera vez"), "pressed twice");
            assert!(is_answer("of a template") && is_answer(""));
        }
    }

    #[test]
    fn of_a_chosen_option_everything_is_remembered() {
        let values = [("price".to_owned(), "10".to_owned())].into();
        let options =
            [FlowOption { id: "7".into(), label: "Uno".into(), description: "primero".into(), values }];
        let message = Message { text: "1".to_owned(), ..Message::default() };
        let answer = Question::Choice(Choice::Found)
            .answer(&Input::of(&message, 1), Circumstances { options: &options, ..WITH })
            .unwrap();
        let details = [("price", "10"), ("label", "Uno"), ("description", "primero")];
        assert_eq!(answer.value, "7");
        assert_eq!(answer.details, details.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    proptest! {
        #[test]
        fn no_answer_is_too_odd(text in "\\PC{0,40}|[0-9A-Za-z .-]{0,20}") {
            let earliest = Some(Bound::Today(-1));
            let questions = [
                Question::Message,
                Question::Text { characters: 1..=9, pattern: None },
                Question::Search { characters: 1..=9 },
                Question::Choice(Choice::LookedUp),
                Question::Date(Dates { formats: vec![Format::DayFirst], earliest, latest: None }),
                Question::Document,
            ];
            for question in &questions {
                prop_assert!(value(question, &text).is_none_or(|value| !value.is_empty()));
            }
        }
    }
}
