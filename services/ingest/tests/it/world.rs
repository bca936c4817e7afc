use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use async_nats::jetstream;
use chasqui_ingest::{Config, Error};
use chasqui_kit::{
    Bus, Platform,
    bus::NatsConfig,
    door::{Door, HttpConfig},
    health::Health,
    telemetry::Metrics,
};
use chasqui_proto::{header, stream, subject::NodeToken};
use chasqui_simulator::{payload, signature};
use chasqui_testkit::{NatsOptions, NatsServer};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const CONTACT: &str = "5491100000001";
pub(crate) const NUMBER: &str = "100000000000001";
pub(crate) const API_KEY: &str = "key-of-the-bot";
pub(crate) const APP_SECRET: &str = "app-secret";
pub(crate) const VERIFY_TOKEN: &str = "verify-token";
/// How long a fact may take to become true.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// One ingest, its broker, and everybody else.
pub(crate) struct World {
    pub(crate) nats: NatsServer,
    pub(crate) client: Client,
    url: String,
    /// What is mounted.
    pub(crate) routes: Door,
    stop: CancellationToken,
    service: JoinHandle<Result<(), Error>>,
    door: JoinHandle<()>,
}

/// The process's only recorder: a second one would show nothing.
fn metrics() -> Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(Metrics::install).clone()
}

pub(crate) fn config() -> Config {
    Config {
        api_key: Some(API_KEY.into()),
        // Two, as while a secret is being changed.
        app_secret: Some(format!("{APP_SECRET}, next-secret").into()),
        verify_token: Some(VERIFY_TOKEN.into()),
        ..Config::default()
    }
}

impl World {
    pub(crate) async fn start() -> Result<Self> {
        Self::start_with(config(), NatsOptions::default()).await
    }

    pub(crate) async fn start_with(config: Config, nats: NatsOptions) -> Result<Self> {
        let nats = NatsServer::start_with(nats).await?;
        let health = Health::default();
        let door = Door::new(&health, &metrics());
        let http = HttpConfig { port: 0, host: "127.0.0.1".to_owned(), further_ports: Vec::new() };
        let listeners = Door::bind(&http)?;
        let url = format!("http://{}", listeners[0].local_addr()?);
        let bus_config = NatsConfig { url: nats.url(), ..NatsConfig::default() };
        let platform = Platform {
            bus: Bus::connect("ingest", &bus_config).await?,
            door: door.clone(),
            health,
            node: NodeToken::new("ingest-1"),
            tenant: "default".parse()?,
        };
        let stop = CancellationToken::new();
        let service = tokio::spawn(chasqui_ingest::run(config, platform, stop.clone()));
        let routes = door.clone();
        let door = tokio::spawn(door.open(listeners, stop.clone()));
        let client = Client::builder().no_proxy().build()?;
        let world = Self { nats, client, url, routes, stop, service, door };
        world.is_ready(true).await;
        Ok(world)
    }

    pub(crate) async fn is_ready(&self, expected: bool) {
        chasqui_testkit::wait_for(SOON, "/readyz tells the state of the connection", async || {
            let response = self.get("/readyz").send().await.ok()?;
            (response.status().is_success() == expected).then_some(())
        })
        .await;
    }

    /// Stops the service and waits for its end.
    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.service.await??;
        Ok(self.door.await?)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    /// A webhook as WhatsApp sends it.
    pub(crate) fn webhook(&self, body: impl Into<Vec<u8>>) -> RequestBuilder {
        let body = body.into();
        let signature = signature::sign(APP_SECRET, &body);
        self.post("/webhooks/whatsapp").header(signature::HEADER, signature).body(body)
    }

    /// A bot's reply with its key.
    pub(crate) fn bot_reply(&self, contact: &str, text: &str) -> RequestBuilder {
        let body = json!({ "targetUserWhatsAppNumber": contact, "messageText": text });
        self.post("/api/bot-reply").header("x-api-key", API_KEY).json(&body)
    }

    /// A connection of somebody else.
    pub(crate) async fn nats_client(&self) -> Result<async_nats::Client> {
        Ok(async_nats::connect(self.nats.url()).await?)
    }

    /// Everything the stream holds, oldest first.
    pub(crate) async fn stored(&self) -> Result<Vec<Stored>> {
        let jetstream = jetstream::new(self.nats_client().await?);
        let stream = jetstream.get_stream(stream::MESSAGES.name).await?;
        let last = stream.cached_info().state.last_sequence;
        let mut stored = Vec::new();
        for seq in 1..=last {
            let message = stream.get_raw_message(seq).await?;
            let subject = message.subject.to_string();
            stored.push(Stored { subject, headers: message.headers, payload: message.payload });
        }
        Ok(stored)
    }
}

/// One fact in the stream.
pub(crate) struct Stored {
    pub(crate) subject: String,
    headers: async_nats::HeaderMap,
    payload: bytes::Bytes,
}

impl Stored {
    pub(crate) fn decode<P: prost::Message + prost::Name + Default>(&self) -> Result<P> {
        assert_eq!(self.header(header::TYPE)?, P::full_name(), "{}", self.subject);
        Ok(P::decode(self.payload.clone())?)
    }

    pub(crate) fn header(&self, name: &str) -> Result<String> {
        Ok(self.headers.get(name).with_context(|| format!("no header {name}"))?.to_string())
    }
}

/// A webhook with one text.
pub(crate) fn text(wamid: &str, body: &str) -> String {
    payload::webhook(NUMBER, &[payload::text(CONTACT, wamid, body)]).to_string()
}

/// Status and JSON body of an answer.
pub(crate) async fn answer(response: Response) -> Result<(u16, Value)> {
    let status = response.status().as_u16();
    Ok((status, response.json().await?))
}

/// A new wamid, the same length each time.
pub(crate) fn wamid() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("wamid.TEST{:08}", NEXT.fetch_add(1, Ordering::Relaxed))
}
