//! Persistence's part of chats, played by the test: who has which chat, told over the bus.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use chasqui_kit::{Bus, TraceContext, publish::Fact, serve::Responder};
use chasqui_proto::{
    ConversationId, ConversationToken, Tenant,
    address::{parse_address, phone},
    service::{
        CHATS_CLOSE, CHATS_GET, CHATS_LIST, CHATS_OPEN, CONVERSATIONS_GET, CONVERSATIONS_STEER,
        MESSAGES_LIST, MESSAGES_UNDELIVERED, PERSISTENCE,
    },
    stream, subject, v1,
};
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use crate::world::World;

/// The personality that a conversation has until it is told another one.
pub(crate) const PERSONALITY: &str = "0d9a4a5e-0000-4000-8000-000000000007";

/// Gives every chat that is opened to one agent, or to nobody.
#[derive(Clone)]
pub(crate) struct Desk {
    bus: Bus,
    chats: Arc<Mutex<HashMap<(String, String), v1::Chat>>>,
    /// Agent id and user id of who is given the next chat.
    free: Arc<Mutex<Option<(String, String)>>>,
    /// What persistence has stored, of whatever conversation.
    stored: Arc<Mutex<Vec<v1::StoredMessage>>>,
    /// Answers as long as the desk is there.
    _responder: Arc<Responder>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(&'static str);

impl chasqui_kit::Coded for Refused {
    fn code(&self) -> chasqui_kit::Code {
        chasqui_kit::Code::NotFound
    }
}

/// The name of a user on the bus.
pub(crate) fn person(user: &str) -> ConversationToken {
    ConversationToken::of(&parse_address(user).unwrap())
}

/// The id of a user's chat.
pub(crate) fn chat_id(tenant: &str, user: &str) -> String {
    let tenant: Tenant = tenant.parse().unwrap();
    ConversationId::of(&tenant, &person(user)).to_string()
}

/// Writes an agent into the directory.
pub(crate) async fn enrol(world: &World, tenant: &str, agent: &str, user: &str, status: v1::AgentStatus) {
    let entry = v1::directory_entry::Entry::Agent(v1::AgentEntry {
        tenant: tenant.to_owned(),
        id: agent.to_owned(),
        user_id: user.to_owned(),
        name: "Agente".to_owned(),
        status: status.into(),
        chats_max: 0,
    });
    let directory = world.bus.jetstream().get_key_value(stream::DIRECTORY_BUCKET).await.unwrap();
    let key = stream::agent_key(&tenant.parse().unwrap(), &person(user));
    directory.put(key, v1::DirectoryEntry { entry: Some(entry) }.encode_to_vec().into()).await.unwrap();
}

impl Desk {
    pub(crate) async fn open(world: &World) -> Self {
        let stop = CancellationToken::new();
        let responder = Responder::start(&world.bus, PERSISTENCE, "a stand-in", stop).await.unwrap();
        let chats: Arc<Mutex<HashMap<(String, String), v1::Chat>>> = Arc::default();
        let free: Arc<Mutex<Option<(String, String)>>> = Arc::default();
        let (bus, known, taker) = (world.bus.clone(), chats.clone(), free.clone());
        let opened = move |question: v1::OpenChat, _| {
            let (bus, mut chat) = (bus.clone(), open_chat(&known, &taker, &question));
            if !question.agent_id.is_empty() && chat.agent_id != question.agent_id {
                let key = (question.tenant, question.conversation);
                chat = change(&known, &key, |chat| {
                    chat.status = v1::ChatStatus::Assigned.into();
                    chat.agent_id = question.agent_id;
                })
                .unwrap();
            }
            async move { Ok::<_, Refused>(tell(&bus, chat).await) }
        };
        responder.endpoint(CHATS_OPEN, opened).await.unwrap();
        let known = chats.clone();
        let found = move |question: v1::GetChat, _| {
            let chat = known.lock().unwrap().get(&(question.tenant, question.chat)).cloned();
            async move { chat.ok_or(Refused("there is no such chat")) }
        };
        responder.endpoint(CHATS_GET, found).await.unwrap();
        let known = chats.clone();
        let listed = move |question: v1::ListChats, _| {
            let chats = known.lock().unwrap();
            let mine = chats.values().filter(|chat| {
                chat.tenant == question.tenant
                    && chat.agent_id == question.agent_id
                    && chat.status() != v1::ChatStatus::Closed
            });
            let page = v1::ChatPage { chats: mine.cloned().collect(), next: String::new() };
            async move { Ok::<_, Refused>(page) }
        };
        responder.endpoint(CHATS_LIST, listed).await.unwrap();
        let (bus, known) = (world.bus.clone(), chats.clone());
        let closed = move |question: v1::CloseChat, _| {
            let (bus, key) = (bus.clone(), (question.tenant, question.chat));
            let chat = change(&known, &key, |chat| {
                chat.status = v1::ChatStatus::Closed.into();
                chat.closed_by = question.closed_by;
            });
            async move {
                let chat = chat.ok_or(Refused("there is no such chat"))?;
                Ok::<_, Refused>(tell(&bus, chat).await)
            }
        };
        responder.endpoint(CHATS_CLOSE, closed).await.unwrap();
        let found = |question: v1::GetConversation, _| {
            std::future::ready(conversation(question.tenant, question.conversation))
        };
        responder.endpoint(CONVERSATIONS_GET, found).await.unwrap();
        let steered = |question: v1::SteerConversation, _| {
            let steered =
                conversation(question.tenant, question.conversation).map(|known| v1::Conversation {
                    ai_active: question.ai_active.unwrap_or_default(),
                    no_ac_ai: question.no_ac_ai.unwrap_or(true),
                    personality_id: question.personality_id.unwrap_or_else(|| PERSONALITY.to_owned()),
                    ..known
                });
            std::future::ready(steered)
        };
        responder.endpoint(CONVERSATIONS_STEER, steered).await.unwrap();
        // It has stored nothing yet: nodes find what waits for a user in the stream.
        let waiting = |_: v1::ListUndelivered, _| async { Ok::<_, Refused>(v1::UndeliveredPage::default()) };
        responder.endpoint(MESSAGES_UNDELIVERED, waiting).await.unwrap();
        let stored: Arc<Mutex<Vec<v1::StoredMessage>>> = Arc::default();
        let known = stored.clone();
        let messages = move |question: v1::ListMessages, _| {
            let of_it = |stored: &&v1::StoredMessage| {
                stored.message.as_ref().is_some_and(|message| message.conversation == question.conversation)
            };
            let messages = known.lock().unwrap().iter().filter(of_it).rev().cloned().collect();
            async move { Ok::<_, Refused>(v1::MessagePage { messages, next: String::new() }) }
        };
        responder.endpoint(MESSAGES_LIST, messages).await.unwrap();
        Self { bus: world.bus.clone(), chats, free, stored, _responder: Arc::new(responder) }
    }

    /// Who is given the next chats.
    pub(crate) fn is_free(&self, agent: &str, user: &str) {
        *self.free.lock().unwrap() = Some((agent.to_owned(), user.to_owned()));
    }

    /// Nobody is given the next chats.
    pub(crate) fn nobody_is_free(&self) {
        *self.free.lock().unwrap() = None;
    }

    /// A message that is stored, at its place in the stream.
    pub(crate) fn store(&self, seq: u64, message: v1::Message) {
        let status = v1::Status::Sent.into();
        self.stored.lock().unwrap().push(v1::StoredMessage { message: Some(message), status, seq });
    }

    /// How many chats there are or were.
    pub(crate) fn chats(&self) -> usize {
        self.chats.lock().unwrap().len()
    }

    /// Gives the open chat of a user to an agent, long after it was opened.
    pub(crate) async fn assign(&self, user: &str, agent: &str, agent_user: &str) {
        let chat = change(&self.chats, &("default".to_owned(), person(user).to_string()), |chat| {
            chat.status = v1::ChatStatus::Assigned.into();
            agent.clone_into(&mut chat.agent_id);
            agent_user.clone_into(&mut chat.agent_user_id);
            chat.assigned_at_ms = chat.opened_at_ms + 60_000;
        });
        tell(&self.bus, chat.unwrap()).await;
    }
}

/// The only conversation that there is: of the user `u1` of the tenant `default`, who is also known by its number.
fn conversation(tenant: String, name: String) -> Result<v1::Conversation, Refused> {
    let token = person("u1");
    if tenant != "default" || name != token.as_str() {
        return Err(Refused("there is no such conversation"));
    }
    let contact = v1::Contact {
        aliases: vec![phone("5491100000001"), token.alias()],
        name: "Contact".to_owned(),
        ..v1::Contact::default()
    };
    Ok(v1::Conversation { tenant, token: name, contact: Some(contact), ..v1::Conversation::default() })
}

type Chats = Mutex<HashMap<(String, String), v1::Chat>>;

fn open_chat(chats: &Chats, free: &Mutex<Option<(String, String)>>, question: &v1::OpenChat) -> v1::Chat {
    let mut chats = chats.lock().unwrap();
    let key = (question.tenant.clone(), question.conversation.clone());
    let known = chats.get(&key).cloned();
    if let Some(open) = known.as_ref().filter(|chat| chat.status() != v1::ChatStatus::Closed) {
        return open.clone();
    }
    let known = known.unwrap_or_default();
    // Who is named has it, whoever is free.
    let named = Some((question.agent_id.clone(), String::new())).filter(|(agent, _)| !agent.is_empty());
    let free = named.or_else(|| free.lock().unwrap().clone());
    let status = if free.is_some() { v1::ChatStatus::Assigned } else { v1::ChatStatus::Waiting };
    let (agent_id, agent_user_id) = free.unwrap_or_default();
    let tenant: Tenant = question.tenant.parse().unwrap();
    let token: ConversationToken = question.conversation.parse().unwrap();
    let chat = v1::Chat {
        id: ConversationId::of(&tenant, &token).to_string(),
        tenant: tenant.to_string(),
        conversation: token.to_string(),
        episode: known.episode + 1,
        status: status.into(),
        user_id: question.user_id.clone(),
        user_name: question.user_name.clone(),
        agent_id,
        agent_user_id,
        version: known.version + 1,
        reason: question.reason.clone(),
        ..v1::Chat::default()
    };
    chats.insert(key, chat.clone());
    chat
}

fn change(chats: &Chats, key: &(String, String), change: impl FnOnce(&mut v1::Chat)) -> Option<v1::Chat> {
    let mut chats = chats.lock().unwrap();
    let chat = chats.get_mut(key)?;
    change(chat);
    chat.version += 1;
    Some(chat.clone())
}

async fn tell(bus: &Bus, chat: v1::Chat) -> v1::Chat {
    let subject = subject::chats_updated(&chat.tenant.parse().unwrap(), &chat.conversation.parse().unwrap());
    let id = format!("{}:{}", chat.id, chat.version);
    bus.publish(Fact::new(subject, &chat, id, TraceContext::root())).await.unwrap();
    chat
}
