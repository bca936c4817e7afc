//! Section `ingest`.

use chasqui_kit::config::{Problems, Section};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// The shortest key that administers every tenant, bytes.
const ADMIN_KEY_LENGTH_MIN: usize = 16;

/// Section `ingest`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What bots and back ends send as `x-api-key`. Default none: then `bot_reply_anonymous` must be on.
    pub api_key: Option<SecretString>,
    /// What opens `/api/admin/*` for every tenant, besides the keys with scope `admin` that the directory has. At least
    /// 16 bytes. Default none: then only those.
    pub admin_key: Option<SecretString>,
    /// Whether `/api/bot-reply` takes messages from callers that send no key, as the system it replaces did: whoever
    /// reaches the port can then write to every contact. A wrong key is refused all the same. Default `false`.
    pub bot_reply_anonymous: bool,
    /// Whether `/webhooks/whatsapp` is answered. Default `true`.
    pub whatsapp_webhook: bool,
    /// The app secret that WhatsApp signs webhooks with; several, separated by commas, while it is being changed.
    /// Default none: needed while `whatsapp_webhook` is on.
    pub app_secret: Option<SecretString>,
    /// The verify token that WhatsApp repeats when the webhook is registered. Default none: needed while
    /// `whatsapp_webhook` is on.
    pub verify_token: Option<SecretString>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            api_key: None,
            admin_key: None,
            bot_reply_anonymous: false,
            whatsapp_webhook: true,
            app_secret: None,
            verify_token: None,
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "ingest";

    fn check(&self, problems: &mut Problems) {
        problems.require(
            is_given(self.api_key.as_ref()) || self.bot_reply_anonymous,
            "ingest.api_key",
            "is needed; ingest.bot_reply_anonymous = true lets everybody in instead",
        );
        let admin_key = self.admin_key.as_ref().map(ExposeSecret::expose_secret);
        problems.require(
            admin_key.is_none_or(|key| key.is_empty() || key.len() >= ADMIN_KEY_LENGTH_MIN),
            "ingest.admin_key",
            format!("must have at least {ADMIN_KEY_LENGTH_MIN} bytes, or be left out"),
        );
        if !self.whatsapp_webhook {
            return;
        }
        let off = "is needed; ingest.whatsapp_webhook = false leaves the webhook out";
        problems.require(self.app_secrets().next().is_some(), "ingest.app_secret", off);
        problems.require(is_given(self.verify_token.as_ref()), "ingest.verify_token", off);
    }
}

impl Config {
    /// Every app secret that a webhook may be signed with.
    pub(crate) fn app_secrets(&self) -> impl Iterator<Item = SecretString> {
        let all = self.app_secret.as_ref().map_or("", |secret| secret.expose_secret());
        all.split(',').map(str::trim).filter(|secret| !secret.is_empty()).map(SecretString::from)
    }
}

/// An empty secret would let in whoever sends an empty one.
fn is_given(secret: Option<&SecretString>) -> bool {
    secret.is_some_and(|secret| !secret.expose_secret().is_empty())
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
    fn every_missing_secret_is_named_with_the_way_to_do_without() {
        let told = told(&Config::default());
        for name in [
            "ingest.api_key",
            "ingest.bot_reply_anonymous",
            "ingest.app_secret",
            "ingest.verify_token",
            "ingest.whatsapp_webhook",
        ] {
            assert!(told.contains(name), "{name} is missing in {told}");
        }
    }

    #[test]
    fn an_empty_secret_is_none() {
        let empty = Config {
            api_key: Some("".into()),
            app_secret: Some(" , ".into()),
            verify_token: Some("".into()),
            ..Config::default()
        };
        assert_eq!(told(&empty), told(&Config::default()));
    }

    #[test]
    fn kon_23_without_a_webhook_a_key_is_enough() {
        let config = Config { api_key: Some("k".into()), whatsapp_webhook: false, ..Config::default() };
        assert_eq!(told(&config), "");
        let open = Config { bot_reply_anonymous: true, whatsapp_webhook: false, ..Config::default() };
        assert_eq!(told(&open), "");
    }
}
