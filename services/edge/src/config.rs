//! Section `edge` of the configuration.

mod connections;
mod tokens;

use std::time::Duration;

use chasqui_kit::config::{self, Problems, Section};
use http::HeaderValue;
use secrecy::SecretString;
use serde::Deserialize;

use crate::clients::device::DeviceTenants;
pub(crate) use connections::ConnectionPolicy;

/// Interval and time-out of the heartbeat together must stay below the idle time-out of common proxies.
const HEARTBEAT_MS_MAX: u64 = 60_000;

/// Draining and the last writes must end before the process is ended, 25 seconds after it was told to stop.
const DRAIN_MS_MAX: u64 = 14_000;

/// What becomes of a user whose token is valid and whom the directory does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownUsers {
    /// It is entered into the directory and let in.
    #[default]
    Provision,
    /// It is not let in.
    Refuse,
}

/// The settings of the edge.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HS256 secret of front-end tokens, at least 32 bytes. No default; one of this, `jwt_public_key`,
    /// `jwt_public_keys` and `jwks_url` must be set.
    pub jwt_secret: Option<SecretString>,
    /// A public key that tokens are signed for: PEM text, or a file of it. RSA (RS256, RS384, RS512, PS256, PS384,
    /// PS512), EC (ES256, ES384) or Ed25519 (`EdDSA`). No default.
    pub jwt_public_key: Option<String>,
    /// Further public keys. Default none.
    #[serde(deserialize_with = "config::list")]
    pub jwt_public_keys: Vec<String>,
    /// Where the issuer publishes its keys (JWKS): `https://…`. No default.
    pub jwks_url: Option<String>,
    /// Hosts whose keys may be fetched without TLS, for local work. Default none.
    #[serde(deserialize_with = "config::list")]
    pub jwks_plain_hosts: Vec<String>,
    /// What the claim `iss` of every token must be. Default: whatever it is.
    pub jwt_issuer: Option<String>,
    /// What the claim `aud` of every token must contain. Default: whatever it is.
    pub jwt_audience: Option<String>,
    /// How long before its token ends an open connection is warned, milliseconds. Default 60,000.
    pub token_warning_ms: u64,
    /// How long after its token ended an open connection may bring another, milliseconds. Default 25,000.
    pub token_grace_ms: u64,
    /// What becomes of a user whose token is valid and whom the directory does not know: `provision` or `refuse`.
    /// Default `provision`.
    pub unknown_users: UnknownUsers,
    /// Whether every user of a tenant is staff: sees all of its conversations in dialect `crm`, over REST and SSE.
    /// Default false: staff are active agents, and users whose token says `role: "staff"` or `"admin"`.
    pub users_are_staff: bool,
    /// Which tenant the users of devices (`join`, `/api/whatsapp/…`) belong to when their token names none: `user`, each
    /// its own, or `shared`, the default one. Default `user`.
    pub device_tenants: DeviceTenants,
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
    /// The most frames a connection may send a second, after a burst of twice as many. Default 50.
    pub frames_per_second_max: u32,
    /// The most frames all connections of a tenant may send a second to this node, after a burst of twice as many.
    /// Default 5,000.
    pub tenant_frames_per_second_max: u32,
    /// The most connections that may be opened a second, after a burst of five times as many; more are answered 503.
    /// Default 2,000.
    pub handshakes_per_second_max: u32,
    /// Whether JSON WebSockets compress what they send to clients that can inflate it (permessage-deflate). Default
    /// false.
    pub compression: bool,
    /// Over how long the sockets are closed when the node stops, milliseconds, at most 14,000. Default 10,000.
    pub drain_ms: u64,
    /// The most sockets of this node; more are refused with 503. Default 100,000.
    pub sockets_max: usize,
    /// The most connections one person may have in the whole cluster; 0 means any number. Default 5.
    pub user_connections_max: usize,
    /// What becomes of a connection too many: `evict_oldest` closes the person's oldest one, `refuse_new` the new one.
    /// Default `evict_oldest`.
    pub user_connections_policy: ConnectionPolicy,
    /// The most events a reconnecting client is sent instead of being told to reload. Default 1,000.
    pub replay_events_max: u32,
    /// The most recent events a tenant's feed keeps to answer reconnecting clients by itself. Default 2,048.
    pub ring_events_max: usize,
    /// How long a feed that nobody reads stays subscribed, milliseconds. Default 10,000.
    pub linger_ms: u64,
    /// How many contacts of a tenant have broker subscriptions of their own on a node without staff of that tenant; with
    /// more, the node listens to all of the tenant and the further ones share that. Default 64.
    pub contact_subscriptions_max: usize,
    /// The origins of web pages that may connect; empty means all. Default empty.
    #[serde(deserialize_with = "config::list")]
    pub allowed_origins: Vec<String>,
    /// Time between two canaries, milliseconds; the node is not ready once three have not come back. Default 3,000.
    pub canary_interval_ms: u64,
    /// Where files are kept and how their addresses are signed: section `media`.
    #[serde(skip)]
    pub media: chasqui_media::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            jwt_secret: None,
            jwt_public_key: None,
            jwt_public_keys: Vec::new(),
            jwks_url: None,
            jwks_plain_hosts: Vec::new(),
            jwt_issuer: None,
            jwt_audience: None,
            token_warning_ms: 60_000,
            token_grace_ms: 25_000,
            unknown_users: UnknownUsers::Provision,
            users_are_staff: false,
            device_tenants: DeviceTenants::default(),
            widget_anonymous: false,
            heartbeat_interval_ms: 25_000,
            heartbeat_timeout_ms: 20_000,
            connect_wait_ms: 10_000,
            outbox_bytes_max: 1024 * 1024,
            frame_bytes_max: 100_000,
            frames_per_second_max: 50,
            tenant_frames_per_second_max: 5_000,
            handshakes_per_second_max: 2_000,
            compression: false,
            drain_ms: 10_000,
            sockets_max: 100_000,
            user_connections_max: 5,
            user_connections_policy: ConnectionPolicy::default(),
            replay_events_max: 1_000,
            ring_events_max: 2_048,
            linger_ms: 10_000,
            contact_subscriptions_max: 64,
            allowed_origins: Vec::new(),
            canary_interval_ms: 3_000,
            media: chasqui_media::Config::default(),
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "edge";

    fn check(&self, problems: &mut Problems) {
        self.check_tokens(problems);
        self.check_connections(problems);
        for (setting, value) in [
            ("edge.heartbeat_interval_ms", self.heartbeat_interval_ms),
            ("edge.heartbeat_timeout_ms", self.heartbeat_timeout_ms),
            ("edge.connect_wait_ms", self.connect_wait_ms),
            ("edge.canary_interval_ms", self.canary_interval_ms),
            ("edge.outbox_bytes_max", self.outbox_bytes_max as u64),
            ("edge.frame_bytes_max", self.frame_bytes_max as u64),
            ("edge.frames_per_second_max", u64::from(self.frames_per_second_max)),
            ("edge.tenant_frames_per_second_max", u64::from(self.tenant_frames_per_second_max)),
            ("edge.handshakes_per_second_max", u64::from(self.handshakes_per_second_max)),
            ("edge.drain_ms", self.drain_ms),
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
        problems.require(
            self.drain_ms <= DRAIN_MS_MAX,
            "edge.drain_ms",
            format!(
                "must be at most {DRAIN_MS_MAX}: the process is ended 25 seconds after it was told to stop"
            ),
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

    /// Over how long the sockets are closed when the node stops.
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }

    /// How long a client may take to say who it is.
    pub(crate) fn connect_wait(&self) -> Duration {
        Duration::from_millis(self.connect_wait_ms)
    }
}
