//! Answers to other services.

use std::{collections::HashSet, time::Duration};

use chasqui_kit::{Platform, TraceContext, clock, serve::Responder};
use chasqui_proto::{ConversationId, Tenant, service, v1};
use prost::Message;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    appointments::Appointments,
    campaigns::Campaigns,
    chats::Chats,
    counters,
    directory::{Administration, Replication},
    error::Error,
    fact,
    opt_outs::OptOuts,
    page,
    position::Positions,
    reference::Reference,
    register::Register,
    state::{self, Told},
    stats::Changed,
    store::{
        self,
        conversations::{self, Steering},
        deliveries::{self, Wanted},
        events::{self, Span},
        states,
    },
};

/// The most events one answer has, however many were asked for.
const EVENTS_MAX: u32 = 5_000;
/// The most messages to a widget that are shown when it is opened again.
const UNDELIVERED_MAX: u32 = 100;
/// How old a message to a widget may be to be shown when it is opened again.
const UNDELIVERED_AGE_MAX: Duration = Duration::from_hours(7 * 24);

/// Answers from the database.
#[derive(Clone)]
pub(crate) struct Queries {
    pub(crate) platform: Platform,
    pub(crate) pool: PgPool,
    pub(crate) positions: Positions,
    pub(crate) changed: Changed,
    pub(crate) chats: Chats,
    pub(crate) appointments: Appointments,
}

impl Queries {
    /// Starts answering.
    pub(crate) async fn start(self, stop: CancellationToken) -> Result<Responder, Error> {
        let description = "Conversations, messages and counters, as stored in PostgreSQL";
        let responder = Responder::start(&self.platform.bus, service::PERSISTENCE, description, stop).await?;
        macro_rules! answer {
            ($endpoint:ident, $method:ident) => {
                let queries = self.clone();
                let answer = move |question, trace| {
                    let queries = queries.clone();
                    async move { queries.$method(question, trace).await }
                };
                responder.endpoint(service::$endpoint, answer).await?;
            };
        }
        answer!(CONVERSATIONS_LIST, list_conversations);
        answer!(CONVERSATIONS_GET, get_conversation);
        answer!(CONVERSATIONS_MARK_READ, mark_read);
        answer!(CONVERSATIONS_STEER, steer);
        answer!(MESSAGES_LIST, list_messages);
        answer!(MESSAGES_GET, get_message);
        answer!(MESSAGES_UNDELIVERED, list_undelivered);
        answer!(EVENTS_SINCE, list_events);
        answer!(STATS_GET, get_stats);
        answer!(DELIVERIES_LIST, list_deliveries);
        self.chats.answer(&responder).await?;
        self.appointments.answer(&responder).await?;
        Campaigns { pool: self.pool.clone() }.answer(&responder).await?;
        OptOuts { pool: self.pool.clone(), positions: self.positions.clone() }.answer(&responder).await?;
        Register(self.pool.clone()).answer(&responder).await?;
        let replication = Replication::new(&self.platform.bus, &self.pool);
        let (pool, chats) = (self.pool.clone(), self.chats.clone());
        Administration { pool, replication, chats }.answer(&responder).await?;
        Ok(responder)
    }

    async fn list_conversations(
        &self,
        question: v1::ListConversations,
        _: TraceContext,
    ) -> Result<v1::ConversationPage, Error> {
        let (tenant, limit) = (tenant(&question.tenant)?, page::limit(question.limit)?);
        let before = page::before(&question.cursor)?;
        let found = states::page(&self.pool, tenant.as_str(), before, one_more(limit)).await?;
        let (found, left) = page::cut(found, limit, |state| state.conversation.encoded_len());
        let next = found.last().filter(|_| left).map(|state| page::cursor_before(state.last_seq));
        let conversations = found.into_iter().map(|state| state.conversation).collect();
        Ok(v1::ConversationPage { conversations, next: next.unwrap_or_default() })
    }

    async fn get_conversation(
        &self,
        question: v1::GetConversation,
        _: TraceContext,
    ) -> Result<v1::Conversation, Error> {
        let tenant = tenant(&question.tenant)?;
        let id = self.existing(&tenant, &question.conversation).await?;
        self.state(id).await
    }

    async fn mark_read(
        &self,
        question: v1::MarkRead,
        trace: TraceContext,
    ) -> Result<v1::Conversation, Error> {
        let tenant = tenant(&question.tenant)?;
        let id = self.existing(&tenant, &question.conversation).await?;
        let changed = conversations::mark_read(&self.pool, id).await?;
        if changed {
            self.changed.add([tenant.to_string()]);
        }
        self.tell(id, trace).await
    }

    async fn steer(
        &self,
        question: v1::SteerConversation,
        trace: TraceContext,
    ) -> Result<v1::Conversation, Error> {
        let tenant = tenant(&question.tenant)?;
        let invalid = |_| Error::Invalid {
            field: "personality_id",
            expected: "must be the UUID of a personality, or empty for none".to_owned(),
        };
        let personality_id = match question.personality_id.as_deref() {
            None => None,
            Some("") => Some(Uuid::nil()),
            Some(id) => Some(id.parse().map_err(invalid)?),
        };
        let (ai_active, no_ac_ai) = (question.ai_active, question.no_ac_ai);
        let id = self.existing(&tenant, &question.conversation).await?;
        conversations::steer(&self.pool, id, Steering { ai_active, no_ac_ai, personality_id }).await?;
        self.tell(id, trace).await
    }

    /// Tells how a conversation stands, and answers with that. Also where a request changed nothing: an earlier attempt
    /// may have stored it and failed to tell.
    async fn tell(&self, id: Uuid, trace: TraceContext) -> Result<v1::Conversation, Error> {
        let state = self.state(id).await?;
        let told = Told { state: state.clone(), trace };
        state::tell(&self.platform, &self.pool, vec![told]).await.map_err(|(_, error)| error)?;
        Ok(state)
    }

    async fn list_messages(
        &self,
        question: v1::ListMessages,
        _: TraceContext,
    ) -> Result<v1::MessagePage, Error> {
        let (tenant, limit) = (tenant(&question.tenant)?, page::limit(question.limit)?);
        let before = page::before(&question.cursor)?;
        let id = self.existing(&tenant, &question.conversation).await?;
        let found = events::messages_before(&self.pool, id, before, one_more(limit)).await?;
        let (messages, left) = page::cut(found, limit, Message::encoded_len);
        let next = messages.last().filter(|_| left).map(|last| page::cursor_before(position(last.seq)));
        Ok(v1::MessagePage { messages, next: next.unwrap_or_default() })
    }

    async fn get_message(
        &self,
        question: v1::GetMessage,
        _: TraceContext,
    ) -> Result<v1::StoredMessage, Error> {
        let tenant = tenant(&question.tenant)?;
        let id = question.message_id.parse().map_err(|_| Error::Invalid {
            field: "message_id",
            expected: "must be the UUID of a message".to_owned(),
        })?;
        let found = events::message(&self.pool, tenant.as_str(), id).await?;
        found.ok_or(Error::NotFound("message"))
    }

    async fn list_undelivered(
        &self,
        question: v1::ListUndelivered,
        _: TraceContext,
    ) -> Result<v1::UndeliveredPage, Error> {
        let tenant = tenant(&question.tenant)?;
        let limit = bounded(question.limit, UNDELIVERED_MAX);
        let watermark_seq = self.positions.stored_up_to().await?;
        let Some(id) = self.find(&tenant, &question.conversation).await? else {
            return Ok(v1::UndeliveredPage { watermark_seq, ..v1::UndeliveredPage::default() });
        };
        let age_ms = i64::try_from(UNDELIVERED_AGE_MAX.as_millis()).unwrap_or(i64::MAX);
        let since = fact::moment(clock::now_ms() - age_ms);
        let newest =
            events::undelivered(&self.pool, id, since, position(watermark_seq), i64::from(limit)).await?;
        let (mut messages, _) = page::cut(newest, usize::MAX, Message::encoded_len);
        messages.reverse();
        Ok(v1::UndeliveredPage { messages, watermark_seq })
    }

    async fn list_events(&self, question: v1::ListEvents, _: TraceContext) -> Result<v1::EventPage, Error> {
        let tenant = tenant(&question.tenant)?;
        let limit = usize::try_from(bounded(question.limit, EVENTS_MAX)).unwrap_or(usize::MAX);
        let watermark_seq = self.positions.stored_up_to().await?;
        let empty = |truncated| v1::EventPage { watermark_seq, truncated, ..v1::EventPage::default() };
        let conversation = match question.conversation.as_str() {
            "" => None,
            name => match self.find(&tenant, name).await? {
                Some(id) => Some(id),
                None => return Ok(empty(false)),
            },
        };
        let span = Span { after_seq: position(question.after_seq), up_to_seq: position(watermark_seq) };
        let events = events::within(&self.pool, tenant.as_str(), conversation, span, one_more(limit)).await?;
        if events.len() > limit {
            return Ok(empty(true));
        }
        let conversations = self.states_since(&tenant, conversation, span.after_seq, &events).await?;
        let page = v1::EventPage { events, conversations, ..empty(false) };
        Ok(if page::fits(&[&page], |page| page.encoded_len()) { page } else { empty(true) })
    }

    async fn get_stats(&self, question: v1::GetStats, _: TraceContext) -> Result<v1::Stats, Error> {
        let tenant = tenant(&question.tenant)?;
        let counters = store::counters::read(&self.pool, tenant.as_str()).await?;
        Ok(counters::stats(tenant.as_str(), &counters, clock::now_ms()))
    }

    async fn list_deliveries(
        &self,
        question: v1::ListDeliveries,
        _: TraceContext,
    ) -> Result<v1::DeliveryPage, Error> {
        let limit = page::limit(question.limit)?;
        let listener = match question.listener.as_str() {
            "" => None,
            id => Some(id.parse().map_err(|_| Error::Invalid {
                field: "listener",
                expected: "must be the UUID of a listener, or empty for all".to_owned(),
            })?),
        };
        let wanted = Wanted {
            tenant: tenant(&question.tenant)?,
            listener,
            outcome: Some(question.outcome()).filter(|outcome| !outcome.name().is_empty()),
            since: Some(question.since_ms).filter(|at| *at > 0).map(fact::moment),
            before: page::before(&question.cursor)?,
        };
        let found = deliveries::page(&self.pool, &wanted, one_more(limit)).await?;
        let (found, left) = page::cut(found, limit, |placed| placed.delivery.encoded_len());
        let next = found.last().filter(|_| left).map(|placed| page::cursor_before(placed.position));
        let deliveries = found.into_iter().map(|placed| placed.delivery).collect();
        Ok(v1::DeliveryPage { deliveries, next: next.unwrap_or_default() })
    }

    /// The states of the conversations that have new messages, or that events are about.
    async fn states_since(
        &self,
        tenant: &Tenant,
        conversation: Option<Uuid>,
        after_seq: i64,
        events: &[v1::StoredEvent],
    ) -> Result<Vec<v1::Conversation>, Error> {
        let found = if let Some(id) = conversation {
            let mut found = states::of_ids(&self.pool, &[id]).await?;
            found.retain(|state| state.last_seq > after_seq || !events.is_empty());
            found
        } else {
            let ids: HashSet<Uuid> =
                events.iter().filter_map(|event| conversation_of(tenant, event)).collect();
            let ids: Vec<Uuid> = ids.into_iter().collect();
            let limit = i64::from(EVENTS_MAX);
            states::changed_since(&self.pool, tenant.as_str(), after_seq, &ids, limit).await?
        };
        Ok(found.into_iter().map(|state| state.conversation).collect())
    }

    async fn find(&self, tenant: &Tenant, name: &str) -> Result<Option<Uuid>, Error> {
        Reference::read(tenant, name).find(&self.pool, tenant).await
    }

    async fn existing(&self, tenant: &Tenant, name: &str) -> Result<Uuid, Error> {
        self.find(tenant, name).await?.ok_or(Error::NotFound("conversation"))
    }

    async fn state(&self, id: Uuid) -> Result<v1::Conversation, Error> {
        let found = states::of_ids(&self.pool, &[id]).await?;
        found.into_iter().next().map(|state| state.conversation).ok_or(Error::NotFound("conversation"))
    }
}

fn conversation_of(tenant: &Tenant, event: &v1::StoredEvent) -> Option<Uuid> {
    let token = match event.fact.as_ref()? {
        v1::stored_event::Fact::Message(message) => &message.conversation,
        v1::stored_event::Fact::Status(status) => &status.conversation,
    };
    Some(ConversationId::of(tenant, &token.parse().ok()?).0)
}

/// The tenant that a request names.
pub(crate) fn tenant(name: &str) -> Result<Tenant, Error> {
    name.parse().map_err(|error| Error::Invalid { field: "tenant", expected: format!("{error}") })
}

/// What was asked for, at most `max`; nothing asked for is `max`.
fn bounded(asked: u32, max: u32) -> u32 {
    if asked == 0 { max } else { asked.min(max) }
}

/// One row more than a page shows tells whether another follows.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

fn position(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
