//! Rows of `chats`.

use chasqui_proto::v1::{self, ChatStatus};
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    fact::{self, Place},
    word,
};

/// Sets the locks of tenants' chats apart from other advisory locks.
const LOCK_SEED: i64 = 0x63_6861_7473;

/// A query with the columns that a `Row` is read from in the middle.
macro_rules! chat_query {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " c.id, c.position, c.tenant, c.conversation_id, c.conversation_token, c.episode, c.status, c.user_id,
              c.user_name, c.agent_id, c.agent_user_id, c.opened_at, c.assigned_at, c.closed_at, c.closed_by,
              c.reason, c.version, c.updated_at ",
            $after
        )
    };
}
pub(crate) use chat_query;

/// An episode.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) position: i64,
    pub(crate) tenant: String,
    pub(crate) conversation_id: Uuid,
    pub(crate) conversation_token: String,
    episode: i32,
    status: String,
    user_id: String,
    user_name: String,
    pub(crate) agent_id: Option<String>,
    agent_user_id: Option<String>,
    opened_at: OffsetDateTime,
    assigned_at: Option<OffsetDateTime>,
    closed_at: Option<OffsetDateTime>,
    closed_by: Option<String>,
    reason: String,
    pub(crate) version: i64,
    updated_at: OffsetDateTime,
}

impl Row {
    pub(crate) fn is_open(&self) -> bool {
        word::read_chat_status(&self.status) != ChatStatus::Closed
    }

    /// Whether nobody has said yet why people have it, and somebody does now.
    pub(crate) fn lacks(&self, reason: &str) -> bool {
        self.reason.is_empty() && !reason.is_empty()
    }

    /// The chat as others see it.
    pub(crate) fn state(self) -> v1::Chat {
        let milliseconds =
            |moment: Option<OffsetDateTime>| moment.map(fact::milliseconds).unwrap_or_default();
        v1::Chat {
            id: self.conversation_id.to_string(),
            tenant: self.tenant,
            conversation: self.conversation_token,
            episode: u32::try_from(self.episode).unwrap_or_default(),
            status: word::read_chat_status(&self.status).into(),
            user_id: self.user_id,
            user_name: self.user_name,
            agent_id: self.agent_id.unwrap_or_default(),
            agent_user_id: self.agent_user_id.unwrap_or_default(),
            opened_at_ms: fact::milliseconds(self.opened_at),
            assigned_at_ms: milliseconds(self.assigned_at),
            closed_at_ms: milliseconds(self.closed_at),
            closed_by: self.closed_by.unwrap_or_default(),
            version: u64::try_from(self.version).unwrap_or_default(),
            updated_at_ms: fact::milliseconds(self.updated_at),
            reason: self.reason,
        }
    }
}

/// Waits until nobody else changes chats of the tenant, keeps it so until the transaction ends, and tells the time: the
/// database's, which is one for all replicas. Statements after this one see everything that others stored.
pub(crate) async fn lock(connection: &mut PgConnection, tenant: &str) -> sqlx::Result<OffsetDateTime> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, $2))")
        .bind(tenant)
        .bind(LOCK_SEED)
        .execute(&mut *connection)
        .await?;
    sqlx::query_scalar("select clock_timestamp()").fetch_one(connection).await
}

/// The newest episode of a conversation.
pub(crate) async fn newest(executor: impl PgExecutor<'_>, conversation: Uuid) -> sqlx::Result<Option<Row>> {
    sqlx::query_as(chat_query!(
        "select",
        "from chats c where c.conversation_id = $1 order by c.episode desc limit 1"
    ))
    .bind(conversation)
    .fetch_optional(executor)
    .await
}

/// Open chats of a tenant, or of one of its agents, oldest first, those after a position.
pub(crate) async fn page(
    executor: impl PgExecutor<'_>,
    tenant: &str,
    agent: Option<&str>,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    let query = match agent {
        Some(agent) => sqlx::query_as(chat_query!(
            "select",
            "from chats c where c.tenant = $1 and c.status = 'assigned' and c.position > $2 and c.agent_id = $4
             order by c.position limit $3"
        ))
        .bind(tenant)
        .bind(after)
        .bind(limit)
        .bind(agent),
        None => sqlx::query_as(chat_query!(
            "select",
            "from chats c where c.tenant = $1 and c.status <> 'closed' and c.position > $2
             order by c.position limit $3"
        ))
        .bind(tenant)
        .bind(after)
        .bind(limit),
    };
    query.fetch_all(executor).await
}

/// Who opens a chat, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opener<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) user_name: &'a str,
    pub(crate) reason: &'a str,
}

/// Begins an episode after `before`, the conversation's newest.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    place: &Place,
    before: Option<&Row>,
    opener: Opener<'_>,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into chats (id, tenant, conversation_id, conversation_token, episode, user_id, user_name, opened_at,
                            waiting_since, version, updated_at, reason)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $8, $10)",
    )
    .bind(Uuid::now_v7())
    .bind(place.tenant.as_str())
    .bind(place.id)
    .bind(place.token.as_str())
    .bind(before.map_or(0, |before| before.episode) + 1)
    .bind(opener.user_id)
    .bind(opener.user_name)
    .bind(now)
    .bind(before.map_or(0, |before| before.version) + 1)
    .bind(opener.reason)
    .execute(connection)
    .await?;
    Ok(())
}

/// Says why people have an episode.
pub(crate) async fn give_reason(
    connection: &mut PgConnection,
    chat: Uuid,
    reason: &str,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query("update chats set reason = $2, version = version + 1, updated_at = $3 where id = $1")
        .bind(chat)
        .bind(reason)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

/// Closes an episode.
pub(crate) async fn close(
    connection: &mut PgConnection,
    chat: Uuid,
    closed_by: &str,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "update chats set status = 'closed', closed_at = $2, closed_by = $3, version = version + 1, updated_at = $2
         where id = $1",
    )
    .bind(chat)
    .bind(now)
    .bind(closed_by)
    .execute(connection)
    .await?;
    Ok(())
}

/// Puts an assigned episode back into the queue, for anybody but the agent that has it.
pub(crate) async fn give_back(
    connection: &mut PgConnection,
    chat: Uuid,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "update chats set status = 'waiting', agent_before = agent_id, refused_by = agent_id, agent_id = null,
             agent_user_id = null, assigned_at = null, waiting_since = $2, version = version + 1, updated_at = $2
         where id = $1",
    )
    .bind(chat)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}
