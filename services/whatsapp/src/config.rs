//! Section `whatsapp`.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use chasqui_kit::config::{Problems, Section};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::{cloud, sending};

/// The longest a session may take to start, milliseconds: whoever waits for a QR gave up long before.
const SESSION_TIMEOUT_MS_MAX: u64 = 30 * 60 * 1_000;
/// The longest that campaigns are held back, milliseconds: what was handed over before would no more be worth sending.
const CAMPAIGN_PAUSE_MS_MAX: u64 = 24 * 3_600_000;
/// The most attempts to connect before a session has failed.
const RETRIES_MAX: u32 = 100;
/// The most digits of a phone number id.
const NUMBER_DIGITS_MAX: usize = 32;

/// Section `whatsapp`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The access token of every number of the Cloud API that has none in `tokens`. Default none: the numbers without
    /// one are shown as failed (`no_token`).
    pub access_token: Option<SecretString>,
    /// Access tokens by phone number id, for numbers of other business accounts. Default none.
    pub tokens: BTreeMap<String, SecretString>,
    /// Where the Graph API is. Default `https://graph.facebook.com`.
    pub graph_url: String,
    /// The version of the Graph API that is spoken, such as `v23.0`, the default.
    pub graph_version: String,
    /// The phone number id of the default tenant, for deployments that register no numbers. Default none.
    pub phone_number_id: Option<String>,
    /// What is sent where WhatsApp takes only templates and the message brings none of its own: a JSON object as the
    /// Cloud API's `template`, such as `{"name":"hello","language":{"code":"es"}}`. Default none: the message fails.
    pub fallback_template: Option<String>,
    /// How long connecting to the Graph API may take, milliseconds. Default 5,000.
    pub connect_wait_ms: u64,
    /// How long an answer of the Graph API or of a connector may take, milliseconds. A message whose answer does not
    /// come is uncertain. Default 30,000.
    pub send_wait_ms: u64,
    /// How long WhatsApp may take to tell what became of an uncertain message, milliseconds. Default 600,000.
    pub uncertain_wait_ms: u64,
    /// Whether a message of which nothing was heard in that time is sent again, at the risk that the contact gets it
    /// twice. Default `false`: it fails, and is kept among the dead letters.
    pub uncertain_resend: bool,
    /// How many messages of one number may wait for WhatsApp's answer at once. One that answers in 300 ms needs 300 for
    /// 1,000 a second. Default 512.
    pub in_flight_max: usize,
    /// How long campaigns of a number are held back after WhatsApp refused them (its spam limit, a paused template),
    /// milliseconds, at most a day. Answers go on. Default 900,000.
    pub campaign_pause_ms: u64,
    /// How long a linked session may take to start, to be scanned once it shows a QR, and to come back when its
    /// connection is lost, milliseconds. Default 180,000.
    pub session_timeout_ms: u64,
    /// How often a lost connection is made again, and how many QRs are shown, before the session has failed. Default 3.
    pub retries_max: u32,
    /// Section `media`, which stands by itself: where files are kept.
    #[serde(skip)]
    pub media: chasqui_media::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            access_token: None,
            tokens: BTreeMap::new(),
            graph_url: "https://graph.facebook.com".to_owned(),
            graph_version: "v23.0".to_owned(),
            phone_number_id: None,
            fallback_template: None,
            connect_wait_ms: 5_000,
            send_wait_ms: 30_000,
            uncertain_wait_ms: 600_000,
            uncertain_resend: false,
            in_flight_max: 512,
            campaign_pause_ms: 900_000,
            session_timeout_ms: 180_000,
            retries_max: 3,
            media: chasqui_media::Config::default(),
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "whatsapp";

    fn check(&self, problems: &mut Problems) {
        let is_url = Url::parse(&self.graph_url).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none()
        });
        problems.require(is_url, "whatsapp.graph_url", "expected an http or https address without a query");
        let version = self.graph_version.strip_prefix('v').and_then(|version| version.split_once('.'));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        problems.require(
            version.is_some_and(|(major, minor)| is_number(major) && is_number(minor)),
            "whatsapp.graph_version",
            "expected a version such as v23.0",
        );
        self.check_numbers(problems);
        if let Some(template) = &self.fallback_template
            && let Err(expected) = read_template(template)
        {
            problems.add("whatsapp.fallback_template", expected);
        }
        for (setting, value) in [
            ("whatsapp.connect_wait_ms", self.connect_wait_ms),
            ("whatsapp.send_wait_ms", self.send_wait_ms),
            ("whatsapp.uncertain_wait_ms", self.uncertain_wait_ms),
            ("whatsapp.in_flight_max", self.in_flight_max as u64),
        ] {
            problems.require(value > 0, setting, "must be at least 1");
        }
        problems.between("whatsapp.campaign_pause_ms", self.campaign_pause_ms, 1..=CAMPAIGN_PAUSE_MS_MAX);
        problems.require(
            (1_000..=SESSION_TIMEOUT_MS_MAX).contains(&self.session_timeout_ms),
            "whatsapp.session_timeout_ms",
            format!("must be 1,000 to {SESSION_TIMEOUT_MS_MAX}"),
        );
        problems.require(
            (1..=RETRIES_MAX).contains(&self.retries_max),
            "whatsapp.retries_max",
            format!("must be 1 to {RETRIES_MAX}"),
        );
    }
}

impl Config {
    fn check_numbers(&self, problems: &mut Problems) {
        let expected = "expected the digits of a phone number id of the Graph API";
        if let Some(id) = &self.phone_number_id {
            problems.require(is_phone_number_id(id), "whatsapp.phone_number_id", expected);
        }
        for (id, token) in &self.tokens {
            let setting = format!("whatsapp.tokens.{id}");
            problems.require(is_phone_number_id(id), &setting, expected);
            problems.require(!token.expose_secret().is_empty(), &setting, "must not be empty");
        }
    }

    /// The access token of a number of the Cloud API.
    pub(crate) fn token_of(&self, phone_number_id: &str) -> Option<&SecretString> {
        let own = self.tokens.get(phone_number_id).or(self.access_token.as_ref());
        own.filter(|token| !token.expose_secret().is_empty())
    }

    /// How a session sends.
    pub(crate) fn sending(&self) -> sending::Settings {
        sending::Settings {
            uncertain_wait: Duration::from_millis(self.uncertain_wait_ms),
            uncertain_resend: self.uncertain_resend,
            in_flight_max: self.in_flight_max,
            send_wait: Duration::from_millis(self.send_wait_ms),
            campaign_pause: Duration::from_millis(self.campaign_pause_ms),
            ..sending::Settings::default()
        }
    }

    /// How the Graph API is reached.
    pub(crate) fn cloud(&self) -> cloud::Settings {
        cloud::Settings {
            graph_url: self.graph_url.clone(),
            graph_version: self.graph_version.clone(),
            connect_wait: Duration::from_millis(self.connect_wait_ms),
            answer_wait: Duration::from_millis(self.send_wait_ms),
        }
    }

    /// The template of a checked configuration, as the Cloud API's `template` object.
    pub(crate) fn fallback(&self) -> Option<Bytes> {
        self.fallback_template.as_ref().map(|template| Bytes::copy_from_slice(template.as_bytes()))
    }
}

/// Whether a text can be a phone number id of the Graph API.
pub(crate) fn is_phone_number_id(text: &str) -> bool {
    (1..=NUMBER_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn read_template(text: &str) -> Result<(), String> {
    let template: Value = serde_json::from_str(text).map_err(|error| format!("expected JSON: {error}"))?;
    let is_text = |pointer: &str| {
        template.pointer(pointer).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
    };
    if is_text("/name") && is_text("/language/code") {
        return Ok(());
    }
    Err(r#"expected an object such as {"name":"hello","language":{"code":"es"}}"#.to_owned())
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
    fn every_problem_is_named() {
        assert_eq!(told(&Config::default()), "");
        let wrong = Config {
            tokens: [("sales".to_owned(), "t".into())].into(),
            graph_url: "graph.facebook.com".to_owned(),
            graph_version: "23".to_owned(),
            phone_number_id: Some("+54 911".to_owned()),
            fallback_template: Some(r#"{"name":"hello"}"#.to_owned()),
            connect_wait_ms: 0,
            send_wait_ms: 0,
            uncertain_wait_ms: 0,
            in_flight_max: 0,
            campaign_pause_ms: 0,
            session_timeout_ms: 0,
            retries_max: 0,
            ..Config::default()
        };
        let told = told(&wrong);
        for name in [
            "tokens.sales",
            "graph_url",
            "graph_version",
            "phone_number_id",
            "fallback_template",
            "connect_wait_ms",
            "send_wait_ms",
            "uncertain_wait_ms",
            "in_flight_max",
            "campaign_pause_ms",
            "session_timeout_ms (WHATSAPP_SESSION_TIMEOUT)",
            "retries_max (WHATSAPP_MAX_RETRIES)",
        ] {
            assert!(told.contains(&format!("whatsapp.{name}")), "{name} is missing in {told}");
        }
    }

    #[test]
    fn a_number_uses_its_own_token_before_the_common_one() {
        let config = Config {
            access_token: Some("common".into()),
            tokens: [("100000000000002".to_owned(), "own".into())].into(),
            ..Config::default()
        };
        let token = |id: &str| config.token_of(id).map(|token| token.expose_secret().to_owned());
        assert_eq!(token("100000000000001").as_deref(), Some("common"));
        assert_eq!(token("100000000000002").as_deref(), Some("own"));
        assert!(Config { access_token: Some("".into()), ..Config::default() }.token_of("1").is_none());
    }
}
