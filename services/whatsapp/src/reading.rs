//! What contacts see of their messages being handled: that they were read, and that an answer is being written.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use chasqui_kit::{Bus, TraceContext, clock::now_ms};
use chasqui_proto::{
    ConversationToken, Tenant, subject,
    v1::{ContactWindow, MessageStatus, ReadMessage, SenderType, Status, Typing},
};
use futures::StreamExt;
use prost::Message;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Error,
    owner::Owners,
    requests::Requests,
    sessions::{SessionKey, Sessions},
    window::{self, Windows},
};

/// How often a contact is told that somebody writes to it. WhatsApp shows it for 25 s.
const TYPING_EVERY: Duration = Duration::from_secs(20);
/// How many contacts are told something at once; the others are not told.
const RECEIPTS_MAX: usize = 256;
/// How many conversations are remembered for that; more are those of the last 20 s of a very busy replica.
const TYPING_MAX: usize = 50_000;

/// Tells contacts. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    bus: Bus,
    sessions: Sessions,
    requests: Requests,
    windows: Windows,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Reading {
    pub(crate) async fn open(
        bus: &Bus,
        sessions: &Sessions,
        requests: &Requests,
        stop: &CancellationToken,
    ) -> Result<Self, Error> {
        let windows = Windows::open(bus).await.map_err(|error| Error::State(error.to_string()))?;
        Ok(Self {
            bus: bus.clone(),
            sessions: sessions.clone(),
            requests: requests.clone(),
            windows,
            places: Arc::new(Semaphore::new(RECEIPTS_MAX)),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
        })
    }

    /// The sessions that contacts are told through.
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Somebody of the tenant has read a message. Whoever follows the statuses does not wait until its contact is told.
    pub(crate) fn on_read(&self, status: MessageStatus) {
        if status.status() == Status::Read {
            let reading = self.clone();
            self.begin(async move { reading.tell_read(&status).await });
        }
    }

    /// Tells a contact something beside everything else, unless too many are being told.
    fn begin(&self, telling: impl Future<Output = ()> + Send + 'static) {
        let Ok(place) = self.places.clone().try_acquire_owned() else { return };
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(telling).await;
            drop(place);
        });
    }

    /// Waits until nobody is being told anything.
    pub(crate) async fn stopped(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Tells the contact that its message was read, if it is its newest one. What cannot be told is lost: a receipt is
    /// worth no second attempt.
    async fn tell_read(&self, status: &MessageStatus) {
        let parsed = status.tenant.parse::<Tenant>().ok().zip(status.conversation.parse().ok());
        let Some((tenant, conversation)) = parsed else { return };
        for key in self.sessions.of_tenant(&tenant) {
            let window = self.window(&key, &conversation).await;
            let Some(window) = window.filter(|window| window.message_id == status.message_id) else {
                continue;
            };
            let read = ReadMessage {
                tenant: key.tenant.to_string(),
                session: key.session.to_string(),
                provider_message_id: window.provider_message_id,
                typing: false,
            };
            if let Err(error) = self.requests.read(read, TraceContext::root()).await {
                tracing::debug!(%error, session = %key, "a contact was not told that its message was read");
            }
        }
    }

    /// Tells contacts of the sessions owned here that somebody writes to them, until stopped.
    pub(crate) async fn follow_typing(self, owners: Owners) -> Result<(), Error> {
        let subscribed = self.bus.client().subscribe(subject::typing_of_all().as_str().to_owned()).await;
        let mut typing = subscribed.map_err(|error| Error::Away(error.to_string()))?;
        let mut recently = Recently::default();
        while let Some(Some(told)) = self.stop.run_until_cancelled(typing.next()).await {
            let Ok(typing) = Typing::decode(told.payload) else { continue };
            if let Some(of) = written_to(&typing).filter(|of| recently.admits(of, Instant::now())) {
                self.stop.run_until_cancelled(self.show_typing(&owners, &of.0, &of.1)).await;
            }
        }
        Ok(())
    }

    async fn show_typing(&self, owners: &Owners, tenant: &Tenant, conversation: &ConversationToken) {
        for line in owners.of_tenant(tenant) {
            let key = SessionKey { tenant: line.tenant.clone(), session: line.session.clone() };
            let Some(window) = self.window(&key, conversation).await else { continue };
            // Nobody waits for it: the next conversation is not held up by a slow provider.
            self.begin(async move {
                let shown = line.connector.read(&window.provider_message_id, true);
                if let Some(Err(error)) = line.stop.run_until_cancelled(shown).await {
                    tracing::debug!(%error, session = %key, "a contact was not told that somebody writes");
                }
            });
        }
    }

    /// What the contact wrote last to a session, if it may still be told something about it.
    async fn window(&self, key: &SessionKey, conversation: &ConversationToken) -> Option<ContactWindow> {
        let window = self.windows.get(&key.tenant, &key.session, conversation).await.ok()??;
        let is_open = window::is_open(window.last_in_at_ms, now_ms());
        (is_open && !window.provider_message_id.is_empty()).then_some(window)
    }
}

type Conversation = (Tenant, ConversationToken);

/// The contact that is being written to, if that is what it says.
fn written_to(typing: &Typing) -> Option<Conversation> {
    let is_ours = matches!(typing.sender_type(), SenderType::Agent | SenderType::Ai);
    let of = typing.tenant.parse().ok().zip(typing.conversation.parse().ok());
    of.filter(|_| is_ours && typing.typing)
}

/// Which conversations were told of lately.
#[derive(Debug, Default)]
struct Recently(HashMap<Conversation, Instant>);

impl Recently {
    /// Whether this one is told of now.
    fn admits(&mut self, of: &Conversation, now: Instant) -> bool {
        if self.0.get(of).is_some_and(|last| now.duration_since(*last) < TYPING_EVERY) {
            return false;
        }
        if self.0.len() >= TYPING_MAX {
            self.0.retain(|_, last| now.duration_since(*last) < TYPING_EVERY);
        }
        if self.0.len() >= TYPING_MAX {
            return false;
        }
        self.0.insert(of.clone(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typing(sender: SenderType, typing: bool) -> Typing {
        Typing {
            tenant: "default".to_owned(),
            conversation: "5491100000001".to_owned(),
            sender_type: sender.into(),
            typing,
            ..Typing::default()
        }
    }

    #[test]
    fn contacts_are_told_of_agents_and_bots_that_write() {
        assert!(written_to(&typing(SenderType::Agent, true)).is_some());
        assert!(written_to(&typing(SenderType::Ai, true)).is_some());
        assert!(written_to(&typing(SenderType::User, true)).is_none());
        assert!(written_to(&typing(SenderType::Agent, false)).is_none());
    }

    #[test]
    fn a_conversation_is_told_of_once_in_twenty_seconds() {
        let (mut recently, now) = (Recently::default(), Instant::now());
        let of = written_to(&typing(SenderType::Agent, true)).unwrap();
        assert!(recently.admits(&of, now));
        assert!(!recently.admits(&of, now + TYPING_EVERY / 2));
        assert!(recently.admits(&of, now + TYPING_EVERY));
        let other = (of.0, "5491100000002".parse().unwrap());
        assert!(recently.admits(&other, now + TYPING_EVERY));
    }
}
