//! How the language model behaves.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest pause, milliseconds: ten minutes.
const PAUSE_MS_MAX: u64 = 10 * 60 * 1_000;
/// The most answers that are kept.
const ANSWERS_MAX: usize = 1_000;

/// What it says and how fast. Each can be changed while it runs, at `PUT /openai/settings`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// What it says, in turn and again from the beginning. None: it repeats what it was told.
    pub(super) answers: Vec<String>,
    /// The pause before it begins, milliseconds.
    pub(super) first_token_after_ms: u64,
    /// The pause before each further word, milliseconds.
    pub(super) token_after_ms: u64,
    /// What it says of its cost.
    pub(super) usage: Usage,
}

/// What is said of the cost of an answer, where it is asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Usage {
    /// A last chunk with it.
    #[default]
    Told,
    /// A last chunk with `null`, as some servers do.
    Null,
    /// No such chunk.
    Missing,
}

impl Settings {
    /// The same with what `changes` (a JSON object) names.
    pub(super) fn changed(&self, changes: Value) -> Result<Self, String> {
        let Value::Object(changes) = changes else {
            return Err("expected a JSON object of settings".to_owned());
        };
        let mut whole = serde_json::to_value(self).expect("settings are plain JSON");
        whole.as_object_mut().expect("settings are an object").extend(changes);
        let settings: Self = serde_json::from_value(whole).map_err(|error| error.to_string())?;
        let pauses = [
            ("first_token_after_ms", settings.first_token_after_ms),
            ("token_after_ms", settings.token_after_ms),
        ];
        if let Some((name, _)) = pauses.iter().find(|(_, pause_ms)| *pause_ms > PAUSE_MS_MAX) {
            return Err(format!("{name}: expected at most {PAUSE_MS_MAX}"));
        }
        if settings.answers.len() > ANSWERS_MAX {
            return Err(format!("answers: expected at most {ANSWERS_MAX}"));
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_change_one_by_one_and_wrong_ones_are_named() {
        let changed = Settings::default().changed(json!({ "usage": "null" })).unwrap();
        let changed = changed.changed(json!({ "token_after_ms": 5 })).unwrap();
        assert_eq!((changed.usage, changed.token_after_ms), (Usage::Null, 5));
        for (wrong, named) in [
            (json!({ "speed": 1 }), "speed"),
            (json!({ "token_after_ms": PAUSE_MS_MAX + 1 }), "token_after_ms"),
            (json!({ "usage": "free" }), "free"),
            (json!({ "answers": vec![""; ANSWERS_MAX + 1] }), "answers"),
            (json!([]), "object"),
        ] {
            let problem = Settings::default().changed(wrong).unwrap_err();
            assert!(problem.contains(named), "{problem}");
        }
    }
}
