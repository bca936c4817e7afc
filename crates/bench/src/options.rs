//! What is measured, and where.

use anyhow::ensure;
use chasqui_kit::bus::NatsConfig;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    address::Address,
    api,
    campaign::{RATE_MAX, RECIPIENTS_MAX},
    credential::Credential,
    letter::Entrance,
    plan::MESSAGES_MAX,
    sending::CAMPAIGN_MAX,
    socket::Dialect,
};

/// Phone numbers that belong to nobody: 5491100000001 to 5491100099999.
pub(crate) const PHONES_MAX: u32 = 99_999;
/// The most messages a client may miss: an edge replays 500, unless it is told otherwise.
const MISSED_MAX: u32 = 10_000;
/// The most listeners: a tenant may have no more.
const LISTENERS_MAX: u32 = 2_000;
/// The longest reason for an appointment that the flow takes.
const REASON_BYTES_MAX: usize = 500;
/// The most connections that send at once.
const CONNECTIONS_MAX: u32 = 4_096;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Open loop: messages are sent at fixed times, and their latency is measured.
    Latency {
        /// Messages a second.
        rate_per_s: u32,
        /// For how long, seconds.
        seconds: u32,
    },
    /// Closed loop: every connection sends as soon as it was answered; the most that goes through is measured.
    Throughput {
        /// For how long, seconds.
        seconds: u32,
    },
    /// Nothing is sent: the memory of sockets that only stand open is measured, on the first edge.
    Idle {
        /// How many sockets.
        sockets: u32,
        /// The edge's process; found by its port where not given, which needs it to be on this machine.
        process: Option<u32>,
    },
    /// Staff sockets of one tenant, and every message goes to each of them.
    FanOut {
        /// How many sockets, spread over the edges.
        sockets: u32,
        /// Messages a second; as many as go through where not given.
        rate_per_s: Option<u32>,
        /// For how long, seconds.
        seconds: u32,
    },
    /// Clients leave, miss messages, and come back with their cursor.
    Resume {
        /// How many clients.
        clients: u32,
        /// How many messages each misses.
        missed: u32,
        /// How many come back at once.
        at_once: u32,
    },
    /// All clients are cut at once while messages flow, and come back with their cursors.
    Storm {
        /// How many clients.
        clients: u32,
        /// Messages a second.
        rate_per_s: u32,
        /// For how long, seconds; the cut is in the middle.
        seconds: u32,
    },
    /// A campaign through one WhatsApp number, replies meanwhile, and a burst to one contact, seen at the simulator.
    Sending {
        /// What the number may send a second.
        rate_per_s: u32,
        /// How long the campaign takes at that rate, seconds.
        seconds: u32,
        /// How long the one contact is watched, seconds; its 46th message is due after 270.
        pair_seconds: u32,
    },
    /// Messages of contacts go to many HTTP listeners, of which some hang and some fail.
    Listeners {
        /// How many there are in all.
        listeners: u32,
        /// How many of them never answer.
        hanging: u32,
        /// How many of them answer 500.
        failing: u32,
        /// Messages a second.
        rate_per_s: u32,
        /// For how long after the warm-up, seconds.
        seconds: u32,
    },
    /// Contacts write what the built-in bot answers, each its next message when the one before was answered.
    Answers {
        /// Messages a second.
        rate_per_s: u32,
        /// For how long after the warm-up, seconds.
        seconds: u32,
    },
    /// A campaign of the deployment's own, from its file of recipients to its end.
    Campaign {
        /// How many recipients.
        recipients: u32,
        /// Messages a second; as fast as its number sends where not given.
        rate_per_s: Option<u32>,
    },
}

impl Mode {
    /// For how long messages are sent, where that is given.
    fn seconds(self) -> Option<u32> {
        match self {
            Self::Latency { seconds, .. }
            | Self::Throughput { seconds }
            | Self::FanOut { seconds, .. }
            | Self::Storm { seconds, .. } => Some(seconds),
            Self::Idle { .. }
            | Self::Resume { .. }
            | Self::Sending { .. }
            | Self::Listeners { .. }
            | Self::Answers { .. }
            | Self::Campaign { .. } => None,
        }
    }

    /// At what rate, where that is given.
    fn rate_per_s(self) -> Option<u32> {
        match self {
            Self::Latency { rate_per_s, .. }
            | Self::Storm { rate_per_s, .. }
            | Self::Sending { rate_per_s, .. }
            | Self::Listeners { rate_per_s, .. }
            | Self::Answers { rate_per_s, .. } => Some(rate_per_s),
            Self::FanOut { rate_per_s, .. } | Self::Campaign { rate_per_s, .. } => rate_per_s,
            Self::Throughput { .. } | Self::Idle { .. } | Self::Resume { .. } => None,
        }
    }
}

/// A running deployment, and what to measure of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is measured.
    pub mode: Mode,
    /// Base address of the ingest. Default `http://127.0.0.1:3001`.
    pub ingest: String,
    /// Base addresses of the edges whose sockets listen: other processes than the ingest, or the path is shorter than it
    /// looks. Default `http://127.0.0.1:3002`.
    pub edges: Vec<String>,
    /// Base address of the simulator, where a number's messages arrive. Default `http://127.0.0.1:3900`.
    pub simulator: String,
    /// The API key by which messages are handed in and listeners registered. Default none; needed for those modes.
    pub api_key: Option<SecretString>,
    /// The deployment's broker, for the floor. The user needs the stream `BENCH`, which is removed afterwards.
    pub nats: NatsConfig,
    /// Where messages enter.
    pub entrance: Entrance,
    /// Which sockets listen. Widgets hear only what enters as a bot's reply.
    pub dialect: Dialect,
    /// What lets the sockets in.
    pub credential: Credential,
    /// Staff sockets on each edge; widgets are one for each conversation, spread over the edges. Default 1.
    pub sockets_per_edge: u32,
    /// HTTP connections, each with one request in flight. Default 32.
    pub connections: u32,
    /// Conversations the messages are spread over, rounded up to a multiple of the connections. Default 64.
    pub conversations: u32,
    /// Length of each text, bytes. Default 120.
    pub text_bytes: usize,
    /// How long the first messages are left out of the quantiles, seconds. Default 1.
    pub warmup_seconds: u32,
    /// How long messages that are still on their way to the sockets are waited for, seconds; and again to the history.
    /// Default 15.
    pub stragglers_seconds: u32,
    /// Whether every acknowledged message is looked for in the history afterwards, through the first edge. Default false.
    pub verify_stored: bool,
    /// Names and process ids of the deployment's processes, for their CPU time; a child counts for the nearest of its
    /// ancestors that is named. Where none is named, every process of
    /// this machine that is called `chasqui`, `nats-server` or `postgres` counts.
    pub processes: Vec<(String, u32)>,
}

impl Options {
    /// The defaults, with what has none.
    pub fn new(mode: Mode, entrance: Entrance, credential: Credential) -> Self {
        Self {
            mode,
            ingest: "http://127.0.0.1:3001".to_owned(),
            edges: vec!["http://127.0.0.1:3002".to_owned()],
            simulator: "http://127.0.0.1:3900".to_owned(),
            api_key: None,
            nats: NatsConfig::default(),
            entrance,
            dialect: Dialect::Crm,
            credential,
            sockets_per_edge: 1,
            connections: 32,
            conversations: 64,
            text_bytes: 120,
            warmup_seconds: 1,
            stragglers_seconds: 15,
            verify_stored: false,
            processes: Vec::new(),
        }
    }

    /// Refuses what cannot be measured.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.edges.is_empty(), "no edge is named");
        ensure!((1..=CONNECTIONS_MAX).contains(&self.connections), "connections: 1 to {CONNECTIONS_MAX}");
        let conversations = self.conversations.next_multiple_of(self.connections);
        ensure!((1..=PHONES_MAX).contains(&conversations), "conversations: 1 to {PHONES_MAX}");
        ensure!(self.text_bytes <= 4_000, "text_bytes: at most 4000, as WhatsApp");
        if let Entrance::BotReply { api_key } = &self.entrance {
            ensure!(
                api_key.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()),
                "the API key cannot stand in a header"
            );
        }
        match self.mode {
            Mode::Idle { sockets, .. } => {
                ensure!((1..=PHONES_MAX).contains(&sockets), "sockets: 1 to {PHONES_MAX}");
                return Ok(());
            }
            Mode::FanOut { sockets, .. } => {
                ensure!((1..=PHONES_MAX).contains(&sockets), "sockets: 1 to {PHONES_MAX}");
                ensure!(self.dialect == Dialect::Crm, "fan-out is measured at staff sockets");
            }
            Mode::Resume { clients, missed, at_once } => {
                ensure!((1..=PHONES_MAX).contains(&clients), "clients: 1 to {PHONES_MAX}");
                ensure!((1..=MISSED_MAX).contains(&missed), "missed: 1 to {MISSED_MAX}");
                ensure!(at_once > 0, "at_once: at least 1");
            }
            Mode::Storm { clients, .. } => {
                ensure!((1..=PHONES_MAX).contains(&clients), "clients: 1 to {PHONES_MAX}");
            }
            Mode::Sending { rate_per_s, seconds, .. } => {
                let messages = rate_per_s.saturating_mul(seconds);
                ensure!(
                    (1..=CAMPAIGN_MAX).contains(&messages),
                    "messages of the campaign: 1 to {CAMPAIGN_MAX}"
                );
                api::needed(self.api_key.as_ref())?;
            }
            Mode::Listeners { listeners, hanging, failing, rate_per_s, seconds } => {
                ensure!((1..=LISTENERS_MAX).contains(&listeners), "listeners: 1 to {LISTENERS_MAX}");
                let bad = hanging.saturating_add(failing);
                ensure!(bad < listeners, "hanging and failing: fewer than there are listeners");
                ensure!(rate_per_s > 0 && seconds > 0, "rate and seconds: at least 1");
                ensure!(matches!(self.entrance, Entrance::Webhook { .. }), "contacts write by the webhook");
                api::needed(self.api_key.as_ref())?;
            }
            Mode::Answers { rate_per_s, seconds } => {
                ensure!(rate_per_s > 0 && seconds > 0, "rate and seconds: at least 1");
                let messages = rate_per_s.saturating_mul(seconds.saturating_add(self.warmup_seconds));
                ensure!(messages <= MESSAGES_MAX, "messages of a run: at most {MESSAGES_MAX}");
                ensure!(
                    self.text_bytes <= REASON_BYTES_MAX,
                    "text_bytes: at most {REASON_BYTES_MAX}, as the flow takes"
                );
                ensure!(self.conversations > 1, "conversations: at least 2, one that walks through the flow");
                ensure!(matches!(self.entrance, Entrance::Webhook { .. }), "contacts write by the webhook");
            }
            Mode::Campaign { recipients, rate_per_s } => {
                ensure!((1..=RECIPIENTS_MAX).contains(&recipients), "recipients: 1 to {RECIPIENTS_MAX}");
                ensure!(rate_per_s.is_none_or(|rate| rate <= RATE_MAX), "rate: at most {RATE_MAX} a second");
                api::needed(self.api_key.as_ref())?;
            }
            Mode::Latency { .. } | Mode::Throughput { .. } => {}
        }
        ensure!(
            self.dialect == Dialect::Crm || matches!(self.entrance, Entrance::BotReply { .. }),
            "widgets hear only replies: use the bot-reply entrance"
        );
        if let Some(seconds) = self.mode.seconds() {
            ensure!(self.warmup_seconds < seconds, "the run must be longer than its warm-up");
        }
        ensure!(self.mode.rate_per_s() != Some(0), "the rate must be at least 1 a second");
        Ok(())
    }

    /// The edges' addresses.
    pub(crate) fn edge_addresses(&self) -> anyhow::Result<Vec<Address>> {
        self.edges.iter().map(|url| Address::parse(url)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        let entrance = Entrance::Webhook { app_secret: "secret".into() };
        let mode = Mode::Latency { rate_per_s: 500, seconds: 10 };
        Options::new(mode, entrance, Credential::Token("token".into()))
    }

    const ANSWERS: Mode = Mode::Answers { rate_per_s: 300, seconds: 20 };

    #[test]
    fn what_cannot_be_measured_is_refused_before_anything_is_sent() {
        assert!(options().check().is_ok() && Options { mode: ANSWERS, ..options() }.check().is_ok());
        let reply = Entrance::BotReply { api_key: "key".into() };
        assert!(Options { dialect: Dialect::Widget, entrance: reply, ..options() }.check().is_ok());
        for wrong in [
            Options { dialect: Dialect::Widget, ..options() },
            Options { edges: Vec::new(), ..options() },
            Options { connections: 0, ..options() },
            Options { conversations: 99_999, ..options() },
            Options { warmup_seconds: 10, ..options() },
            Options { mode: Mode::Latency { rate_per_s: 0, seconds: 10 }, ..options() },
            Options { mode: Mode::Idle { sockets: 0, process: None }, ..options() },
            Options { mode: Mode::Resume { clients: 1, missed: 0, at_once: 1 }, ..options() },
            Options { mode: Mode::Storm { clients: 1, rate_per_s: 0, seconds: 10 }, ..options() },
            Options { mode: Mode::FanOut { sockets: 1, rate_per_s: None, seconds: 1 }, ..options() },
            Options { entrance: Entrance::BotReply { api_key: "a\nb".into() }, ..options() },
            Options { mode: Mode::Answers { rate_per_s: 300, seconds: 0 }, ..options() },
            Options { mode: Mode::Answers { rate_per_s: 300, seconds: u32::MAX }, ..options() },
            Options { mode: Mode::Campaign { recipients: 10, rate_per_s: None }, ..options() },
            Options { mode: ANSWERS, conversations: 1, ..options() },
            Options { mode: ANSWERS, text_bytes: 501, ..options() },
            Options { mode: ANSWERS, entrance: Entrance::BotReply { api_key: "key".into() }, ..options() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
