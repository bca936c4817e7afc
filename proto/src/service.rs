//! Request subjects: what each service answers, as NATS micro services.

use std::marker::PhantomData;

use crate::v1;

/// A request subject with the types of its question and answer.
#[derive(Debug)]
pub struct Endpoint<Q, A> {
    /// The micro service that answers, as `nats micro ls` shows it.
    pub service: &'static str,
    /// The request's subject.
    pub subject: &'static str,
    types: PhantomData<fn(Q) -> A>,
}

impl<Q, A> Clone for Endpoint<Q, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q, A> Copy for Endpoint<Q, A> {}

impl<Q, A> Endpoint<Q, A> {
    const fn new(service: &'static str, subject: &'static str) -> Self {
        Self { service, subject, types: PhantomData }
    }

    /// The endpoint's own name: the subject without the service.
    pub fn name(&self) -> String {
        self.subject.trim_start_matches(self.service).trim_start_matches('.').replace('.', "-")
    }
}

/// The micro service of `persistence`.
pub const PERSISTENCE: &str = "persistence";

/// Conversations of a tenant, newest first.
pub const CONVERSATIONS_LIST: Endpoint<v1::ListConversations, v1::ConversationPage> =
    Endpoint::new(PERSISTENCE, "persistence.conversations.list");
/// One conversation.
pub const CONVERSATIONS_GET: Endpoint<v1::GetConversation, v1::Conversation> =
    Endpoint::new(PERSISTENCE, "persistence.conversations.get");
/// An agent has seen a conversation: nothing in it is unread any more. Answers with the state after it.
pub const CONVERSATIONS_MARK_READ: Endpoint<v1::MarkRead, v1::Conversation> =
    Endpoint::new(PERSISTENCE, "persistence.conversations.mark-read");
/// Messages of a conversation, newest first.
pub const MESSAGES_LIST: Endpoint<v1::ListMessages, v1::MessagePage> =
    Endpoint::new(PERSISTENCE, "persistence.messages.list");
/// What was written to a web widget while nobody had it open.
pub const MESSAGES_UNDELIVERED: Endpoint<v1::ListUndelivered, v1::UndeliveredPage> =
    Endpoint::new(PERSISTENCE, "persistence.messages.undelivered");
/// What a client missed.
pub const EVENTS_SINCE: Endpoint<v1::ListEvents, v1::EventPage> =
    Endpoint::new(PERSISTENCE, "persistence.events.since");
/// The counters of a tenant.
pub const STATS_GET: Endpoint<v1::GetStats, v1::Stats> = Endpoint::new(PERSISTENCE, "persistence.stats.get");
