//! What can be set about an Engine.IO server, with the defaults of the Node.js implementation where it has one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

use super::peers::Peers;

/// The bounds and intervals of a server.
#[derive(Clone)]
pub struct Settings {
    /// Where the router answers. Default `/socket.io/`.
    pub path: &'static str,
    /// Time between a pong and the next ping. Default 25 s.
    pub ping_interval: Duration,
    /// Time a client has to answer a ping. Default 20 s. Interval and timeout together should stay below the idle
    /// timeout of the proxies in front (60 s).
    pub ping_timeout: Duration,
    /// The most bytes a client may send at once: one WebSocket message or one polling body. Default 100,000.
    pub max_payload_bytes: usize,
    /// Time a client has to say who it is inside its session. Default 45 s.
    pub connect_timeout: Duration,
    /// The most bytes queued for one session. Default 256 KiB.
    pub outbox_bytes_max: usize,
    /// The most sessions at a time, and the most WebSockets lent to sessions of other nodes; more are answered 503.
    /// Default 100,000.
    pub sessions_max: usize,
    /// How many packets a second a client may send of what it speaks inside its session, a packet together with its
    /// attachments; twice as many may come at once. More are refused, and whoever goes on is closed. Default 50.
    pub frames_per_second_max: u32,
    /// Time one write to a socket, or the arrival of one request body, may take. Default 10 s.
    pub write_timeout: Duration,
    /// Time an upgrade from polling to WebSocket may take. Default 10 s.
    pub upgrade_timeout: Duration,
    /// Which web pages may use the polling transport. Default: all.
    pub origins: Origins,
    /// The other nodes that a client's requests may land on. Default: none.
    pub peers: Option<Arc<dyn Peers>>,
}

/// Whose web pages may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Everyone's; without credentials.
    Any,
    /// Only these (`https://app.example.org`); with credentials.
    Only(Vec<HeaderValue>),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: "/socket.io/",
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            max_payload_bytes: 100_000,
            connect_timeout: Duration::from_secs(45),
            outbox_bytes_max: 256 * 1024,
            sessions_max: 100_000,
            frames_per_second_max: 50,
            write_timeout: Duration::from_secs(10),
            upgrade_timeout: Duration::from_secs(10),
            origins: Origins::Any,
            peers: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("path", &self.path)
            .field("ping_interval", &self.ping_interval)
            .field("ping_timeout", &self.ping_timeout)
            .field("max_payload_bytes", &self.max_payload_bytes)
            .field("outbox_bytes_max", &self.outbox_bytes_max)
            .field("sessions_max", &self.sessions_max)
            .field("frames_per_second_max", &self.frames_per_second_max)
            .field("origins", &self.origins)
            .finish_non_exhaustive()
    }
}

/// 120 random bits as 20 characters that are safe in a URL.
pub fn random_id() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 15]>())
}
