//! A broker, the stand-in of the model's server, whoever stores messages, and whoever is shown that the bot writes.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use chasqui_kit::{
    Bus, Code, Coded, TraceContext, bus::NatsConfig, serve::Responder, stream, telemetry::Metrics,
};
use chasqui_proto::{
    ConversationToken, MessageId, Tenant, service, subject,
    v1::{
        ChannelKind, Direction, Heard, ListMessages, Message, MessagePage, MessageType, Status,
        StoredMessage, Typing,
    },
};
use chasqui_testkit::{NatsServer, first_free_port, wait_for};
use futures::StreamExt as _;
use prost::Message as _;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::{Answer, ModelError, Models, Question};
use crate::{
    Config,
    definition::{Action, ModelSettings},
};

pub(super) const SOON: Duration = Duration::from_secs(20);
/// The stand-in's.
pub(super) const KEY: &str = "local-openai-key";

pub(super) struct World {
    pub(super) server: NatsServer,
    _stop: DropGuard,
    pub(super) bus: Bus,
    pub(super) tenant: Tenant,
    conversation: ConversationToken,
    pub(super) models: Models,
    url: String,
    http: reqwest::Client,
    typed: Arc<Mutex<Vec<Typing>>>,
    stop: CancellationToken,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings.
    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let server = NatsServer::start().await.unwrap();
        let config = NatsConfig { url: server.url(), ..NatsConfig::default() };
        let bus = Bus::connect("model", &config).await.unwrap();
        stream::ensure_all(&bus).await.unwrap();
        let stop = CancellationToken::new();
        let url = simulator(stop.clone()).await;
        let (tenant, conversation): (Tenant, ConversationToken) =
            ("default".parse().unwrap(), "5491100000001".parse().unwrap());
        let typed = Arc::new(Mutex::new(Vec::new()));
        let of_all = subject::typing_of_all().as_str().to_owned();
        let mut heard = bus.client().subscribe(of_all).await.unwrap();
        bus.barrier().await.unwrap();
        let into = typed.clone();
        tokio::spawn(async move {
            while let Some(message) = heard.next().await {
                into.lock().unwrap().push(Typing::decode(message.payload).unwrap());
            }
        });
        let mut config = Config {
            openai_api_key: Some(KEY.into()),
            openai_base_url: format!("{url}/v1"),
            model_timeout_ms: 20_000,
            ..Config::default()
        };
        change(&mut config);
        let models = Models::new(&config, &bus).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let guard = stop.clone().drop_guard();
        Self { server, _stop: guard, bus, tenant, conversation, models, url, http, typed, stop }
    }

    /// Another replica.
    pub(super) fn replica(&self) -> Models {
        let config = Config {
            openai_api_key: Some(KEY.into()),
            openai_base_url: format!("{}/v1", self.url),
            ..Config::default()
        };
        Models::new(&config, &self.bus).unwrap()
    }

    /// Somebody stores messages, and has these: position, whether of the contact, text.
    pub(super) async fn remembers(&self, messages: &[(u64, bool, &str)]) {
        let stored =
            messages.iter().rev().map(|(seq, is_inbound, text)| stored(*seq, *is_inbound, text)).collect();
        let page = MessagePage { messages: stored, ..MessagePage::default() };
        let responder =
            Responder::start(&self.bus, "persistence", "of a test", self.stop.clone()).await.unwrap();
        let answer = move |_: ListMessages, _| {
            let page = page.clone();
            async move { Ok::<_, Never>(page) }
        };
        responder.endpoint(service::MESSAGES_LIST, answer).await.unwrap();
        tokio::spawn(responder.stopped());
        self.bus.barrier().await.unwrap();
    }

    pub(super) fn question<'a>(
        &'a self,
        settings: &'a ModelSettings,
        heard: &'a [Heard],
        channel: ChannelKind,
    ) -> Question<'a> {
        Question {
            tenant: &self.tenant,
            conversation: &self.conversation,
            settings,
            personality: None,
            heard,
            answer_id: MessageId::of_provider(&self.tenant, "answer"),
            channel,
            input_id: "input",
            trace: TraceContext::root(),
        }
    }

    pub(super) async fn answer(&self) -> Result<Answer, ModelError> {
        self.answer_on(ChannelKind::WhatsappCloud).await
    }

    pub(super) async fn answer_on(&self, channel: ChannelKind) -> Result<Answer, ModelError> {
        self.models.answer(self.question(&settings(), &[heard(1, "hola")], channel)).await
    }

    /// How the server behaves from now on.
    pub(super) async fn says(&self, settings: Value) {
        let changed = self.http.put(format!("{}/openai/settings", self.url)).json(&settings).send().await;
        assert_eq!(changed.unwrap().status(), 200);
    }

    /// What befalls the next requests.
    pub(super) async fn befall(&self, then: &Value, times: u64) {
        let fault = json!({ "then": then, "times": times });
        let added = self.http.post(format!("{}/openai/faults", self.url)).json(&fault).send().await;
        assert_eq!(added.unwrap().status(), 200, "{fault}");
    }

    /// Removes what would befall further requests, and forgets those that were made.
    pub(super) async fn forget(&self) {
        for path in ["faults", "requests"] {
            let removed = self.http.delete(format!("{}/openai/{path}", self.url)).send().await;
            assert_eq!(removed.unwrap().status(), 200);
        }
    }

    /// The requests that were made.
    pub(super) async fn asked(&self) -> Vec<Value> {
        let asked = self.http.get(format!("{}/openai/requests", self.url)).send().await.unwrap();
        let asked: Value = serde_json::from_slice(&asked.bytes().await.unwrap()).unwrap();
        asked["requests"].as_array().unwrap().clone()
    }

    /// What was told of typing, once the bot said that it does not type any more.
    pub(super) async fn typed(&self) -> Vec<Typing> {
        wait_for(SOON, "the bot stops typing", async || {
            let typed = self.typed.lock().unwrap();
            typed.last().is_some_and(|last| !last.typing).then(|| typed.clone())
        })
        .await
    }
}

/// What a test never answers with.
#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Coded for Never {
    fn code(&self) -> Code {
        Code::Internal
    }
}

/// Runs the stand-in; where it listens.
async fn simulator(stop: CancellationToken) -> String {
    // Between finding a port and binding it, another test must not find the same one.
    static STARTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _starting = STARTING.lock().await;
    let port = first_free_port(14_900).unwrap();
    let config = chasqui_simulator::Config {
        port,
        app_secret: Some("of-a-test".into()),
        ..chasqui_simulator::Config::default()
    };
    tokio::spawn(chasqui_simulator::run(config, Metrics::install(), None, stop));
    wait_for(SOON, "the simulator listens", async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
    })
    .await;
    format!("http://127.0.0.1:{port}")
}

pub(super) fn settings() -> ModelSettings {
    ModelSettings {
        model: None,
        personalities: Vec::new(),
        history_messages: 20,
        tokens_per_day_max: None,
        answer_tokens_max: 200,
        debounce_ms: 0,
        on_failure: Action::Silence,
    }
}

pub(super) fn heard(seq: u64, text: &str) -> Heard {
    Heard { message_id: format!("m{seq}"), seq, text: text.to_owned(), at_ms: 0 }
}

fn stored(seq: u64, is_inbound: bool, text: &str) -> StoredMessage {
    let direction = if is_inbound { Direction::In } else { Direction::Out };
    let message = Message {
        id: format!("m{seq}"),
        direction: direction.into(),
        r#type: MessageType::Text.into(),
        text: text.to_owned(),
        ..Message::default()
    };
    StoredMessage { message: Some(message), status: Status::Sent.into(), seq }
}
