//! What persistence does for the bot.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Result;
use chasqui_kit::{Bus, Code, Coded, TraceContext, clock, publish::Fact, serve::Responder};
use chasqui_proto::{
    ConversationId, ConversationToken, Tenant, service, subject,
    v1::{Chat, ChatStatus, FlowAnswer, FlowOption, FlowRequest, MessagePage, OpenChat, StoredMessage},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a fickle office takes for an answer: long enough for another replica to ask the same.
const SLOWNESS: Duration = Duration::from_millis(100);

/// What it has stored.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// Appointments by the request that made them.
    pub(crate) bookings: HashMap<String, FlowRequest>,
    pub(crate) bookings_asked: u32,
    pub(crate) chats: HashMap<String, Chat>,
    pub(crate) opened: Vec<OpenChat>,
    pub(crate) messages: HashMap<String, StoredMessage>,
    /// Whoever asks for a patient is told of a failure.
    pub(crate) is_broken: bool,
    /// It takes its time over cities, and names others each time it is asked.
    pub(crate) is_fickle: bool,
    pub(crate) cities_asked: u32,
}

/// Persistence, as far as the bot asks it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Office(Arc<Mutex<Stored>>);

/// It answers until this is dropped or stopped.
pub(crate) struct Open {
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Open {
    pub(crate) async fn close(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.serving.await?)
    }
}

#[derive(Debug)]
enum Refusal {
    NotFound,
    Broken,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refusal {}

impl Coded for Refusal {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Broken => Code::Unavailable,
        }
    }
}

impl Office {
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Stored) -> T) -> T {
        look(&mut self.0.lock().expect("nobody panics with it"))
    }

    /// Begins to answer.
    pub(crate) async fn open(&self, bus: &Bus) -> Result<Open> {
        let stop = CancellationToken::new();
        let responder = Responder::start(bus, service::PERSISTENCE, "the test", stop.clone()).await?;
        let (office, broker) = (self.clone(), bus.clone());
        let open = move |question: OpenChat, _: TraceContext| {
            let (office, bus) = (office.clone(), broker.clone());
            async move { office.open_chat(&bus, question).await.map_err(|_| Refusal::Broken) }
        };
        responder.endpoint(service::CHATS_OPEN, open).await?;
        let office = self.clone();
        let get = move |question: chasqui_proto::v1::GetMessage, _: TraceContext| {
            let found = office.look(|stored| stored.messages.get(&question.message_id).cloned());
            async move { found.ok_or(Refusal::NotFound) }
        };
        responder.endpoint(service::MESSAGES_GET, get).await?;
        let list = |_: chasqui_proto::v1::ListMessages, _: TraceContext| async {
            Ok::<_, Refusal>(MessagePage::default())
        };
        responder.endpoint(service::MESSAGES_LIST, list).await?;
        macro_rules! flow {
            ($endpoint:ident, $answer:expr) => {
                let office = self.clone();
                let answer = move |request: FlowRequest, _: TraceContext| {
                    let is_broken = office.look(|stored| stored.is_broken);
                    let answer: FlowAnswer = $answer(&office, request);
                    let pause =
                        office.look(|stored| if stored.is_fickle { SLOWNESS } else { Duration::ZERO });
                    async move {
                        tokio::time::sleep(pause).await;
                        if is_broken { Err(Refusal::Broken) } else { Ok(answer) }
                    }
                };
                responder.endpoint(service::$endpoint, answer).await?;
            };
        }
        flow!(PATIENTS_FIND, |_: &Self, request: FlowRequest| patient(&request));
        flow!(CITIES_LIST, |office: &Self, _: FlowRequest| office.cities());
        flow!(SPECIALTIES_SEARCH, |_: &Self, _: FlowRequest| options(&[
            ("cardio", "Cardiología"),
            ("derma", "Dermatología")
        ]));
        flow!(APPOINTMENTS_BOOK, |office: &Self, request: FlowRequest| office.book(request));
        bus.barrier().await?;
        Ok(Open { stop, serving: tokio::spawn(responder.stopped()) })
    }

    /// A chat as it stands, told to everyone.
    pub(crate) async fn tell(&self, bus: &Bus, chat: Chat) -> Result<()> {
        let tenant: Tenant = chat.tenant.parse()?;
        let conversation: ConversationToken = chat.conversation.parse()?;
        let id = format!("{conversation}:{}", chat.version);
        let fact = Fact::new(subject::chats_updated(&tenant, &conversation), &chat, id, TraceContext::root());
        bus.publish(fact).await?;
        self.look(|stored| stored.chats.insert(chat.conversation.clone(), chat));
        Ok(())
    }

    async fn open_chat(&self, bus: &Bus, question: OpenChat) -> Result<Chat> {
        let before = self.look(|stored| {
            stored.opened.push(question.clone());
            stored.chats.get(&question.conversation).cloned()
        });
        let is_open = |chat: &Chat| chat.status() != ChatStatus::Closed;
        if let Some(chat) = before.clone().filter(is_open) {
            return Ok(chat);
        }
        let (tenant, conversation): (Tenant, ConversationToken) =
            (question.tenant.parse()?, question.conversation.parse()?);
        let chat = Chat {
            id: ConversationId::of(&tenant, &conversation).to_string(),
            tenant: question.tenant,
            conversation: question.conversation,
            status: ChatStatus::Waiting.into(),
            user_id: question.user_id,
            user_name: question.user_name,
            reason: question.reason,
            opened_at_ms: clock::now_ms(),
            version: before.map_or(1, |chat| chat.version + 1),
            ..Chat::default()
        };
        self.tell(bus, chat.clone()).await?;
        Ok(chat)
    }

    fn cities(&self) -> FlowAnswer {
        let number = self.look(|stored| {
            stored.cities_asked += 1;
            stored.is_fickle.then_some(stored.cities_asked)
        });
        match number {
            Some(number) => options(&[("one", &format!("Ciudad {number}")), ("two", "Otra ciudad")]),
            None => options(&[("bogota", "Bogotá"), ("cali", "Cali")]),
        }
    }

    fn book(&self, request: FlowRequest) -> FlowAnswer {
        let appointment = request.request_id.clone();
        self.look(|stored| {
            stored.bookings_asked += 1;
            stored.bookings.insert(appointment.clone(), request);
        });
        let values = BTreeMap::from([("appointment".to_owned(), appointment)]);
        FlowAnswer { values, ..FlowAnswer::default() }
    }
}

fn patient(request: &FlowRequest) -> FlowAnswer {
    let document = request.parameters.get("document").cloned().unwrap_or_default();
    if document != "12345678" {
        return FlowAnswer { refused: "not_found".to_owned(), ..FlowAnswer::default() };
    }
    let values = [
        ("patient", "7b0c8d1e-0000-4000-8000-000000000001"),
        ("patient_name", "Paciente de prueba"),
        ("patient_document", document.as_str()),
    ];
    let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
    FlowAnswer { values: values.into(), ..FlowAnswer::default() }
}

fn options(labels: &[(&str, &str)]) -> FlowAnswer {
    let option = |(id, label): &(&str, &str)| FlowOption {
        id: (*id).to_owned(),
        label: (*label).to_owned(),
        ..FlowOption::default()
    };
    FlowAnswer { options: labels.iter().map(option).collect(), ..FlowAnswer::default() }
}
