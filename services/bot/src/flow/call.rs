//! What a state asks of other services.

use std::collections::BTreeMap;

use chasqui_proto::{
    id,
    subject::FlowCall,
    v1::{FlowAnswer, FlowOption},
};
use uuid::Uuid;

use super::{choice, state::Target, template};
use crate::language::Text;

/// Why there is nothing to choose from.
pub(super) const NOT_FOUND: &str = "not_found";
/// In a file: every reason that is not named.
pub(super) const OTHER_REASON: &str = "other";
/// The longest value that is remembered of an answer, and the longest parameter, characters.
const VALUE_CHARACTERS_MAX: usize = 4_000;

/// A value that must be one of some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) value: String,
    pub(super) one_of: Vec<String>,
}

impl Condition {
    fn holds(&self, values: &BTreeMap<String, String>) -> bool {
        values.get(&self.value).is_some_and(|value| self.one_of.contains(value))
    }
}

/// Whether every condition holds.
pub(super) fn hold(conditions: &[Condition], values: &BTreeMap<String, String>) -> bool {
    conditions.iter().all(|condition| condition.holds(values))
}

/// What follows where the answer is a no.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) text: Option<Text>,
    /// None: the question stays, and counts as asked again.
    pub(super) to: Option<Target>,
}

/// A value of an answer, and the name that it is remembered under.
#[derive(Debug)]
pub(super) struct Save {
    pub(super) name: String,
    pub(super) of: String,
}

/// A look-up or an action.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: FlowCall,
    /// It is made only where these hold.
    pub(super) when: Vec<Condition>,
    /// What it is made with: a text with places for values each.
    pub(super) with: BTreeMap<String, String>,
    pub(super) saves: Vec<Save>,
    pub(super) refusals: Vec<Refusal>,
}

/// What an answer amounts to.
#[derive(Debug)]
pub(super) enum Heard<'c> {
    /// It did or found something.
    Yes { values: Vec<(String, String)>, options: Vec<FlowOption> },
    /// It did not, and the flow says what follows.
    No(&'c Refusal),
    /// Not what the flow can go on with: a reason that it does not name, or something is missing.
    Unfit,
}

impl Call {
    /// What it is made with.
    pub(super) fn parameters(&self, values: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let filled = |text: &str| template::filled(text, values, VALUE_CHARACTERS_MAX);
        self.with.iter().map(|(name, text)| (name.clone(), filled(text))).collect()
    }

    /// The id of what is asked: the same whenever the same run asks the same in the same state.
    pub(super) fn request_id(&self, run: &str, state: &str, parameters: &BTreeMap<String, String>) -> Uuid {
        let words = parameters.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let parts: Vec<&str> = [run, state, self.name.as_str()].into_iter().chain(words).collect();
        id::fact_id(&parts)
    }

    /// Reads an answer.
    pub(super) fn heard(&self, answer: FlowAnswer, needs_options: bool) -> Heard<'_> {
        let options = choice::within_bounds(answer.options);
        let reason = match answer.refused.as_str() {
            "" if needs_options && options.is_empty() => NOT_FOUND,
            reason => reason,
        };
        if !reason.is_empty() {
            let of = |name: &str| self.refusals.iter().find(|refusal| refusal.reason == name);
            return of(reason).or_else(|| of(OTHER_REASON)).map_or(Heard::Unfit, Heard::No);
        }
        let value = |save: &Save| {
            let value: String = answer.values.get(&save.of)?.chars().take(VALUE_CHARACTERS_MAX).collect();
            Some((save.name.clone(), value))
        };
        match self.saves.iter().map(value).collect() {
            Some(values) => Heard::Yes { values, options },
            None => Heard::Unfit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        let refusal = |reason: &str| Refusal { reason: reason.to_owned(), text: None, to: None };
        Call {
            name: "patients.find".parse().unwrap(),
            when: Vec::new(),
            with: [("document".to_owned(), "CC {document}".to_owned())].into(),
            saves: vec![Save { name: "patient".to_owned(), of: "id".to_owned() }],
            refusals: vec![refusal(NOT_FOUND)],
        }
    }

    fn answer(refused: &str, values: &[(&str, &str)]) -> FlowAnswer {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        FlowAnswer { refused: refused.to_owned(), values, options: Vec::new() }
    }

    #[test]
    fn the_same_asked_again_is_the_same_request() {
        let values = BTreeMap::from([("document".to_owned(), "1".to_owned())]);
        let parameters = call().parameters(&values);
        assert_eq!(parameters["document"], "CC 1");
        let id = |run: &str, state: &str, parameters: &_| call().request_id(run, state, parameters);
        let first = id("run", "asked", &parameters);
        assert_eq!(first, id("run", "asked", &parameters));
        let other = BTreeMap::from([("document".to_owned(), "CC 2".to_owned())]);
        for different in
            [id("other", "asked", &parameters), id("run", "b", &parameters), id("run", "asked", &other)]
        {
            assert_ne!(first, different);
        }
    }

    #[test]
    fn an_answer_is_a_yes_a_no_that_is_named_or_unfit() {
        let call = call();
        let heard = |answer: FlowAnswer, needs_options: bool| match call.heard(answer, needs_options) {
            Heard::Yes { values, .. } => format!("{values:?}"),
            Heard::No(refusal) => refusal.reason.clone(),
            Heard::Unfit => "unfit".to_owned(),
        };
        assert_eq!(heard(answer("", &[("id", "7"), ("more", "x")]), false), r#"[("patient", "7")]"#);
        assert_eq!(heard(answer("not_found", &[]), false), "not_found");
        assert_eq!(heard(answer("", &[("id", "7")]), true), "not_found", "nothing to choose from");
        assert_eq!(heard(answer("blocked", &[]), false), "unfit");
        assert_eq!(heard(answer("", &[]), false), "unfit", "what is to be remembered is missing");
    }

    #[test]
    fn a_reason_that_is_not_named_is_the_other_one() {
        let mut call = call();
        call.refusals.push(Refusal { reason: OTHER_REASON.to_owned(), text: None, to: None });
        assert!(
            matches!(call.heard(answer("blocked", &[]), false), Heard::No(no) if no.reason == OTHER_REASON)
        );
    }

    #[test]
    fn every_condition_must_hold() {
        let values = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        let is = |value: &str, one_of: &[&str]| Condition {
            value: value.to_owned(),
            one_of: one_of.iter().map(|value| (*value).to_owned()).collect(),
        };
        assert!(hold(&[], &values) && hold(&[is("a", &["0", "1"]), is("b", &["2"])], &values));
        assert!(!hold(&[is("a", &["1"]), is("b", &["3"])], &values) && !hold(&[is("c", &[""])], &values));
    }
}
