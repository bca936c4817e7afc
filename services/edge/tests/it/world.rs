//! An edge node with everyone else played by the test: the streams over a private nats-server, and clients on the wire.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use crate::cable::Cable;
use chasqui_edge::Config;
use chasqui_kit::{
    Bus, Platform, TraceContext,
    bus::NatsConfig,
    config::{Section, Settings},
    door::{Door, HttpConfig},
    health::Health,
    publish::{Fact, PublishError, Stored},
    stream,
    telemetry::Metrics,
};
use chasqui_proto::{ConversationToken, Tenant, address::phone, subject, subject::NodeToken, v1};
use chasqui_testkit::{NatsCluster, NatsServer, wait_for};
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use tokio_util::sync::CancellationToken;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
const SECRET: &str = "an-hs256-secret-of-32-bytes-here";

/// The broker and the services that are not edges.
pub(crate) struct World<B = NatsServer> {
    pub(crate) nats: B,
    pub(crate) bus: Bus,
    pub(crate) tenant: Tenant,
    broker: NatsConfig,
}

impl World {
    pub(crate) async fn start() -> Self {
        let nats = NatsServer::start().await.unwrap();
        let broker = NatsConfig { url: nats.url(), ..NatsConfig::default() };
        Self::with(nats, broker).await
    }
}

impl World<NatsCluster> {
    /// Three servers, and streams with a copy on each.
    pub(crate) async fn start_cluster() -> Self {
        let nats = NatsCluster::start(3).await.unwrap();
        let broker = NatsConfig { url: nats.url(), replicas: 3, ..NatsConfig::default() };
        Self::with(nats, broker).await
    }
}

impl<B> World<B> {
    async fn with(nats: B, broker: NatsConfig) -> Self {
        let bus = connect(&broker, "test").await;
        stream::ensure_all(&bus).await.unwrap();
        Self { nats, bus, tenant: "default".parse().unwrap(), broker }
    }

    /// A text from the contact, stored; its position.
    pub(crate) async fn contact_writes(&self, number: &str, text: &str) -> u64 {
        self.contact_of_tenant_writes(&self.tenant, number, text).await
    }

    pub(crate) async fn contact_of_tenant_writes(&self, tenant: &Tenant, number: &str, text: &str) -> u64 {
        self.publish_in(tenant, number, text).await.unwrap().seq
    }

    /// The same while the broker may be away.
    pub(crate) async fn try_contact_writes(&self, number: &str, text: &str) -> Option<u64> {
        self.publish_in(&self.tenant, number, text).await.ok().map(|stored| stored.seq)
    }

    async fn publish_in(&self, tenant: &Tenant, number: &str, text: &str) -> Result<Stored, PublishError> {
        let message = message(tenant, number, text, v1::Direction::In);
        let subject = subject::messages_in(tenant, &token(number));
        // The text makes it unique: tried twice, it is stored once.
        self.bus
            .publish(Fact::new(subject, &message, format!("{tenant}:{number}:{text}"), TraceContext::root()))
            .await
    }

    /// A reply of the bot for the contact's widget, stored; the message's id.
    pub(crate) async fn bot_replies(&self, number: &str, text: &str) -> String {
        let message = message(&self.tenant, number, text, v1::Direction::Out);
        let subject = subject::messages_out(&self.tenant, &token(number));
        self.bus
            .publish(Fact::new(subject, &message, message.id.clone(), TraceContext::root()))
            .await
            .unwrap();
        message.id
    }
}

pub(crate) fn token(number: &str) -> ConversationToken {
    number.parse().unwrap()
}

fn message(tenant: &Tenant, number: &str, text: &str, direction: v1::Direction) -> v1::Message {
    let out = direction == v1::Direction::Out;
    let channel = if out { v1::ChannelKind::Widget } else { v1::ChannelKind::WhatsappCloud };
    let sender = if out { v1::SenderType::Ai } else { v1::SenderType::User };
    v1::Message {
        id: uuid::Uuid::now_v7().to_string(),
        tenant: tenant.to_string(),
        conversation: token(number).to_string(),
        contact: Some(v1::Contact { aliases: vec![phone(number)], ..v1::Contact::default() }),
        channel: Some(v1::Channel { kind: channel.into(), ..v1::Channel::default() }),
        direction: direction.into(),
        sender_type: sender.into(),
        r#type: v1::MessageType::Text.into(),
        text: text.to_owned(),
        occurred_at_ms: 1_700_000_000_000,
        received_at_ms: 1_700_000_000_000,
        ..v1::Message::default()
    }
}

async fn connect(broker: &NatsConfig, name: &str) -> Bus {
    Bus::connect(name, broker).await.unwrap()
}

/// A running edge node.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) door: Door,
    stop: CancellationToken,
    service: JoinHandle<()>,
}

impl Node {
    pub(crate) async fn start<B>(world: &World<B>, name: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_at(&world.broker, world, name, config(settings)).await
    }

    /// A node that keeps and shows files.
    pub(crate) async fn start_with_media<B>(
        world: &World<B>,
        name: &str,
        media: &chasqui_media::Config,
    ) -> Self {
        let config = Config { media: media.clone(), ..config(&[]) };
        Self::start_at(&world.broker, world, name, config).await
    }

    /// A node that reaches the broker by a cable.
    pub(crate) async fn start_behind<B>(cable: &Cable, world: &World<B>, name: &str) -> Self {
        let broker = NatsConfig { url: format!("nats://{}", cable.address), ..world.broker.clone() };
        Self::start_at(&broker, world, name, config(&[])).await
    }

    async fn start_at<B>(broker: &NatsConfig, world: &World<B>, name: &str, config: Config) -> Self {
        let health = Health::default();
        let door = Door::new(&health, &Metrics::install());
        let listeners =
            Door::bind(&HttpConfig { port: 0, host: "127.0.0.1".to_owned(), ..HttpConfig::default() })
                .unwrap();
        let address = listeners[0].local_addr().unwrap();
        let stop = CancellationToken::new();
        let platform = Platform {
            bus: connect(broker, name).await,
            door: door.clone(),
            health: health.clone(),
            node: NodeToken::new(name),
            tenant: world.tenant.clone(),
        };
        let service = tokio::spawn({
            let (stop, door) = (stop.clone(), door.clone());
            async move {
                let open = tokio::spawn(door.open(listeners, stop.clone()));
                chasqui_edge::run(config, platform, stop).await.unwrap();
                open.await.unwrap();
            }
        });
        wait_for(DEADLINE, "the node's canary comes back", async || health.is_ready().then_some(())).await;
        Self { address, door, stop, service }
    }

    /// A staff socket that has said who it is; the `connected` frame is the first to read.
    pub(crate) async fn staff(&self, tenant: &str, cursor: Option<(&str, u64)>) -> Client {
        let since = cursor.map(|(epoch, seq)| json!({ "epoch": epoch, "seq": seq }));
        let token = jwt(&json!({ "id": "agent-1", "tenant": tenant }));
        let mut client = Client::open(&format!("ws://{}/ws", self.address)).await;
        client.say(&json!({ "type": "connect", "data": { "token": token, "since": since } })).await;
        client
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(DEADLINE, self.service).await.expect("the node stops in time").unwrap();
    }
}

fn config(settings: &[(&str, &str)]) -> Config {
    let mut variables: HashMap<String, String> = settings
        .iter()
        .map(|(name, value)| (format!("CHASQUI__EDGE__{}", name.to_uppercase()), (*value).to_owned()))
        .collect();
    variables.insert("JWT_SECRET".to_owned(), SECRET.to_owned());
    // Most stories are about staff; who is none is the subject of one of its own.
    variables.entry("CHASQUI__EDGE__USERS_ARE_STAFF".to_owned()).or_insert_with(|| "true".to_owned());
    let mut problems = chasqui_kit::config::Problems::default();
    let config: Config = Settings::read(None, variables).unwrap().take(&mut problems);
    assert!(problems.is_empty(), "{problems}");
    assert_eq!(Config::NAME, "edge");
    config
}

pub(crate) fn jwt(claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// A plain WebSocket client.
pub(crate) struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub(crate) async fn open(url: &str) -> Self {
        Self(connect_async(url).await.unwrap().0)
    }

    /// Opens with subprotocols; also the one the server chose.
    pub(crate) async fn open_with_protocols(url: &str, protocols: &str) -> (Self, Option<String>) {
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocols.parse().unwrap());
        let (socket, response) = connect_async(request).await.unwrap();
        let chosen = response.headers().get("sec-websocket-protocol");
        (Self(socket), chosen.map(|value| value.to_str().unwrap().to_owned()))
    }

    /// What it says and what it hears, for two tasks.
    pub(crate) fn split(self) -> (Saying, Hearing) {
        let (says, hears) = self.0.split();
        (Saying(says), Hearing(hears))
    }

    pub(crate) async fn say(&mut self, frame: &Value) {
        self.say_text(&frame.to_string()).await;
    }

    pub(crate) async fn say_text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next JSON frame; heartbeats are passed over.
    pub(crate) async fn frame(&mut self) -> Value {
        timeout(DEADLINE, self.any_frame()).await.expect("the server says something that is no heartbeat")
    }

    async fn any_frame(&mut self) -> Value {
        loop {
            match self.next().await {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if frame["type"] != "heartbeat" {
                        return frame;
                    }
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("expected a frame, got {other:?}"),
            }
        }
    }

    /// The next JSON frame, heartbeats included, or what the server closes with; `None` when the connection is lost.
    pub(crate) async fn frame_or_close(&mut self) -> Result<Value, Option<(u16, String)>> {
        loop {
            match timeout(DEADLINE, self.0.next()).await.expect("the server says something in time") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Err(Some((frame.code.into(), frame.reason.to_string())));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(_) | Err(_)) | None => return Err(None),
            }
        }
    }

    /// Opens unless nobody is there.
    pub(crate) async fn try_open(url: &str) -> Option<Self> {
        Some(Self(connect_async(url).await.ok()?.0))
    }

    /// The next Socket.IO packet that is no ping; pings are answered.
    pub(crate) async fn packet(&mut self) -> String {
        timeout(DEADLINE, self.any_packet()).await.expect("the server says something that is no ping")
    }

    async fn any_packet(&mut self) -> String {
        loop {
            match self.next().await {
                Message::Text(text) if text.as_str() == "2" => self.say_text("3").await,
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("expected a packet, got {other:?}"),
            }
        }
    }

    /// The texts of the next messages, with their positions.
    pub(crate) async fn messages(&mut self, count: usize) -> Vec<(String, u64)> {
        let mut messages = Vec::with_capacity(count);
        while messages.len() < count {
            let frame = self.frame().await;
            if frame["type"] == "new_message" {
                let text = frame["data"]["message"]["text_content"].as_str().unwrap().to_owned();
                messages.push((text, frame["seq"].as_u64().unwrap()));
            }
        }
        messages
    }

    /// The code the server closes with, after any frames.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.next().await {
                return frame.expect("the server gives a reason").code.into();
            }
        }
    }

    async fn next(&mut self) -> Message {
        let next = timeout(DEADLINE, self.0.next()).await.expect("the server says something in time");
        next.expect("the connection stands").unwrap()
    }
}

/// One way of a client.
pub(crate) struct Saying(SplitSink<WebSocketStream<MaybeTlsStream<TcpStream>>, Message>);

impl Saying {
    /// Whether it could still be said.
    pub(crate) async fn say(&mut self, text: &str) -> bool {
        self.0.send(Message::text(text)).await.is_ok()
    }
}

/// The other way of a client.
pub(crate) struct Hearing(SplitStream<WebSocketStream<MaybeTlsStream<TcpStream>>>);

impl Hearing {
    /// The code the server closes with, after any frames.
    pub(crate) async fn close_code(&mut self) -> u16 {
        let closed = async {
            loop {
                if let Message::Close(frame) = self.0.next().await.expect("the server says why").unwrap() {
                    return frame.expect("the server gives a reason").code.into();
                }
            }
        };
        timeout(DEADLINE, closed).await.expect("the server closes in time")
    }
}
