//! A session, its provider, and everybody who listens.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chasqui_kit::{Bus, TraceContext, bus::NatsConfig, clock, publish::Fact, stream};
use chasqui_proto::{
    MessageId, Tenant,
    stream::{DLQ, OUTBOX},
    subject::{self, NodeToken},
    v1::{
        Alias, AliasKind, Channel, ChannelKind, Contact, LinkEvent, Media, Message, MessageStatus,
        MessageType, Priority, ProviderError, Send, SendState, Status,
    },
};
use chasqui_testkit::{NatsServer, wait_for};
use futures::{StreamExt, future::BoxFuture};
use prost::Message as _;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    connector::{Connector, ConnectorError, Fetched, Outcome, Outgoing},
    line::{Halt, Line},
    sending::{Sending, Settings, Ties},
    sends::{Record, Sends},
};

pub(super) const SOON: Duration = Duration::from_secs(15);

/// What the provider does with a message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Accept,
    Refuse(i64),
    NotWritten,
    Unknown,
    /// Takes the bytes and never answers.
    Hang,
}

/// A message as it reached the provider.
#[derive(Debug, Clone)]
pub(super) struct Reached {
    pub(super) id: String,
    pub(super) contact: String,
    pub(super) instead: bool,
    pub(super) at: Instant,
}

/// The provider: does as scripted, then accepts.
#[derive(Debug, Default)]
pub(super) struct Provider {
    pub(super) script: Mutex<VecDeque<Answer>>,
    pub(super) reached: Mutex<Vec<Reached>>,
    pub(super) latency: Mutex<Duration>,
    /// What it needs before it can send, such as uploading a file.
    pub(super) preparation: Mutex<Duration>,
    busy: Mutex<std::collections::HashSet<String>>,
    pub(super) beside: AtomicUsize,
}

impl Provider {
    pub(super) fn scripted(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Arc::new(Self { script: Mutex::new(answers.into_iter().collect()), ..Self::default() })
    }

    pub(super) fn reached(&self) -> Vec<Reached> {
        self.reached.lock().unwrap().clone()
    }

    pub(super) fn times(&self, id: MessageId) -> usize {
        self.reached().iter().filter(|reached| reached.id == id.to_string()).count()
    }
}

impl Connector for Provider {
    fn run(&self, _events: mpsc::Sender<LinkEvent>, stop: CancellationToken) -> BoxFuture<'_, ()> {
        Box::pin(async move { stop.cancelled().await })
    }

    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let message = &outgoing.message;
            if !self.busy.lock().unwrap().insert(message.conversation.clone()) {
                self.beside.fetch_add(1, Ordering::Relaxed);
            }
            self.reached.lock().unwrap().push(Reached {
                id: message.id.clone(),
                contact: message.conversation.clone(),
                instead: outgoing.instead.is_some(),
                at: Instant::now(),
            });
            let answer = self.script.lock().unwrap().pop_front().unwrap_or(Answer::Accept);
            let latency = *self.latency.lock().unwrap();
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            self.busy.lock().unwrap().remove(&message.conversation);
            match answer {
                Answer::Accept => Outcome::Accepted { provider_id: format!("wamid.{}", message.id) },
                Answer::Refuse(code) => {
                    let error =
                        ProviderError { code, title: format!("error {code}"), ..ProviderError::default() };
                    Outcome::Refused { error, http_status: 400, retry_after: None }
                }
                Answer::NotWritten => Outcome::NotWritten("connection refused".to_owned()),
                Answer::Unknown => Outcome::Unknown("connection reset".to_owned()),
                Answer::Hang => std::future::pending().await,
            }
        })
    }

    fn preparation_max(&self, _: &Outgoing) -> Duration {
        *self.preparation.lock().unwrap()
    }

    fn read<'a>(&'a self, _: &'a str, _: bool) -> BoxFuture<'a, Result<(), ConnectorError>> {
        Box::pin(async { Ok(()) })
    }

    fn fetch<'a>(&'a self, _: &'a Media) -> BoxFuture<'a, Result<Fetched, ConnectorError>> {
        Box::pin(async { Err(ConnectorError::Unsupported("fetch")) })
    }

    fn log_out(&self) -> BoxFuture<'_, Result<(), ConnectorError>> {
        Box::pin(async { Ok(()) })
    }
}

/// Who owns the session.
pub(super) struct Owner {
    pub(super) stop: CancellationToken,
    pub(super) open: watch::Sender<bool>,
    pub(super) tells: mpsc::Sender<Halt>,
    pub(super) halts: mpsc::Receiver<Halt>,
    pub(super) task: JoinHandle<()>,
}

impl Owner {
    pub(super) async fn stopped(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// How the session is.
pub(super) struct Number {
    pub(super) kind: ChannelKind,
    pub(super) rate: Option<u32>,
    pub(super) fallback: Option<&'static str>,
    pub(super) settings: Settings,
    pub(super) campaigns_held_until: Option<Instant>,
}

impl Default for Number {
    fn default() -> Self {
        let settings = Settings { retry_pause: Duration::from_millis(20), ..Settings::default() };
        Self {
            kind: ChannelKind::WhatsappCloud,
            rate: Some(1_000),
            fallback: None,
            settings,
            campaigns_held_until: None,
        }
    }
}

pub(super) struct World {
    pub(super) server: NatsServer,
    pub(super) bus: Bus,
    pub(super) tenant: Tenant,
    pub(super) session: NodeToken,
    statuses: Arc<Mutex<Vec<MessageStatus>>>,
}

impl World {
    pub(super) async fn new() -> Self {
        let server = NatsServer::start().await.unwrap();
        let bus = connect(&server).await;
        stream::ensure_all(&bus).await.unwrap();
        let statuses = Arc::new(Mutex::new(Vec::new()));
        let mut heard =
            bus.client().subscribe(subject::messages_status_of_all().as_str().to_owned()).await.unwrap();
        bus.barrier().await.unwrap();
        let into = Arc::clone(&statuses);
        tokio::spawn(async move {
            while let Some(message) = heard.next().await {
                into.lock().unwrap().push(MessageStatus::decode(message.payload).unwrap());
            }
        });
        let (tenant, session) = ("default".parse().unwrap(), NodeToken::new("1000001"));
        Self { server, bus, tenant, session, statuses }
    }

    /// The session as this process owns it.
    pub(super) fn line(&self, node: &str, provider: &Arc<Provider>, number: &Number) -> Line {
        Line {
            bus: self.bus.clone(),
            tenant: self.tenant.clone(),
            session: self.session.clone(),
            channel: self.channel(number.kind),
            node: NodeToken::new(node),
            ownership: 1,
            connector: Arc::clone(provider) as Arc<dyn Connector>,
            messages_per_second_max: number.rate,
            fallback: number.fallback.map(|text| text.as_bytes().to_vec().into()),
            stop: CancellationToken::new(),
        }
    }

    pub(super) fn owner(&self, node: &str, provider: &Arc<Provider>, number: Number) -> Owner {
        let line = self.line(node, provider, &number);
        let stop = line.stop.clone();
        let (halted, halts) = mpsc::channel(8);
        let (open, opened) = watch::channel(true);
        let (tells, told) = mpsc::channel(8);
        let ties =
            Ties { open: opened, told, halts: halted, campaigns_held_until: number.campaigns_held_until };
        let task = tokio::spawn(Sending::run(line, number.settings, ties));
        Owner { stop, open, tells, halts, task }
    }

    pub(super) fn channel(&self, kind: ChannelKind) -> Channel {
        Channel { kind: kind.into(), id: self.session.to_string(), ..Channel::default() }
    }

    /// A text to a contact.
    pub(super) fn message(&self, contact: u32, priority: Priority) -> Message {
        let phone = format!("5491100{contact:06}");
        Message {
            id: MessageId::now().to_string(),
            tenant: self.tenant.to_string(),
            conversation: phone.clone(),
            contact: Some(Contact {
                aliases: vec![Alias { kind: AliasKind::Phone.into(), value: phone }],
                ..Contact::default()
            }),
            channel: Some(self.channel(ChannelKind::WhatsappCloud)),
            r#type: MessageType::Text.into(),
            text: "hola".to_owned(),
            priority: priority.into(),
            received_at_ms: clock::now_ms(),
            callback_data: "campaign-7".to_owned(),
            ..Message::default()
        }
    }

    /// Puts a message into the session's queue.
    pub(super) async fn queue(&self, message: &Message) -> MessageId {
        let conversation = message.conversation.parse().unwrap();
        let due = subject::sends_due(&self.tenant, &self.session, message.priority(), &conversation);
        self.bus.publish(Fact::new(due, message, message.id.as_str(), TraceContext::root())).await.unwrap();
        message.id.parse().unwrap()
    }

    pub(super) async fn queue_all(&self, messages: &[Message]) -> Vec<MessageId> {
        futures::stream::iter(messages).map(|message| self.queue(message)).buffered(256).collect().await
    }

    pub(super) async fn queue_one(&self, contact: u32) -> MessageId {
        self.queue(&self.message(contact, Priority::Transactional)).await
    }

    pub(super) fn statuses(&self, id: MessageId) -> Vec<MessageStatus> {
        let statuses = self.statuses.lock().unwrap();
        statuses.iter().filter(|status| status.message_id == id.to_string()).cloned().collect()
    }

    pub(super) async fn status(&self, id: MessageId, wanted: Status) -> MessageStatus {
        wait_for(SOON, &format!("{id} is {wanted:?}"), async || {
            self.statuses(id).into_iter().find(|status| status.status() == wanted)
        })
        .await
    }

    pub(super) async fn send(&self, id: MessageId) -> Option<Send> {
        let sends = Sends::open(&self.bus).await.unwrap();
        sends.get(&self.tenant, &self.session, &id).await.unwrap().map(|record| record.send)
    }

    /// An owner sent it, and ended before it acknowledged it.
    pub(super) async fn was_accepted(&self, id: MessageId) {
        let sends = Sends::open(&self.bus).await.unwrap();
        let send = Send {
            message_id: id.to_string(),
            state: SendState::Accepted.into(),
            attempts: 1,
            ..Send::default()
        };
        let none = Record::none(Send::default());
        sends.put(&self.tenant, &self.session, &id, (&none, send)).await.unwrap();
    }

    /// Waits until nothing is left to send, now or later.
    pub(super) async fn queue_is_empty(&self) {
        self.queue_keeps(0).await;
    }

    /// Waits until so many messages are left: one leaves the queue only after its status has been
    /// published, so that whoever saw the status may still find the message here.
    pub(super) async fn queue_keeps(&self, messages: u64) {
        let kept = async || (self.count(OUTBOX.name).await == messages).then_some(());
        wait_for(SOON, "the queue keeps what was not sent", kept).await;
    }

    pub(super) async fn count(&self, stream: &str) -> u64 {
        let opened = self.bus.jetstream().get_stream(stream).await;
        // A broker that has just started may not offer it yet.
        opened.map_or(u64::MAX, |stream| stream.cached_info().state.messages)
    }

    /// How many messages wait with the broker.
    pub(super) async fn scheduled(&self) -> usize {
        let stream = self.bus.jetstream().get_stream(OUTBOX.name).await.unwrap();
        let subjects = stream.info_with_subjects(OUTBOX.subjects[1]).await.unwrap();
        subjects.count().await
    }

    pub(super) async fn dead_letters(&self) -> Vec<(String, async_nats::HeaderMap)> {
        let stream = self.bus.jetstream().get_stream(DLQ.name).await.unwrap();
        let mut letters = Vec::new();
        for seq in 1..=stream.cached_info().state.last_sequence {
            let letter = stream.get_raw_message(seq).await.unwrap();
            letters.push((letter.subject.to_string(), letter.headers));
        }
        letters
    }
}

async fn connect(server: &NatsServer) -> Bus {
    let config = NatsConfig { url: server.url(), stream_bytes_max: 1 << 30, ..NatsConfig::default() };
    Bus::connect("whatsapp-test", &config).await.unwrap()
}
