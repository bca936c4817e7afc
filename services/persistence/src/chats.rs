//! Chats between contacts and agents: opened, given to agents, closed.

use std::{collections::HashSet, sync::Arc, time::Duration};

use chasqui_kit::{TraceContext, serve::Responder};
use chasqui_proto::{Tenant, address, service, v1};
use prost::Message;
use sqlx::{PgPool, Postgres, Transaction};
use time::OffsetDateTime;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::{
    chat::{self, Gift, Waiting},
    error::Error,
    meter, page,
    queries::{one_more, tenant},
    reference::{self, Reference},
    store::{
        chats::{self as rows, Opener, Row},
        queue::{self, Given, Orphan},
        told,
    },
};

/// How many chats of a tenant are given or taken in one transaction; the rest follows in the next.
const PASS_MAX: i64 = 1_000;
/// How many transactions of one process change chats at once; the other connections are for those who store and ask.
const CHANGES_MAX: usize = 2;
/// The longest id of a user or agent, bytes: as long as an address may be.
const ID_BYTES_MAX: usize = address::ADDRESS_LENGTH_MAX;
/// The longest name of a user, bytes.
const NAME_BYTES_MAX: usize = 256;
/// The longest reason why people have a chat, bytes.
const REASON_BYTES_MAX: usize = 64;

/// Answers for chats, and keeps their queues moving.
#[derive(Clone, Debug)]
pub(crate) struct Chats {
    pub(super) pool: PgPool,
    /// How long the chats of an agent who left stay its own.
    pub(super) grace: Duration,
    /// Who changes chats holds a place: the database lets one at a time change those of a tenant, and whoever waits for
    /// that holds a connection meanwhile.
    places: Arc<Semaphore>,
    /// Told when chats changed that others have to be told of.
    pub(super) changed: Arc<Notify>,
    /// Told when something may be due now.
    pub(super) due: Arc<Notify>,
}

/// A transaction that changes chats of a tenant while nobody else does.
struct Change<'a> {
    transaction: Transaction<'static, Postgres>,
    tenant: &'a Tenant,
    now: OffsetDateTime,
    /// Conversations whose chats changed.
    conversations: Vec<Uuid>,
    given: Vec<Given>,
    _place: SemaphorePermit<'a>,
}

impl Chats {
    pub(crate) fn new(pool: PgPool, grace: Duration) -> Self {
        Self {
            pool,
            grace,
            places: Arc::new(Semaphore::new(CHANGES_MAX)),
            changed: Arc::default(),
            due: Arc::default(),
        }
    }

    /// Something changed that chats may have to follow: an agent, or its limit.
    pub(crate) fn look_soon(&self) {
        self.due.notify_one();
    }

    /// Answers requests about chats.
    pub(crate) async fn answer(&self, responder: &Responder) -> Result<(), Error> {
        macro_rules! answer {
            ($endpoint:ident, $method:ident) => {
                let chats = self.clone();
                let answer = move |question, _: TraceContext| {
                    let chats = chats.clone();
                    async move { chats.$method(question).await }
                };
                responder.endpoint(service::$endpoint, answer).await?;
            };
        }
        answer!(CHATS_OPEN, open);
        answer!(CHATS_GET, get);
        answer!(CHATS_LIST, list);
        answer!(CHATS_CLOSE, close);
        answer!(CHATS_ASSIGN, assign);
        Ok(())
    }

    async fn open(&self, question: v1::OpenChat) -> Result<v1::Chat, Error> {
        let tenant = tenant(&question.tenant)?;
        let opener = Opener {
            user_id: text("user_id", &question.user_id, ID_BYTES_MAX)?,
            user_name: text("user_name", &question.user_name, NAME_BYTES_MAX)?,
            reason: text("reason", &question.reason, REASON_BYTES_MAX)?,
        };
        let agent = text("agent_id", &question.agent_id, ID_BYTES_MAX)?;
        let place = reference::place(&self.pool, tenant.clone(), &question.conversation).await?;
        // Most of those who ask have an open chat: they wait for nobody.
        let is_with = |row: &Row| agent.is_empty() || row.agent_id.as_deref() == Some(agent);
        let is_so = |row: &Row| row.is_open() && !row.lacks(opener.reason) && is_with(row);
        if let Some(open) = rows::newest(&self.pool, place.id).await?.filter(is_so) {
            return Ok(open.state());
        }
        let mut change = self.begin(&tenant).await?;
        let newest = rows::newest(&mut *change.transaction, place.id).await?;
        match newest.as_ref().filter(|row| row.is_open()) {
            Some(open) if is_so(open) => return Ok(open.clone().state()),
            Some(open) if open.lacks(opener.reason) => {
                rows::give_reason(&mut change.transaction, open.id, opener.reason, change.now).await?;
            }
            Some(_) => {}
            None => {
                rows::insert(&mut change.transaction, &place, newest.as_ref(), opener, change.now).await?;
            }
        }
        change.conversations.push(place.id);
        // Before the queue follows: whoever is free is neither given it nor told of it.
        if let Some(chat) =
            rows::newest(&mut *change.transaction, place.id).await?.filter(|row| !is_with(row))
        {
            change.give_to(agent, &chat).await?;
        }
        self.finish(change, place.id).await
    }

    async fn get(&self, question: v1::GetChat) -> Result<v1::Chat, Error> {
        let tenant = tenant(&question.tenant)?;
        let conversation = self.conversation(&tenant, &question.chat).await?;
        let newest = rows::newest(&self.pool, conversation).await?;
        newest.map(Row::state).ok_or(Error::NotFound("chat"))
    }

    async fn list(&self, question: v1::ListChats) -> Result<v1::ChatPage, Error> {
        let (tenant, limit) = (tenant(&question.tenant)?, page::limit(question.limit)?);
        let agent = text("agent_id", &question.agent_id, ID_BYTES_MAX)?;
        let agent = (!agent.is_empty()).then_some(agent);
        let after = if question.cursor.is_empty() { 0 } else { page::before(&question.cursor)? };
        let found = rows::page(&self.pool, tenant.as_str(), agent, after, one_more(limit)).await?;
        let (found, left) = page::cut(found, limit, |row| row.clone().state().encoded_len());
        let next = found.last().filter(|_| left).map(|row| page::cursor_before(row.position));
        let chats = found.into_iter().map(Row::state).collect();
        Ok(v1::ChatPage { chats, next: next.unwrap_or_default() })
    }

    async fn close(&self, question: v1::CloseChat) -> Result<v1::Chat, Error> {
        let tenant = tenant(&question.tenant)?;
        let closed_by = text("closed_by", &question.closed_by, ID_BYTES_MAX)?;
        let conversation = self.conversation(&tenant, &question.chat).await?;
        let mut change = self.begin(&tenant).await?;
        let newest = rows::newest(&mut *change.transaction, conversation).await?;
        let newest = newest.ok_or(Error::NotFound("chat"))?;
        if !newest.is_open() {
            return Ok(newest.state());
        }
        rows::close(&mut change.transaction, newest.id, closed_by, change.now).await?;
        change.conversations.push(conversation);
        self.finish(change, conversation).await
    }

    async fn assign(&self, question: v1::AssignChat) -> Result<v1::Chat, Error> {
        let tenant = tenant(&question.tenant)?;
        let agent = text("agent_id", &question.agent_id, ID_BYTES_MAX)?;
        let conversation = self.conversation(&tenant, &question.chat).await?;
        let mut change = self.begin(&tenant).await?;
        let newest = rows::newest(&mut *change.transaction, conversation).await?;
        let newest = newest.ok_or(Error::NotFound("chat"))?;
        if !newest.is_open() {
            return Err(Error::Conflict { field: "chat", problem: "is closed" });
        }
        if newest.agent_id.as_deref().unwrap_or_default() == agent {
            return Ok(newest.state());
        }
        if agent.is_empty() {
            rows::give_back(&mut change.transaction, newest.id, change.now).await?;
            change.conversations.push(conversation);
        } else {
            change.give_to(agent, &newest).await?;
        }
        self.finish(change, conversation).await
    }

    /// Gives the chats of a tenant that wait to agents who are free, and takes them from those who are gone too long.
    pub(super) async fn settle(&self, tenant: &Tenant) -> Result<(), Error> {
        let change = self.begin(tenant).await?;
        self.commit(change).await
    }

    async fn begin<'a>(&'a self, tenant: &'a Tenant) -> Result<Change<'a>, Error> {
        let place = self.places.acquire().await.expect("the semaphore is never closed");
        let mut transaction = self.pool.begin().await?;
        let now = rows::lock(&mut transaction, tenant.as_str()).await?;
        let (conversations, given) = Default::default();
        Ok(Change { transaction, tenant, now, conversations, given, _place: place })
    }

    /// Lets the queue follow what changed, and answers with the chat as it stands then.
    async fn finish(&self, change: Change<'_>, conversation: Uuid) -> Result<v1::Chat, Error> {
        self.commit(change).await?;
        let newest = rows::newest(&self.pool, conversation).await?;
        newest.map(Row::state).ok_or(Error::NotFound("chat"))
    }

    async fn commit(&self, mut change: Change<'_>) -> Result<(), Error> {
        change.settle(self.grace).await?;
        if change.conversations.is_empty() {
            return Ok(());
        }
        told::note(&mut change.transaction, &change.conversations).await?;
        change.transaction.commit().await?;
        meter::chats_given(&change.given);
        self.changed.notify_one();
        Ok(())
    }

    async fn conversation(&self, tenant: &Tenant, name: &str) -> Result<Uuid, Error> {
        let found = Reference::read(tenant, name).find(&self.pool, tenant).await?;
        found.ok_or(Error::NotFound("chat"))
    }
}

impl Change<'_> {
    /// A person names the agent: then neither its limit counts, nor whether it is there.
    async fn give_to(&mut self, agent: &str, chat: &Row) -> Result<(), Error> {
        let (connection, tenant) = (&mut *self.transaction, self.tenant.as_str());
        let found = queue::agent(connection, tenant, agent).await?;
        let (agent_user_id, active) = found.ok_or(Error::NotFound("agent"))?;
        if !active {
            return Err(Error::Conflict { field: "agent_id", problem: "this agent is not active" });
        }
        let turn = queue::last_turn(connection, tenant).await? + 1;
        let gift = Gift { chat: chat.id, agent_id: agent.to_owned(), agent_user_id, turn };
        self.give(&[gift]).await
    }

    /// Brings chats and agents together.
    async fn settle(&mut self, grace: Duration) -> Result<(), Error> {
        let (connection, tenant) = (&mut *self.transaction, self.tenant.as_str());
        let mut orphans = queue::orphans(connection, tenant, PASS_MAX).await?;
        orphans.retain(|orphan| !chat::keeps(orphan.absence(), orphan.assigned_at, self.now, grace));
        let lost: Vec<Waiting> = orphans.iter().map(Orphan::waiting).collect();
        let mut agents = queue::agents(connection, tenant).await?;
        agents.retain(|agent| !agent.is_full());
        let mut waiting = lost.clone();
        let mut turn = 0;
        if !agents.is_empty() {
            waiting.extend(queue::waiting(connection, tenant, PASS_MAX).await?);
            turn = queue::last_turn(connection, tenant).await?;
        }
        let gifts = chat::assign(waiting, agents, turn);
        let given: HashSet<Uuid> = gifts.iter().map(|gift| gift.chat).collect();
        let lost: Vec<Uuid> = lost.iter().map(|chat| chat.id).filter(|id| !given.contains(id)).collect();
        if !lost.is_empty() {
            self.conversations.extend(queue::take(connection, &lost, self.now).await?);
        }
        if gifts.is_empty() { Ok(()) } else { self.give(&gifts).await }
    }

    async fn give(&mut self, gifts: &[Gift]) -> Result<(), Error> {
        let given = queue::give(&mut self.transaction, self.tenant.as_str(), gifts, self.now).await?;
        self.conversations.extend(given.iter().map(|chat| chat.conversation_id));
        self.given.extend(given);
        Ok(())
    }
}

/// A text of a request, within its bound.
fn text<'a>(field: &'static str, given: &'a str, bytes_max: usize) -> Result<&'a str, Error> {
    if given.len() > bytes_max {
        return Err(Error::Invalid { field, expected: format!("must have at most {bytes_max} bytes") });
    }
    if given.contains('\0') {
        return Err(Error::Invalid { field, expected: "must be without the character NUL".to_owned() });
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_bounded_by_name() {
        assert_eq!(text("user_name", "Contact", NAME_BYTES_MAX).unwrap(), "Contact");
        for bad in ["a\0b".to_owned(), "x".repeat(NAME_BYTES_MAX + 1)] {
            assert!(
                text("user_name", &bad, NAME_BYTES_MAX).unwrap_err().to_string().starts_with("user_name:")
            );
        }
    }
}
