//! What a recipient must bring to be written to. Pure.

use std::collections::BTreeMap;

use chasqui_campaign::{TEXT_LENGTH_MAX, Wording, WordingError};
use chasqui_proto::{
    address,
    v1::{Alias, AliasKind, Message, MessageType, Recipient, RowProblem},
};

use super::report::invalid;

/// Digits of a number with its country code: E.164 has no more, and no country has shorter ones that WhatsApp knows.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
/// The longest value of a variable, characters.
pub(super) const VALUE_LENGTH_MAX: usize = 1_024;

/// What the message of a campaign asks of each recipient. To know that, no message is made out: of 100,000 recipients
/// that takes seconds.
#[derive(Debug)]
pub(super) struct Criteria {
    /// The variables that the message mentions, and how often its text does.
    mentioned: Vec<(String, usize)>,
    /// The characters of a text that stay whoever it goes to; of what has no text to be measured, `None`.
    fixed_length: Option<usize>,
}

/// Whoever may become a recipient, as a row or an element of a list has it.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) line: u32,
    /// The name of the field that the number stands in.
    pub(super) to_field: &'a str,
    pub(super) to: &'a str,
    pub(super) name_field: &'a str,
    pub(super) name: &'a str,
    /// Those that the message mentions.
    pub(super) variables: BTreeMap<String, String>,
}

impl Criteria {
    /// Those of a message.
    pub(super) fn of(message: &Message) -> Result<Self, WordingError> {
        let wording = Wording::read(message)?;
        let names: Vec<String> = wording.names().map(str::to_owned).collect();
        if message.r#type() != MessageType::Text {
            let mentioned = names.into_iter().map(|name| (name, 0)).collect();
            return Ok(Self { mentioned, fixed_length: None });
        }
        // One character more in a variable makes the text longer by as many as it is mentioned.
        let text = Wording::read(&Message { text: message.text.clone(), ..Message::default() })?;
        let length = |long: Option<&String>| -> Result<usize, WordingError> {
            let value = |name: &String| if Some(name) == long { "xx" } else { "x" }.to_owned();
            let values = names.iter().map(|name| (name.clone(), value(name))).collect();
            Ok(text.render(&values)?.text.chars().count())
        };
        let shortest = length(None)?;
        let times = |name: &String| Ok((name.clone(), length(Some(name))? - shortest));
        let mentioned: Vec<(String, usize)> = names.iter().map(times).collect::<Result<_, WordingError>>()?;
        let places: usize = mentioned.iter().map(|(_, times)| times).sum();
        Ok(Self { mentioned, fixed_length: Some(shortest - places) })
    }

    /// The variables that the message mentions.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.mentioned.iter().map(|(name, _)| name.as_str())
    }

    /// The recipient that a candidate is, or why it is none.
    pub(super) fn recipient(&self, candidate: Candidate<'_>) -> Result<Recipient, RowProblem> {
        let Candidate { line, to_field, to, name_field, name, variables } = candidate;
        let problem = |field: &str, problem: String| invalid(line, field, problem);
        let contact = phone(to).map_err(|expected| problem(to_field, expected.to_owned()))?;
        let mut length = self.fixed_length;
        for (name, times) in &self.mentioned {
            let Some(value) = variables.get(name).filter(|value| !value.is_empty()) else {
                return Err(problem(name, WordingError::Missing(name.clone()).to_string()));
            };
            let characters = fitting(value).map_err(|expected| problem(name, expected))?;
            length = length.map(|length| length + times * characters);
        }
        fitting(name).map_err(|expected| problem(name_field, expected))?;
        if let Some(length) = length.filter(|length| *length > TEXT_LENGTH_MAX) {
            return Err(problem("", WordingError::TooLong(length).to_string()));
        }
        Ok(Recipient {
            line,
            contact: Some(contact),
            name: name.to_owned(),
            variables,
            ..Recipient::default()
        })
    }
}

/// The characters of a value, unless it has too many or one that PostgreSQL cannot hold.
fn fitting(value: &str) -> Result<usize, String> {
    if value.contains('\0') {
        return Err("must not contain U+0000".to_owned());
    }
    let characters = value.chars().count();
    if characters > VALUE_LENGTH_MAX {
        return Err(format!("must have at most {VALUE_LENGTH_MAX} characters"));
    }
    Ok(characters)
}

/// The address of a phone number, in any usual spelling.
pub(super) fn phone(text: &str) -> Result<Alias, &'static str> {
    const MUST: &str = "must be a phone number with its country code, such as 5491100000001";
    let text = text.trim();
    if text.is_empty() {
        return Err("is needed: a phone number with its country code");
    }
    // Spreadsheets write whole numbers so; the point would be passed over, and the number be another one's. Numbers that
    // people write with points have several.
    if text.split_once('.').is_some_and(|(_, decimals)| matches!(decimals, "0" | "00")) {
        return Err("must be a phone number without decimals: the column must be of texts");
    }
    let alias = address::parse_address(text).map_err(|_| MUST)?;
    let is_phone = alias.kind() == AliasKind::Phone && PHONE_DIGITS.contains(&alias.value.len());
    // No country code begins with 0.
    if is_phone && !alias.value.starts_with('0') { Ok(alias) } else { Err(MUST) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Message {
        Message { r#type: MessageType::Text.into(), text: text.to_owned(), ..Message::default() }
    }

    fn variables<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn candidate(to: &str, variables: BTreeMap<String, String>) -> Candidate<'_> {
        Candidate { line: 2, to_field: "telefono", to, name_field: "nombre", name: "Ana", variables }
    }

    fn problem(to: &str, variables: BTreeMap<String, String>) -> (String, String) {
        let criteria = Criteria::of(&text("{{monto}}")).unwrap();
        let problem = criteria.recipient(candidate(to, variables)).unwrap_err();
        assert_eq!((problem.line, problem.kind.as_str()), (2, "invalid"));
        (problem.field, problem.problem)
    }

    #[test]
    fn shc_07_a_number_with_its_country_code_in_any_spelling_is_a_recipient() {
        let criteria = Criteria::of(&text("hola")).unwrap();
        for to in ["5491100000001", " +54 911 0000-0001 ", "5491100000001@c.us"] {
            let recipient = criteria.recipient(candidate(to, BTreeMap::new())).unwrap();
            assert_eq!(recipient.contact, Some(address::phone("5491100000001")));
            assert_eq!((recipient.line, recipient.name.as_str()), (2, "Ana"));
        }
    }

    #[test]
    fn what_is_no_number_is_told_with_its_column() {
        let given = || variables([("monto", "7")]);
        for (to, expected) in [
            ("", "is needed: a phone number"),
            ("Ana", "must be a phone number with its country code"),
            ("1100000", "must be a phone number with its country code"),
            ("01100000001", "must be a phone number with its country code"),
            ("5.49110000E+12", "must be a phone number with its country code"),
            ("5491100000001.0", "must be a phone number without decimals"),
            ("5491100000001.00", "must be a phone number without decimals"),
            ("123@lid", "must be a phone number with its country code"),
            ("5491100000001\0", "must be a phone number with its country code"),
            (&"9".repeat(500), "must be a phone number with its country code"),
        ] {
            let (field, told) = problem(to, given());
            assert_eq!(field, "telefono");
            assert!(told.starts_with(expected), "{to}: {told}");
        }
    }

    #[test]
    fn what_the_message_mentions_must_be_there_and_fit() {
        let told = |given| problem("5491100000001", given);
        let missing = ("monto".to_owned(), "monto is needed: the message mentions it".to_owned());
        assert_eq!(told(variables([])), missing);
        assert_eq!(told(variables([("monto", "")])), missing);
        assert_eq!(told(variables([("monto", "a\0")])).1, "must not contain U+0000");
        assert_eq!(told(variables([("monto", &"x".repeat(1_025))])).1, "must have at most 1024 characters");
    }

    proptest! {
        #[test]
        fn whoever_is_accepted_gets_a_message_and_nobody_else_could(
            parts in prop::collection::vec(prop_oneof![Just("{{a}}"), Just("{{ b }}"), Just("ñ"), Just("{")], 1..40),
            a in 0_usize..1_100, b in 0_usize..1_100, long in 0_usize..3_000,
        ) {
            let message = text(&(parts.concat() + &"x".repeat(long)));
            let given = variables([("a", "ñ".repeat(a).as_str()), ("b", "y".repeat(b).as_str())]);
            if let (Ok(criteria), Ok(wording)) = (Criteria::of(&message), Wording::read(&message)) {
                let told = criteria.recipient(candidate("5491100000001", given.clone()));
                let fits = criteria.names().all(|name| given[name].chars().count() <= VALUE_LENGTH_MAX);
                prop_assert_eq!(told.is_ok(), fits && wording.render(&given).is_ok());
            }
        }
    }
}
