//! Section `edge` of the configuration.

use std::time::Duration;

use chasqui_kit::config::{self, Problems, Section};
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// An HS256 key shorter than its hash is weaker than it looks (RFC 7518, section 3.2).
const JWT_SECRET_BYTES_MIN: usize = 32;

/// Interval and time-out of the heartbeat together must stay below the idle time-out of common proxies.
const HEARTBEAT_MS_MAX: u64 = 60_000;

/// The settings of the edge.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HS256 secret of front-end tokens, at least 32 bytes. No default.
    pub jwt_secret: Option<SecretString>,
    /// Whether a widget may name its `userPhone` without a signed token, as the original did. Anyone can then read
    /// anyone's replies. Default false.
    pub widget_anonymous: bool,
    /// Time between two heartbeats, milliseconds. Default 25,000.
    pub heartbeat_interval_ms: u64,
    /// How long a client may stay silent after a heartbeat, milliseconds. Default 20,000.
    pub heartbeat_timeout_ms: u64,
    /// How long a client may take to say who it is, milliseconds. Default 10,000.
    pub connect_wait_ms: u64,
    /// The most bytes queued for one socket. Default 1 MiB.
    pub outbox_bytes_max: usize,
    /// The most bytes of one frame from a client. Default 100,000.
    pub frame_bytes_max: usize,
    /// The most sockets of this node; more are refused with 503. Default 100,000.
    pub sockets_max: usize,
    /// The most events a reconnecting client is sent instead of being told to reload. Default 500.
    pub replay_events_max: u32,
    /// The most recent events a tenant's feed keeps to answer reconnecting clients by itself. Default 2,048.
    pub ring_events_max: usize,
    /// How long a feed that nobody reads stays subscribed, milliseconds. Default 10,000.
    pub linger_ms: u64,
    /// The origins of web pages that may connect; empty means all. Default empty.
    #[serde(deserialize_with = "config::list")]
    pub allowed_origins: Vec<String>,
    /// Time between two canaries, milliseconds; the node is not ready once three have not come back. Default 3,000.
    pub canary_interval_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            jwt_secret: None,
            widget_anonymous: false,
            heartbeat_interval_ms: 25_000,
            heartbeat_timeout_ms: 20_000,
            connect_wait_ms: 10_000,
            outbox_bytes_max: 1024 * 1024,
            frame_bytes_max: 100_000,
            sockets_max: 100_000,
            replay_events_max: 500,
            ring_events_max: 2_048,
            linger_ms: 10_000,
            allowed_origins: Vec::new(),
            canary_interval_ms: 3_000,
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "edge";

    fn check(&self, problems: &mut Problems) {
        let long_enough = |secret: &SecretString| secret.expose_secret().len() >= JWT_SECRET_BYTES_MIN;
        problems.require(
            self.jwt_secret.as_ref().is_some_and(long_enough),
            "edge.jwt_secret",
            format!("must be set, with at least {JWT_SECRET_BYTES_MIN} bytes"),
        );
        for (setting, value) in [
            ("edge.heartbeat_interval_ms", self.heartbeat_interval_ms),
            ("edge.heartbeat_timeout_ms", self.heartbeat_timeout_ms),
            ("edge.connect_wait_ms", self.connect_wait_ms),
            ("edge.canary_interval_ms", self.canary_interval_ms),
            ("edge.outbox_bytes_max", self.outbox_bytes_max as u64),
            ("edge.frame_bytes_max", self.frame_bytes_max as u64),
            ("edge.sockets_max", self.sockets_max as u64),
            ("edge.replay_events_max", u64::from(self.replay_events_max)),
            ("edge.ring_events_max", self.ring_events_max as u64),
        ] {
            problems.require(value > 0, setting, "must be at least 1");
        }
        problems.require(
            self.heartbeat_interval_ms.saturating_add(self.heartbeat_timeout_ms) < HEARTBEAT_MS_MAX,
            "edge.heartbeat_timeout_ms",
            "edge.heartbeat_interval_ms and edge.heartbeat_timeout_ms together must stay below 60,000: \
             proxies cut silent connections there",
        );
        for origin in &self.allowed_origins {
            let valid = origin.parse::<HeaderValue>().is_ok() && origin.contains("://");
            problems.require(
                valid,
                "edge.allowed_origins",
                format!("{origin:?} is no origin such as https://app.example.org"),
            );
        }
    }
}

impl Config {
    /// Time between two heartbeats.
    pub(crate) fn heartbeat_interval(&self) -> Duration {
        Duration::from_millis(self.heartbeat_interval_ms)
    }

    /// How long a client may stay silent after a heartbeat.
    pub(crate) fn heartbeat_timeout(&self) -> Duration {
        Duration::from_millis(self.heartbeat_timeout_ms)
    }

    /// How long a client may take to say who it is.
    pub(crate) fn connect_wait(&self) -> Duration {
        Duration::from_millis(self.connect_wait_ms)
    }
}
