//! What a client of the dialect shows: the member that its feed delivers to.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use chasqui_kit::{Code, Coded, TraceContext, request::RequestError};
use chasqui_proto::{
    service::{CHATS_GET, CHATS_LIST, MESSAGES_LIST},
    v1,
};

use super::{
    super::Seat,
    handover::{self, EARLIER_MESSAGES_MAX},
    viewer::Viewer,
};
use crate::{
    auth::Identity,
    close::CloseCode,
    dialect::{Dialect, chat},
    event::{Event, Fact},
    feed::{Greeting, Member},
    history::is_for_widget,
    outbox::{Delivery, Outbox},
    service::Edge,
};

/// The most events that wait while a client's chats, or the messages of one, are asked for; more and it comes back
/// later.
const HELD_EVENTS_MAX: usize = 4_096;
/// How many messages of nobody's chats an agent's client remembers, until one of them turns out to be its own: a
/// message and the chat it opens come by two streams.
const PASSED_EVENTS_MAX: usize = 256;
/// The most chats an agent begins with.
const CHATS_MAX: usize = 1_000;
/// How many of them are asked for at once.
const CHATS_PAGE: u32 = 200;
/// The most messages of one socket that wait for its confirmation; a client that confirms nothing is closed as slow
/// long before, by the bytes in its outbox.
const UNCONFIRMED_MAX: usize = 4_096;

/// A client's screen.
#[derive(Debug)]
pub(super) struct Screen {
    /// For what outlives the call of the feed.
    me: Weak<Self>,
    edge: Arc<Edge>,
    identity: Arc<Identity>,
    agent_id: Option<String>,
    outbox: Arc<Outbox>,
    /// The ticket that the client brings when it comes back.
    session: Box<str>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    viewer: Viewer,
    /// What came before the client's chats were known; `None` once they are.
    held: Option<Vec<Arc<Event>>>,
    /// Messages of nobody's chats, for as long as the chat may be heard of.
    passed: VecDeque<Arc<Event>>,
    /// What came in chats whose earlier messages are being asked for, by conversation.
    handed_over: HashMap<String, Vec<Arc<Event>>>,
    /// Messages that left and are not confirmed yet, with their place in the outbox.
    unconfirmed: VecDeque<(u64, String)>,
}

impl Member for Screen {
    fn greet(&self, greeting: &Greeting) {
        let (Some(me), greeting) = (self.me.upgrade(), greeting.clone()) else { return };
        // The feed hears from here on: what is asked for now is at least as new as what it shows.
        self.edge.tasks.spawn(async move { me.begin(&greeting).await });
    }

    fn deliver(&self, event: &Arc<Event>) {
        let mut state = self.state();
        match &mut state.held {
            Some(held) if held.len() < HELD_EVENTS_MAX => held.push(event.clone()),
            Some(_) => self.outbox.close(CloseCode::SLOW_CONSUMER),
            None => self.show(&mut state, event),
        }
    }

    fn dismiss(&self) {
        self.outbox.close(CloseCode::SLOW_CONSUMER);
    }
}

impl Screen {
    /// Takes the seat's ticket: the client is told it once.
    pub(super) fn new(seat: &mut Seat, agent_id: Option<String>) -> Arc<Self> {
        let state = State {
            viewer: Viewer::new(&seat.identity, agent_id.clone()),
            held: Some(Vec::new()),
            passed: VecDeque::new(),
            handed_over: HashMap::new(),
            unconfirmed: VecDeque::new(),
        };
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            edge: seat.edge.clone(),
            identity: seat.identity.clone(),
            agent_id,
            outbox: seat.outbox.clone(),
            session: std::mem::take(&mut seat.session),
            state: Mutex::new(state),
        })
    }

    /// Looks at who the client is and which chats it has.
    pub(super) fn viewer<T>(&self, look: impl FnOnce(&Viewer) -> T) -> T {
        look(&self.state().viewer)
    }

    /// Takes a chat that persistence answered with, and shows it unless the client was shown it before.
    pub(super) fn learn(&self, chat: v1::Chat) {
        let event = Arc::new(Event::of_state(Fact::Chat(Box::new(chat))));
        self.show_chat(&mut self.state(), &event);
    }

    /// Messages that have certainly arrived: everything up to this position of the outbox has.
    pub(super) fn take_confirmed(&self, position: u64) -> Vec<String> {
        let unconfirmed = &mut self.state().unconfirmed;
        let count = unconfirmed.iter().take_while(|(at, _)| *at <= position).count();
        unconfirmed.drain(..count).map(|(_, message)| message).collect()
    }

    /// BEN-11, BEN-12: what a client begins with, then what happened meanwhile.
    async fn begin(&self, greeting: &Greeting) {
        let asked = match &self.agent_id {
            Some(agent_id) => self.chats_of_agent(agent_id).await,
            None => self.chat_of_user().await,
        };
        let chats = match asked {
            Ok(chats) => chats,
            Err(error) => {
                metrics::counter!("chasqui_edge_chats_unread_total").increment(1);
                if self.agent_id.is_some() {
                    tracing::warn!(%error, "an agent's chats cannot be read; it is sent to come back");
                    // Without them it would be shown nothing.
                    self.outbox.close(CloseCode::INTERNAL);
                    return;
                }
                tracing::debug!(%error, "a user's chat cannot be read; it is shown none");
                Vec::new()
            }
        };
        let online = self.edge.roster.presences().online(&self.identity.tenant);
        let mut state = self.state();
        for chat in &chats {
            state.viewer.learn(chat);
        }
        let _ = self
            .outbox
            .push(chat::active_chats(state.viewer.chats(), greeting, &self.session), Delivery::Reply);
        let _ = self.outbox.push(chat::online_users(&online), Delivery::Volatile);
        for event in state.held.take().unwrap_or_default() {
            self.show(&mut state, &event);
        }
    }

    async fn chats_of_agent(&self, agent_id: &str) -> Result<Vec<v1::Chat>, RequestError> {
        let mut question = v1::ListChats {
            tenant: self.identity.tenant.to_string(),
            agent_id: agent_id.to_owned(),
            cursor: String::new(),
            limit: CHATS_PAGE,
        };
        let mut chats = Vec::new();
        loop {
            let page = self.edge.bus.ask(CHATS_LIST, &question, TraceContext::root()).await?;
            chats.extend(page.chats);
            if page.next.is_empty() || chats.len() >= CHATS_MAX {
                return Ok(chats);
            }
            question.cursor = page.next;
        }
    }

    async fn chat_of_user(&self) -> Result<Vec<v1::Chat>, RequestError> {
        let question =
            v1::GetChat { tenant: self.identity.tenant.to_string(), chat: self.identity.person.to_string() };
        match self.edge.bus.ask(CHATS_GET, &question, TraceContext::root()).await {
            Ok(chat) => Ok(vec![chat]),
            Err(error) if error.code() == Code::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn show(&self, state: &mut State, event: &Arc<Event>) {
        if matches!(event.fact, Fact::Chat(_)) {
            self.show_chat(state, event);
            return;
        }
        let conversation = event.fact.conversation().unwrap_or_default();
        if let Some(held) = state.handed_over.get_mut(conversation) {
            if held.len() < HELD_EVENTS_MAX {
                held.push(event.clone());
            } else {
                self.outbox.close(CloseCode::SLOW_CONSUMER);
            }
            return;
        }
        if state.viewer.may_concern_later(&event.fact) {
            if state.passed.len() == PASSED_EVENTS_MAX {
                state.passed.pop_front();
            }
            state.passed.push_back(event.clone());
            return;
        }
        self.show_frames(state, event);
    }

    fn show_frames(&self, state: &mut State, event: &Arc<Event>) {
        for dialect in state.viewer.frames(event) {
            let Some(frame) = event.frame(*dialect) else { continue };
            let awaited = awaited(event).filter(|_| self.agent_id.is_none());
            let delivery = if awaited.is_some() { Delivery::Durable } else { event.delivery() };
            // A full outbox closes itself: the client comes back and is shown what it did not confirm.
            let Ok(position) = self.outbox.push(frame.clone(), delivery) else { return };
            let Some(message) = awaited else { continue };
            state.unconfirmed.push_back((position, message.to_owned()));
            if state.unconfirmed.len() > UNCONFIRMED_MAX {
                self.outbox.close(CloseCode::SLOW_CONSUMER);
            }
        }
    }

    fn show_chat(&self, state: &mut State, event: &Arc<Event>) {
        let Fact::Chat(chat) = &event.fact else { return };
        let was_known = state.viewer.version(&chat.conversation) > 0;
        if !state.viewer.learn(chat) {
            return;
        }
        if let Some(frame) = event.frame(Dialect::Chat) {
            let _ = self.outbox.push(frame.clone(), Delivery::Reply);
        }
        let (remain, now_its_own): (VecDeque<_>, VecDeque<_>) =
            state.passed.drain(..).partition(|passed| state.viewer.may_concern_later(&passed.fact));
        state.passed = remain;
        if !was_known && self.agent_id.is_some() && handover::has_earlier(chat) {
            self.hand_over(state, chat, now_its_own);
        } else {
            for message in &now_its_own {
                self.show_frames(state, message);
            }
        }
    }

    /// Asks for what was written before the chat became the agent's; what comes meanwhile waits.
    fn hand_over(&self, state: &mut State, chat: &v1::Chat, heard: VecDeque<Arc<Event>>) {
        let held = state.handed_over.entry(chat.conversation.clone());
        let (is_asked_for, Some(me)) = (matches!(held, Entry::Occupied(_)), self.me.upgrade()) else {
            return;
        };
        held.or_default().extend(heard);
        if is_asked_for {
            return;
        }
        let chat = chat.clone();
        self.edge.tasks.spawn(async move {
            let question = v1::ListMessages {
                tenant: chat.tenant.clone(),
                conversation: chat.conversation.clone(),
                cursor: String::new(),
                limit: EARLIER_MESSAGES_MAX,
            };
            let asked = me.edge.bus.ask(MESSAGES_LIST, &question, TraceContext::root()).await;
            let mut stored = asked.unwrap_or_else(|error| {
                metrics::counter!("chasqui_edge_chats_unread_total").increment(1);
                tracing::warn!(%error, "an agent is not shown what was written before it came");
                v1::MessagePage::default()
            });
            me.edge.files.addresses.give_all(&mut stored.messages);
            let mut state = me.state();
            let heard = state.handed_over.remove(&chat.conversation).unwrap_or_default();
            for event in handover::merge(&chat, stored, heard) {
                me.show_frames(&mut state, &event);
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The message of an event that is shown again on the next connection unless its arrival is confirmed.
fn awaited(event: &Event) -> Option<&str> {
    match &event.fact {
        Fact::Message { message, .. } if is_for_widget(message) => Some(&message.id),
        _ => None,
    }
}
