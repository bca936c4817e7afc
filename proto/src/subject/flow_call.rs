//! The names of what flows ask.

use std::{fmt, str::FromStr};

/// The longest name, bytes.
const LENGTH_MAX: usize = 64;
/// The most words of a name.
const WORDS_MAX: usize = 4;

/// What a flow looks up or has done: words of small letters, digits and `-`, with `.` between them (`patients.find`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlowCall(String);

/// A name that no subject can be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidFlowCall;

impl fmt::Display for InvalidFlowCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be one to four words of small letters, digits and '-', with '.' between them")
    }
}

impl std::error::Error for InvalidFlowCall {}

impl FromStr for FlowCall {
    type Err = InvalidFlowCall;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        let words = name.split('.');
        let is_name =
            name.len() <= LENGTH_MAX && words.clone().count() <= WORDS_MAX && words.clone().all(is_word);
        is_name.then(|| Self(name.to_owned())).ok_or(InvalidFlowCall)
    }
}

impl FlowCall {
    /// The name as it stands in a subject.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FlowCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_words_and_reaches_no_other_subject() {
        for name in ["patients.find", "ask", "a.b2.c-d.e"] {
            assert_eq!(name.parse::<FlowCall>().unwrap().as_str(), name);
        }
        let long = "a".repeat(LENGTH_MAX + 1);
        for name in
            ["", ".", "a.", "A", "a b", "*", "a.>", "a.*", "-a", "1a", "a.b.c.d.e", "ñ", long.as_str()]
        {
            assert_eq!(name.parse::<FlowCall>(), Err(InvalidFlowCall), "{name}");
        }
    }
}
