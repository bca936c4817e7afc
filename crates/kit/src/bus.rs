//! The connection to NATS.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, Event,
    connection::State,
    jetstream::{self, context::ContextBuilder},
};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::watch;

use crate::{
    config::{Problems, Section},
    error::{Code, Coded},
};

/// How many messages a subscription holds that nobody has taken yet. Past it messages are dropped, which the readers
/// find and mend; see `Bus::disruptions`.
const SUBSCRIPTION_CAPACITY: usize = 16_384;

/// The first pause before connecting again; it doubles with each attempt.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause before connecting again.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(4);

/// Section `nats`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NatsConfig {
    /// Servers, separated by commas. Default `nats://127.0.0.1:4222`.
    pub url: String,
    /// User, where the servers want one.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<SecretString>,
    /// A credentials file (JWT and seed) instead of user and password.
    pub credentials_file: Option<String>,
    /// How many servers keep a copy of each stream: 1, 3 or 5. Default 1.
    pub replicas: usize,
    /// The most bytes a stream may keep; the oldest messages go first. Default 10 GiB.
    pub stream_bytes_max: i64,
    /// How long a publisher waits for the stream's acknowledgement, milliseconds. Default 2,000.
    pub ack_wait_ms: u64,
    /// How many published messages may wait for their acknowledgement at once. Default 4,096.
    pub in_flight_max: usize,
    /// How long a request waits for its answer, milliseconds. Default 5,000.
    pub request_wait_ms: u64,
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".to_owned(),
            user: None,
            password: None,
            credentials_file: None,
            replicas: 1,
            stream_bytes_max: 10 * 1024 * 1024 * 1024,
            ack_wait_ms: 2_000,
            in_flight_max: 4_096,
            request_wait_ms: 5_000,
        }
    }
}

impl Section for NatsConfig {
    const NAME: &'static str = "nats";

    fn check(&self, problems: &mut Problems) {
        if let Err(error) = self.servers() {
            problems.add("nats.url", error);
        }
        problems.require(matches!(self.replicas, 1 | 3 | 5), "nats.replicas", "must be 1, 3 or 5");
        problems.require(self.stream_bytes_max > 0, "nats.stream_bytes_max", "must be at least 1");
        problems.require(self.ack_wait_ms > 0, "nats.ack_wait_ms", "must be at least 1");
        problems.require(self.in_flight_max > 0, "nats.in_flight_max", "must be at least 1");
        problems.require(self.request_wait_ms > 0, "nats.request_wait_ms", "must be at least 1");
        problems.require(
            self.user.is_some() == self.password.is_some(),
            "nats.user",
            "nats.user and nats.password go together",
        );
        problems.require(
            self.user.is_none() || self.credentials_file.is_none(),
            "nats.credentials_file",
            "give either nats.user or nats.credentials_file, not both",
        );
    }
}

impl NatsConfig {
    fn servers(&self) -> Result<Vec<async_nats::ServerAddr>, std::io::Error> {
        self.url.split(',').map(|url| url.trim().parse()).collect()
    }
}

/// A connection that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The servers refused, or none could be reached.
    #[error("cannot connect to NATS at {url}: {cause}")]
    Connect {
        /// The servers, without credentials.
        url: String,
        /// What the client said.
        cause: String,
    },
    /// The credentials file cannot be read.
    #[error("cannot read nats.credentials_file: {0}")]
    Credentials(#[from] std::io::Error),
}

impl Coded for ConnectError {
    fn code(&self) -> Code {
        Code::Unavailable
    }
}

/// One service's connection to NATS, cheap to clone.
#[derive(Clone, Debug)]
pub struct Bus {
    client: Client,
    jetstream: jetstream::Context,
    config: Arc<NatsConfig>,
    disruptions: watch::Receiver<u64>,
}

impl Bus {
    /// Connects as `name` (shown by `nats server report connections`). Once made, the connection is kept for ever:
    /// it comes back by itself, with a jittered pause.
    pub async fn connect(name: &str, config: &NatsConfig) -> Result<Self, ConnectError> {
        let (told, disruptions) = watch::channel(0);
        let refused = |cause: &dyn std::fmt::Display| ConnectError::Connect {
            url: without_credentials(&config.url),
            cause: cause.to_string(),
        };
        let servers = config.servers().map_err(|error| refused(&error))?;
        let client =
            options(name, config, told).await?.connect(servers).await.map_err(|error| refused(&error))?;
        let wait = Duration::from_millis(config.ack_wait_ms);
        let jetstream = ContextBuilder::new()
            .timeout(Duration::from_millis(config.request_wait_ms))
            .ack_timeout(wait)
            .max_ack_inflight(config.in_flight_max)
            .build(client.clone());
        Ok(Self { client, jetstream, config: Arc::new(config.clone()), disruptions })
    }

    /// The client, for subscriptions.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// JetStream over the same connection.
    pub fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// The settings it was connected with.
    pub fn config(&self) -> &NatsConfig {
        &self.config
    }

    /// Whether the connection stands right now.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Counts the moments in which subscriptions may have missed something: connections lost and subscriptions that
    /// overflowed. The client drops silently in both; who must not miss anything reads again when this grows.
    pub fn disruptions(&self) -> watch::Receiver<u64> {
        self.disruptions.clone()
    }

    /// Returns once the server has seen everything this connection sent before, subscriptions among it. `flush` is no
    /// such barrier: it does not wait for the server. A request is one, even to nobody.
    pub async fn barrier(&self) -> Result<(), BarrierError> {
        use async_nats::client::RequestErrorKind;
        let nobody = format!("{}.barrier", self.client.new_inbox());
        match self.client.request(nobody, bytes::Bytes::new()).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(()),
            Err(error) => Err(BarrierError(error.to_string())),
        }
    }
}

/// The server did not confirm what was sent.
#[derive(Debug, thiserror::Error)]
#[error("NATS did not confirm: {0}")]
pub struct BarrierError(String);

impl Coded for BarrierError {
    fn code(&self) -> Code {
        Code::Unavailable
    }
}

async fn options(
    name: &str,
    config: &NatsConfig,
    told: watch::Sender<u64>,
) -> Result<ConnectOptions, std::io::Error> {
    let mut options = ConnectOptions::new();
    if let (Some(user), Some(password)) = (&config.user, &config.password) {
        options = options.user_and_password(user.clone(), password.expose_secret().to_owned());
        // Each user reads answers under a prefix of its own, so that no service can read another's.
        options = options.custom_inbox_prefix(format!("_INBOX_{user}"));
    }
    if let Some(file) = &config.credentials_file {
        options = options.credentials(&tokio::fs::read_to_string(file).await?)?;
    }
    let overflowed = Arc::new(AtomicU64::new(0));
    Ok(options
        .name(name)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .request_timeout(Some(Duration::from_millis(config.request_wait_ms)))
        .reconnect_delay_callback(reconnect_pause)
        .event_callback(move |event| {
            observe(&event, &told, &overflowed);
            async {}
        }))
}

fn reconnect_pause(attempt: usize) -> Duration {
    let doubled = RECONNECT_PAUSE_MIN.saturating_mul(1 << attempt.min(7));
    // A broker that restarts must not meet all its clients in the same millisecond.
    doubled.min(RECONNECT_PAUSE_MAX).mul_f64(rand::rng().random_range(0.5..1.0))
}

fn observe(event: &Event, told: &watch::Sender<u64>, overflowed: &AtomicU64) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => {
            metrics::counter!("chasqui_nats_disconnections_total").increment(1);
            tracing::warn!("the connection to NATS was lost; connecting again");
            told.send_modify(|count| *count += 1);
        }
        Event::SlowConsumer(subscription) => {
            metrics::counter!("chasqui_nats_overflowed_messages_total").increment(1);
            // One line a thousand drops: the event comes once a message.
            if overflowed.fetch_add(1, Ordering::Relaxed).is_multiple_of(1_000) {
                tracing::warn!(subscription, "a subscription overflowed; its readers will read again");
            }
            told.send_modify(|count| *count += 1);
        }
        Event::LameDuckMode => tracing::info!("the NATS server is about to stop; moving to another"),
        Event::ServerError(error) => tracing::error!(%error, "the NATS server refused something"),
        Event::ClientError(error) => tracing::warn!(%error, "the NATS client failed"),
        Event::Draining | Event::Closed => {}
    }
}

fn without_credentials(url: &str) -> String {
    let server = |server: &str| match server.rsplit_once('@') {
        Some((_, host)) => format!("nats://{host}"),
        None => server.trim().to_owned(),
    };
    url.split(',').map(server).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_never_stand_in_an_error() {
        assert_eq!(without_credentials("nats://u:p@a:4222, nats://b:4222"), "nats://a:4222,nats://b:4222");
    }

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        assert!((0..100).all(|attempt| reconnect_pause(attempt) <= RECONNECT_PAUSE_MAX));
        assert!(reconnect_pause(20) >= RECONNECT_PAUSE_MAX / 2);
        let pauses: std::collections::HashSet<Duration> = (0..8).map(|_| reconnect_pause(20)).collect();
        assert!(pauses.len() > 1);
    }
}
