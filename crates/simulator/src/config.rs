//! Section `simulator`.

use chasqui_kit::config::{Problems, Section};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::graph::GraphConfig;

/// The longest that a QR can be scanned, milliseconds: what a front end may show without asking again.
const QR_LIFETIME_MS_MAX: u64 = 3 * 60 * 1_000;

/// Section `simulator`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The port. Default 3900.
    pub port: u16,
    /// The address it is bound to. Default `127.0.0.1`: whoever reaches it can speak as any contact.
    pub host: String,
    /// Where webhooks are posted. Default `http://127.0.0.1:3001/webhooks/whatsapp`.
    pub webhook_url: String,
    /// The secret webhooks are signed with: the ingest's `ingest.app_secret`. Default none; needed.
    pub app_secret: Option<SecretString>,
    /// The Graph API's id of the number that contacts write to when they name none. Default `100000000000001`. The Graph
    /// API takes messages of every number.
    pub phone_number_id: String,
    /// What businesses must carry to the Graph API (`Authorization: Bearer …`). Default `local-access-token`.
    pub access_token: SecretString,
    /// What requests to the language model must carry (`Authorization: Bearer …`). Default `local-openai-key`.
    pub openai_api_key: SecretString,
    /// The first pause before a refused webhook is posted again, milliseconds; it doubles with each try. Default
    /// 1,000.
    pub retry_pause_ms: u64,
    /// Whether it plays linked devices too: it then connects to NATS as the connector of sessions that are opened by
    /// scanning a QR. Default false.
    pub linked_devices: bool,
    /// How long a QR can be scanned, milliseconds; then the next is shown. At most and by default 180,000.
    pub qr_lifetime_ms: u64,
    /// How the Graph API behaves: `simulator.graph.…`.
    pub graph: GraphConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 3900,
            host: "127.0.0.1".to_owned(),
            webhook_url: "http://127.0.0.1:3001/webhooks/whatsapp".to_owned(),
            app_secret: None,
            phone_number_id: "100000000000001".to_owned(),
            access_token: "local-access-token".into(),
            openai_api_key: "local-openai-key".into(),
            retry_pause_ms: 1_000,
            linked_devices: false,
            qr_lifetime_ms: QR_LIFETIME_MS_MAX,
            graph: GraphConfig::default(),
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "simulator";

    fn check(&self, problems: &mut Problems) {
        problems.require(
            self.host.parse::<std::net::IpAddr>().is_ok(),
            "simulator.host",
            "must be an IP address",
        );
        problems.require(
            reqwest::Url::parse(&self.webhook_url).is_ok(),
            "simulator.webhook_url",
            "must be a URL",
        );
        problems.require(
            self.app_secret.as_ref().is_some_and(|secret| !secret.expose_secret().is_empty()),
            "simulator.app_secret",
            "is needed: the one ingest.app_secret has",
        );
        problems.require(!self.phone_number_id.is_empty(), "simulator.phone_number_id", "must not be empty");
        for (setting, secret) in
            [("access_token", &self.access_token), ("openai_api_key", &self.openai_api_key)]
        {
            let is_there = !secret.expose_secret().is_empty();
            problems.require(is_there, &format!("simulator.{setting}"), "must not be empty");
        }
        problems.require(
            (1..=QR_LIFETIME_MS_MAX).contains(&self.qr_lifetime_ms),
            "simulator.qr_lifetime_ms",
            format!("must be 1 to {QR_LIFETIME_MS_MAX}"),
        );
        self.graph.check(problems);
        problems.require(self.retry_pause_ms > 0, "simulator.retry_pause_ms", "must be at least 1");
    }
}

#[cfg(test)]
mod tests {
    use chasqui_kit::config::Settings;

    use super::*;
    use crate::{Told, Window};

    fn read(variables: &[(&str, &str)]) -> (Config, Problems) {
        let owned = |(key, value): &(&str, &str)| (format!("CHASQUI__SIMULATOR__{key}"), (*value).to_owned());
        let variables = variables.iter().map(owned).collect();
        let (mut settings, mut problems) = (Settings::read(None, variables).unwrap(), Problems::default());
        (settings.take(&mut problems), problems)
    }

    #[test]
    fn the_graph_api_is_configured_by_variables_too() {
        let (config, problems) = read(&[
            ("APP_SECRET", "x"),
            ("ACCESS_TOKEN", "y"),
            ("GRAPH__WINDOW", "off"),
            ("GRAPH__STATUSES", "sent,delivered"),
            ("GRAPH__MESSAGES_PER_SECOND_MAX", "1000"),
            ("GRAPH__UNORDERED", "true"),
        ]);
        assert!(problems.is_empty(), "{problems}");
        assert_eq!((config.graph.window, config.graph.messages_per_second_max), (Window::Off, 1_000));
        assert_eq!(
            (config.graph.statuses, config.graph.unordered),
            (vec![Told::Sent, Told::Delivered], true)
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let (_, problems) = read(&[
            ("APP_SECRET", "x"),
            ("ACCESS_TOKEN", ""),
            ("OPENAI_API_KEY", ""),
            ("QR_LIFETIME_MS", "180001"),
            ("GRAPH__PAIR_PAUSE_MS", "0"),
            ("GRAPH__READ_AFTER_MS", "3600001"),
        ]);
        for setting in
            ["access_token", "openai_api_key", "qr_lifetime_ms", "graph.pair_pause_ms", "graph.read_after_ms"]
        {
            assert!(
                problems.to_string().contains(&format!("simulator.{setting}: ")),
                "{setting}: {problems}"
            );
        }
    }
}
