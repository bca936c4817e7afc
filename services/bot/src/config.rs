//! Section `bot`.

use std::path::PathBuf;

use chasqui_kit::config::{Problems, Section};
use chasqui_proto::v1::Responder;
use secrecy::SecretString;
use serde::Deserialize;

/// The longest time a language model may take for an answer, milliseconds.
const MODEL_TIMEOUT_MS_MAX: u64 = 300_000;
/// The longest age of a message that is still answered, seconds: as long as the stream keeps it.
const AGE_SECS_MAX: u64 = 7 * 24 * 3600;
/// The longest silence after a person wrote, seconds.
const QUIET_SECS_MAX: u64 = 7 * 24 * 3600;

/// Section `bot`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The directory with what the bot of each tenant does: `<tenant>.toml`, and `flows/<name>.toml`. Default none: the
    /// flow `appointment`, and nothing else.
    pub definitions: Option<PathBuf>,
    /// How often that directory is looked at for changes, milliseconds. Default 2,000.
    pub definitions_interval_ms: u64,
    /// The key of the language model (also `OPENAI_API_KEY`). Default none: no language model.
    pub openai_api_key: Option<SecretString>,
    /// Where it is, down to its version (also `OPENAI_BASE_URL`). Default `https://api.openai.com/v1`.
    pub openai_base_url: String,
    /// Which it is where a tenant names none (also `OPENAI_MODEL`). Default `gpt-4o-mini`.
    pub openai_model: String,
    /// How long it may take for an answer, milliseconds, at most 300,000. Default 60,000.
    pub model_timeout_ms: u64,
    /// How long a look-up or action of a flow may take, milliseconds. Default 3,000.
    pub call_timeout_ms: u64,
    /// How old a message of a contact may be and still be answered, seconds; people are given what is older. Default 3,600.
    pub age_secs_max: u64,
    /// How long the bot is silent in a conversation after a person of the tenant wrote there without a chat, seconds.
    /// Default 3,600.
    pub quiet_secs: u64,
    /// How many messages are in the hands of one replica at once. Default 512.
    pub in_hand_max: usize,
    /// Who answers where nothing else says so. Filled from section `tenant`.
    #[serde(skip)]
    pub responder: Responder,
}

impl Config {
    /// `quiet_secs` in milliseconds.
    pub(crate) fn quiet_ms(&self) -> i64 {
        i64::try_from(self.quiet_secs.saturating_mul(1_000)).unwrap_or(i64::MAX)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            definitions: None,
            definitions_interval_ms: 2_000,
            openai_api_key: None,
            openai_base_url: "https://api.openai.com/v1".to_owned(),
            openai_model: "gpt-4o-mini".to_owned(),
            model_timeout_ms: 60_000,
            call_timeout_ms: 3_000,
            age_secs_max: 3_600,
            quiet_secs: 3_600,
            in_hand_max: 512,
            responder: Responder::External,
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "bot";

    fn check(&self, problems: &mut Problems) {
        problems.between("bot.definitions_interval_ms", self.definitions_interval_ms, 100..=3_600_000);
        problems.between("bot.model_timeout_ms", self.model_timeout_ms, 1..=MODEL_TIMEOUT_MS_MAX);
        problems.between("bot.call_timeout_ms", self.call_timeout_ms, 1..=30_000);
        problems.between("bot.age_secs_max", self.age_secs_max, 1..=AGE_SECS_MAX);
        problems.between("bot.quiet_secs", self.quiet_secs, 0..=QUIET_SECS_MAX);
        problems.between("bot.in_hand_max", self.in_hand_max, 1..=65_536);
        let is_address =
            ["http://", "https://"].iter().any(|scheme| self.openai_base_url.starts_with(scheme));
        problems.require(is_address, "bot.openai_base_url", "must begin with http:// or https://");
        problems.require(!self.openai_model.is_empty(), "bot.openai_model", "must name a model");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(config: &Config) -> String {
        let mut problems = Problems::default();
        config.check(&mut problems);
        problems.lines().join("\n")
    }

    #[test]
    fn everything_has_a_default() {
        assert_eq!(told(&Config::default()), "");
    }

    #[test]
    fn every_wrong_setting_is_named() {
        let wrong = Config {
            definitions_interval_ms: 1,
            openai_base_url: "api.openai.com".to_owned(),
            openai_model: String::new(),
            model_timeout_ms: 0,
            call_timeout_ms: 0,
            age_secs_max: 0,
            quiet_secs: QUIET_SECS_MAX + 1,
            in_hand_max: 0,
            ..Config::default()
        };
        let told = told(&wrong);
        for name in [
            "definitions_interval_ms",
            "openai_base_url",
            "openai_model",
            "model_timeout_ms",
            "call_timeout_ms",
            "age_secs_max",
            "quiet_secs",
            "in_hand_max",
        ] {
            assert!(told.contains(name), "{name} is missing in {told}");
        }
    }
}
