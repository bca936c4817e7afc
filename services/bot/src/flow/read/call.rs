//! Reads what a state asks of other services.

use std::collections::BTreeMap;

use chasqui_proto::subject::FlowCall;
use serde::Deserialize;
use toml::Spanned;

use super::{NAME_BYTES_MAX, Reading};
use crate::{
    fields::{At, Fields},
    flow::{
        call::{Call, Condition, Refusal, Save},
        check::{Moment, Test},
        step::Phase,
    },
};

/// The most parameters of a call.
const PARAMETERS_MAX: usize = 32;
/// The most values that are remembered of an answer.
const SAVES_MAX: usize = 32;
/// The most reasons of which a flow says what follows.
const REFUSALS_MAX: usize = 32;
/// The most conditions of a branch or call, and of values for one of them.
const CONDITIONS_MAX: usize = 16;
/// The longest parameter as it is written, characters.
const PARAMETER_CHARACTERS_MAX: usize = 1_000;

/// Names, or names with the names that the answer has for them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of names, or { name = \"name in the answer\" }")]
enum Saves {
    Same(Vec<String>),
    Renamed(BTreeMap<String, String>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a value or a list of values")]
enum OneOf {
    One(String),
    Several(Vec<String>),
}

impl<'t> Reading<'t> {
    /// The call of a state before its question, or after the answer.
    pub(super) fn call(&mut self, fields: &mut Fields<'t>, phase: Phase, state: usize) -> Option<Call> {
        let (field, moment) = match phase {
            Phase::Before => ("before", Moment::Entry(state)),
            Phase::After => ("after", Moment::Answered(state)),
        };
        let mut table = fields.table(&mut self.found, field)?;
        let name = table.need::<String>(&mut self.found, "call");
        let name = name.and_then(|At { value, span }| match value.parse::<FlowCall>() {
            Ok(name) => Some(name),
            Err(error) => {
                self.found.problem(span, format!("`call` {error}"));
                None
            }
        });
        let when = self.when(&mut table);
        let with = self.with(&mut table, moment);
        let saves = self.saves(&mut table);
        let refusals = self.refusals(&mut table, phase, moment);
        table.finish(&mut self.found);
        // A call without a name goes on being checked under one that nobody answers.
        let name = name.or_else(|| "unnamed".parse().ok())?;
        Some(Call { name, when, with, saves, refusals })
    }

    /// Values and what they must be.
    pub(super) fn when(&mut self, fields: &mut Fields<'t>) -> Vec<Condition> {
        let Some(At { value, span }) =
            fields.take::<BTreeMap<Spanned<String>, OneOf>>(&mut self.found, "when")
        else {
            return Vec::new();
        };
        let is_right = (1..=CONDITIONS_MAX).contains(&value.len());
        self.found.require(is_right, span.clone(), format!("`when` must have 1 to {CONDITIONS_MAX} values"));
        let mut conditions = Vec::with_capacity(value.len());
        for (name, one_of) in value {
            let one_of = match one_of {
                OneOf::One(value) => vec![value],
                OneOf::Several(values) => values,
            };
            let is_right = (1..=CONDITIONS_MAX).contains(&one_of.len());
            let message = format!("`when` must have 1 to {CONDITIONS_MAX} values for `{}`", name.get_ref());
            self.found.require(is_right, name.span(), message);
            let condition = Condition { value: name.get_ref().clone(), one_of };
            self.noted.tests.push(Test { condition: condition.clone(), span: name.span() });
            conditions.push(condition);
        }
        conditions
    }

    fn with(&mut self, table: &mut Fields<'t>, moment: Moment) -> BTreeMap<String, String> {
        let Some(At { value, span }) =
            table.take::<BTreeMap<String, Spanned<String>>>(&mut self.found, "with")
        else {
            return BTreeMap::new();
        };
        let is_few = value.len() <= PARAMETERS_MAX;
        self.found.require(is_few, span, format!("`with` must have at most {PARAMETERS_MAX} parameters"));
        let mut with = BTreeMap::new();
        for (name, text) in value {
            let is_right = (1..=NAME_BYTES_MAX).contains(&name.len())
                && text.get_ref().chars().count() <= PARAMETER_CHARACTERS_MAX;
            let message = format!(
                "a parameter must have a name of 1 to {NAME_BYTES_MAX} bytes and at most {PARAMETER_CHARACTERS_MAX} characters"
            );
            self.found.require(is_right, text.span(), message);
            self.places(text.get_ref(), &text.span(), moment);
            with.insert(name, text.into_inner());
        }
        with
    }

    fn saves(&mut self, table: &mut Fields<'t>) -> Vec<Save> {
        let Some(At { value, span }) = table.take::<Saves>(&mut self.found, "save") else {
            return Vec::new();
        };
        let saves: Vec<Save> = match value {
            Saves::Same(names) => names.into_iter().map(|name| Save { of: name.clone(), name }).collect(),
            Saves::Renamed(names) => names.into_iter().map(|(name, of)| Save { name, of }).collect(),
        };
        let has_room = saves.len() <= SAVES_MAX;
        self.found.require(has_room, span.clone(), format!("`save` must have at most {SAVES_MAX} values"));
        for (index, save) in saves.iter().enumerate() {
            self.require_name(&At { value: save.name.clone(), span: span.clone() }, "a value");
            let is_new = saves[..index].iter().all(|other| other.name != save.name);
            self.found.require(is_new, span.clone(), format!("`{}` is saved twice", save.name));
        }
        saves
    }

    fn refusals(&mut self, table: &mut Fields<'t>, phase: Phase, moment: Moment) -> Vec<Refusal> {
        let tables = table.tables(&mut self.found, "refused");
        let has_room = tables.len() <= REFUSALS_MAX;
        self.found.require(has_room, table.span(), format!("there must be at most {REFUSALS_MAX} refusals"));
        let mut refusals: Vec<Refusal> = Vec::with_capacity(tables.len());
        for mut table in tables {
            let reason = table.need::<String>(&mut self.found, "reason");
            let text = self.text(&mut table, "text", moment);
            let to = table.take::<String>(&mut self.found, "to").map(|to| self.target(&to));
            match phase {
                Phase::Before => {
                    let message = "`to` is missing: before its question a state cannot stay";
                    self.found.require(to.is_some(), table.span(), message);
                }
                Phase::After => {
                    let message = "`text`, `to` or both are missing: the contact has to learn of it";
                    self.found.require(text.is_some() || to.is_some(), table.span(), message);
                }
            }
            let span = table.span();
            table.finish(&mut self.found);
            let Some(reason) = reason else { continue };
            let is_new = refusals.iter().all(|other| other.reason != reason.value);
            self.found.require(is_new, span, format!("the reason `{}` stands here twice", reason.value));
            refusals.push(Refusal { reason: reason.value, text, to });
        }
        refusals
    }
}
