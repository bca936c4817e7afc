//! Section `ingest`.

use std::num::NonZeroU32;

use chasqui_callback::Allowed;
use chasqui_identity::TokenSettings;
use chasqui_kit::{
    config::{self, Problems, Section},
    seal::Seal,
};
use chasqui_proto::v1::Responder;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// The shortest key that administers every tenant, bytes.
const ADMIN_KEY_LENGTH_MIN: usize = 16;

const SENDS_PER_SECOND_DEFAULT: NonZeroU32 = NonZeroU32::new(1_000).expect("it is not zero");
const REQUESTS_PER_SECOND_DEFAULT: NonZeroU32 = NonZeroU32::new(20).expect("it is not zero");

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
    /// What the secrets of listeners are sealed with before they leave this service, at least 32 bytes; several, separated
    /// by commas, the newest first, while it is being changed. The same as `webhooks.sealing_key`. Default none: then no
    /// listener can be registered.
    pub sealing_key: Option<SecretString>,
    /// Networks besides the public Internet that listeners may be in, such as `10.1.0.0/16` or `127.0.0.1`. The same as
    /// `webhooks.private_networks_allowed`. Default none.
    #[serde(deserialize_with = "config::list")]
    pub private_networks_allowed: Vec<String>,
    /// How many messages a caller may hand in a second at this replica, after a burst of twice as many; those beyond are
    /// answered 429. A campaign is handed in no faster than numbers send: the fastest of WhatsApp send 1,000 a second.
    /// Default 1,000.
    pub sends_per_second_max: NonZeroU32,
    /// How many other requests of `/api/whatsapp/*` and the sessions a caller may make a second at this replica, after a
    /// burst of twice as many. Default 20.
    pub requests_per_second_max: NonZeroU32,
    /// What tokens of staff are checked by: the settings of section `edge`, which whoever starts the service puts here.
    /// Default none: then only keys open anything.
    #[serde(skip)]
    pub tokens: TokenSettings,
    /// Where files are kept: section `media`, which whoever starts the service puts here. Without a key for addresses no
    /// files are taken.
    #[serde(skip)]
    pub media: chasqui_media::Config,
    /// The number of the default tenant that needs no entry in the directory: the one of section `whatsapp`, which whoever
    /// starts the service puts here. Default none.
    #[serde(skip)]
    pub phone_number_id: Option<String>,
    /// Who answers contacts where neither their tenant nor their conversation says so: of section `tenant`, put here by
    /// whoever starts the service. Default `External`.
    #[serde(skip)]
    pub responder: Responder,
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
            sealing_key: None,
            private_networks_allowed: Vec::new(),
            sends_per_second_max: SENDS_PER_SECOND_DEFAULT,
            requests_per_second_max: REQUESTS_PER_SECOND_DEFAULT,
            tokens: TokenSettings::default(),
            media: chasqui_media::Config::default(),
            phone_number_id: None,
            responder: Responder::External,
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
        if let Some(Err(error)) = self.sealing_key.as_ref().filter(|key| is_given(Some(key))).map(Seal::new) {
            problems.add("ingest.sealing_key", error);
        }
        if let Err(error) = Allowed::new(&self.private_networks_allowed) {
            problems.add("ingest.private_networks_allowed", error);
        }
        if !self.whatsapp_webhook {
            return;
        }
        let off = "is needed; ingest.whatsapp_webhook = false leaves the webhook out";
        problems.require(self.app_secrets().next().is_some(), "ingest.app_secret", off);
        problems.require(is_given(self.verify_token.as_ref()), "ingest.verify_token", off);
    }
}

impl Config {
    /// What secrets of listeners are sealed with, in a checked configuration.
    pub(crate) fn seal(&self) -> Option<Seal> {
        Seal::new(self.sealing_key.as_ref()?).ok()
    }

    /// Where listeners may be, in a checked configuration.
    pub(crate) fn allowed(&self) -> Allowed {
        Allowed::new(&self.private_networks_allowed).unwrap_or_default()
    }

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
    fn a_weak_sealing_key_and_a_network_that_is_none_are_named() {
        let config = Config {
            sealing_key: Some("short".into()),
            private_networks_allowed: vec!["10.0.0.0/8".into(), "localhost".into()],
            ..Config::default()
        };
        let told = told(&config);
        for expected in [
            "ingest.sealing_key (SEALING_KEY): a sealing key must have at least 32",
            "\"localhost\" is no network",
        ] {
            assert!(told.contains(expected), "{expected} is missing in {told}");
        }
    }

    #[test]
    fn kon_23_without_a_webhook_a_key_is_enough() {
        let config = Config { api_key: Some("k".into()), whatsapp_webhook: false, ..Config::default() };
        assert_eq!(told(&config), "");
        let open = Config { bot_reply_anonymous: true, whatsapp_webhook: false, ..Config::default() };
        assert_eq!(told(&open), "");
    }
}
