//! Section `simulator`.

use chasqui_kit::config::{Problems, Section};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

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
    /// The Graph API's id of the number that contacts write to. Default `100000000000001`.
    pub phone_number_id: String,
    /// The first pause before a refused webhook is posted again, milliseconds; it doubles with each try. Default
    /// 1,000.
    pub retry_pause_ms: u64,
    /// Whether it plays linked devices too: WhatsApp sessions opened by scanning a QR. It then connects to NATS and
    /// stands in for the service that owns the numbers. Default false.
    pub linked_devices: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 3900,
            host: "127.0.0.1".to_owned(),
            webhook_url: "http://127.0.0.1:3001/webhooks/whatsapp".to_owned(),
            app_secret: None,
            phone_number_id: "100000000000001".to_owned(),
            retry_pause_ms: 1_000,
            linked_devices: false,
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
        problems.require(self.retry_pause_ms > 0, "simulator.retry_pause_ms", "must be at least 1");
    }
}
