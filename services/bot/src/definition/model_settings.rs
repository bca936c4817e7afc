//! How the language model answers the contacts of a tenant.

use std::{collections::HashMap, sync::Arc};

use uuid::Uuid;

use super::action::{self, Action};
use crate::{
    fields::{At, Fields, Found},
    flow::Flow,
};

/// The most messages of a conversation that the model is shown.
const HISTORY_MESSAGES_MAX: u64 = 100;
/// The longest answer, tokens.
const ANSWER_TOKENS_MAX: u64 = 16_384;
/// The longest pause that is waited for, milliseconds.
const DEBOUNCE_MS_MAX: u64 = 60_000;
/// The longest prompt, characters.
const PROMPT_CHARACTERS_MAX: usize = 32_768;
/// Where models begin to write at random.
const TEMPERATURE_MAX: f32 = 2.0;

/// How the language model answers.
#[derive(Clone, Debug)]
pub(crate) struct ModelSettings {
    /// Which model; none is the one of the configuration.
    pub(crate) model: Option<String>,
    /// As whom it writes. The first is the one of conversations that name none.
    pub(crate) personalities: Vec<Personality>,
    /// How many messages of the conversation it is shown.
    pub(crate) history_messages: u32,
    /// What the tenant may spend a day; none is no limit.
    pub(crate) tokens_per_day_max: Option<u64>,
    pub(crate) answer_tokens_max: u32,
    /// How long a contact must be silent before it is answered.
    pub(crate) debounce_ms: u64,
    /// What is done where the model has no answer.
    pub(crate) on_failure: Action,
}

/// As whom the model writes.
#[derive(Clone, Debug)]
pub(crate) struct Personality {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) prompt: String,
    /// Which model; none is the tenant's.
    pub(crate) model: Option<String>,
    pub(crate) temperature: Option<f32>,
}

impl ModelSettings {
    /// The personality that a conversation names, or else the default one. One that is not there any more is no reason
    /// not to answer.
    pub(crate) fn personality(&self, id: &str) -> Option<&Personality> {
        let id = id.parse::<Uuid>().ok();
        let named = self.personalities.iter().find(|personality| Some(personality.id) == id);
        named.or(self.personalities.first())
    }

    /// The tables `model` and `personalities`.
    pub(super) fn read<'t>(
        table: Option<Fields<'t>>,
        personalities: Vec<Fields<'t>>,
        found: &mut Found<'t>,
        flows: &[Arc<Flow>],
    ) -> Option<Self> {
        let Some(mut table) = table else {
            if let Some(first) = personalities.first() {
                found.problem(first.span(), "`personalities` need the table `model`");
            }
            return None;
        };
        let number = |table: &mut Fields<'t>, found: &mut Found<'t>, name, bounds, default| {
            table.number(found, name, bounds).map_or(default, |number| number.value)
        };
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let history = number(&mut table, found, "history_messages", 0..=HISTORY_MESSAGES_MAX, 20);
        let tokens = table.number(found, "tokens_per_day_max", 1..=u64::MAX >> 1);
        let answer = number(&mut table, found, "answer_tokens_max", 16..=ANSWER_TOKENS_MAX, 1_024);
        let settings = Self {
            model: model_name(&mut table, found, "name"),
            history_messages: small(history),
            tokens_per_day_max: tokens.map(|tokens| tokens.value),
            answer_tokens_max: small(answer),
            debounce_ms: number(&mut table, found, "debounce_ms", 0..=DEBOUNCE_MS_MAX, 1_500),
            on_failure: on_failure(&mut table, found, flows),
            personalities: read_personalities(personalities, found),
        };
        table.finish(found);
        Some(settings)
    }
}

fn on_failure<'t>(table: &mut Fields<'t>, found: &mut Found<'t>, flows: &[Arc<Flow>]) -> Action {
    let Some(mut table) = table.table(found, "on_failure") else { return Action::Handoff(None) };
    let action = Action::read(&mut table, found, flows);
    let wanted = matches!(&action, Some(action) if *action != Action::Model);
    found.require(
        wanted,
        table.span(),
        format!("`on_failure` must say what is done instead: one of {}, not `model`", action::FIELDS),
    );
    table.finish(found);
    action.unwrap_or(Action::Handoff(None))
}

fn model_name<'t>(table: &mut Fields<'t>, found: &mut Found<'t>, field: &'static str) -> Option<String> {
    let name = table.take::<String>(found, field)?;
    found.require(!name.value.trim().is_empty(), name.span, format!("`{field}` must name a model"));
    Some(name.value)
}

fn read_personalities<'t>(tables: Vec<Fields<'t>>, found: &mut Found<'t>) -> Vec<Personality> {
    let (mut personalities, mut default): (Vec<Personality>, Option<usize>) = (Vec::new(), None);
    let mut known = HashMap::<String, &'static str>::new();
    for mut table in tables {
        let id = table.need::<Uuid>(found, "id");
        let name = table.need::<String>(found, "name");
        for (what, key, span) in [
            ("id", id.as_ref().map(|id| id.value.to_string()), id.as_ref().map(|id| id.span.clone())),
            (
                "name",
                name.as_ref().map(|name| name.value.clone()),
                name.as_ref().map(|name| name.span.clone()),
            ),
        ] {
            let (Some(key), Some(span)) = (key, span) else { continue };
            let is_new = known.insert(key.clone(), what) != Some(what);
            found.require(is_new, span, format!("another personality has the {what} `{key}`"));
        }
        let prompt = table.need::<String>(found, "prompt");
        if let Some(prompt) = &prompt {
            let characters = prompt.value.trim().chars().count();
            found.require(
                (1..=PROMPT_CHARACTERS_MAX).contains(&characters),
                prompt.span.clone(),
                format!("`prompt` must have 1 to {PROMPT_CHARACTERS_MAX} characters"),
            );
        }
        let model = model_name(&mut table, found, "model");
        let temperature = table.take::<f32>(found, "temperature");
        if let Some(temperature) = &temperature {
            let is_right = (0.0..=TEMPERATURE_MAX).contains(&temperature.value);
            found.require(is_right, temperature.span.clone(), "`temperature` must be 0 to 2");
        }
        if let Some(At { value: true, span }) = table.take::<bool>(found, "default") {
            found.require(default.is_none(), span, "another personality is the default one");
            default = default.or(Some(personalities.len()));
        }
        table.finish(found);
        // What is missing was told, and nobody sees the rest.
        personalities.push(Personality {
            id: id.map_or(Uuid::nil(), |id| id.value),
            name: name.map_or_else(String::new, |name| name.value),
            prompt: prompt.map_or_else(String::new, |prompt| prompt.value),
            model,
            temperature: temperature.map(|temperature| temperature.value),
        });
    }
    if let Some(default) = default {
        personalities[..=default].rotate_right(1);
    }
    personalities
}
