//! The queue of a tenant: chats that wait, chats whose agent is not there, agents who can take some.

use std::time::Duration;

use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::chat::{Absence, Agent, Gift, Waiting};

/// A chat whose agent is not there, not active, or no agent any more.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Orphan {
    id: Uuid,
    position: i64,
    pub(crate) assigned_at: OffsetDateTime,
    active: bool,
    online: bool,
    offline_since: Option<OffsetDateTime>,
}

impl Orphan {
    pub(crate) fn absence(&self) -> Absence {
        Absence { active: self.active, online: self.online, offline_since: self.offline_since }
    }

    /// The chat without its agent. Should that one come back, it may be given the chat again.
    pub(crate) fn waiting(&self) -> Waiting {
        Waiting { id: self.id, position: self.position, refused_by: None }
    }
}

/// Assigned chats that may not stay with their agents, those first that belong to no agent any more, or have been alone
/// longest.
pub(crate) async fn orphans(
    connection: &mut PgConnection,
    tenant: &str,
    limit: i64,
) -> sqlx::Result<Vec<Orphan>> {
    sqlx::query_as(
        "select c.id, c.position, c.assigned_at, coalesce(a.status = 'ACTIVE' and a.user_id = c.agent_user_id, false) as active,
                coalesce(u.online, false) as online, u.last_seen_at as offline_since
         from chats c
         left join agents a on a.tenant = c.tenant and a.id = c.agent_id
         left join users u on u.tenant = a.tenant and u.id = a.user_id
         where c.tenant = $1 and c.status = 'assigned'
           and (a.id is null or a.status <> 'ACTIVE' or a.user_id <> c.agent_user_id or not u.online)
         order by active, greatest(u.last_seen_at, c.assigned_at), c.position limit $2",
    )
    .bind(tenant)
    .bind(limit)
    .fetch_all(connection)
    .await
}

/// Chats that wait, oldest first.
pub(crate) async fn waiting(
    connection: &mut PgConnection,
    tenant: &str,
    limit: i64,
) -> sqlx::Result<Vec<Waiting>> {
    sqlx::query_as(
        "select id, position, refused_by from chats
         where tenant = $1 and status = 'waiting' order by position limit $2",
    )
    .bind(tenant)
    .bind(limit)
    .fetch_all(connection)
    .await
}

/// Agents who are active and online.
pub(crate) async fn agents(connection: &mut PgConnection, tenant: &str) -> sqlx::Result<Vec<Agent>> {
    sqlx::query_as(
        "select a.id, a.user_id, a.chats_max, a.turn,
                (select count(*) from chats c
                 where c.tenant = a.tenant and c.agent_id = a.id and c.status = 'assigned') as chats
         from agents a join users u on u.tenant = a.tenant and u.id = a.user_id
         where a.tenant = $1 and a.status = 'ACTIVE' and u.online",
    )
    .bind(tenant)
    .fetch_all(connection)
    .await
}

/// An agent by name, whether it is there or not.
pub(crate) async fn agent(
    connection: &mut PgConnection,
    tenant: &str,
    id: &str,
) -> sqlx::Result<Option<(String, bool)>> {
    sqlx::query_as("select user_id, status = 'ACTIVE' from agents where tenant = $1 and id = $2")
        .bind(tenant)
        .bind(id)
        .fetch_optional(connection)
        .await
}

/// The tenant's newest turn.
pub(crate) async fn last_turn(connection: &mut PgConnection, tenant: &str) -> sqlx::Result<i64> {
    sqlx::query_scalar("select coalesce(max(turn), 0) from agents where tenant = $1")
        .bind(tenant)
        .fetch_one(connection)
        .await
}

/// A chat that was given to an agent.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Given {
    pub(crate) conversation_id: Uuid,
    /// How long it waited.
    pub(crate) waited_ms: i64,
    /// Another agent had it before.
    pub(crate) again: bool,
}

/// Gives chats to agents.
pub(crate) async fn give(
    connection: &mut PgConnection,
    tenant: &str,
    gifts: &[Gift],
    now: OffsetDateTime,
) -> sqlx::Result<Vec<Given>> {
    let agents: Vec<&str> = gifts.iter().map(|gift| gift.agent_id.as_str()).collect();
    sqlx::query(
        "update agents a set turn = u.turn
         from (select agent, max(turn) as turn from unnest($2::text[], $3::bigint[]) as u (agent, turn) group by agent) u
         where a.tenant = $1 and a.id = u.agent",
    )
    .bind(tenant)
    .bind(&agents)
    .bind(gifts.iter().map(|gift| gift.turn).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    // A chat that goes from one agent straight to another has waited since now.
    sqlx::query_as(
        "update chats c set status = 'assigned', agent_id = u.agent, agent_user_id = u.agent_user,
             agent_before = coalesce(c.agent_id, c.agent_before), refused_by = null, assigned_at = $4,
             version = c.version + 1, updated_at = $4
         from unnest($1::uuid[], $2::text[], $3::text[]) as u (id, agent, agent_user)
         join chats b on b.id = u.id
         where c.id = u.id
         returning c.conversation_id,
                   case when b.status = 'waiting'
                        then (extract(epoch from $4 - b.waiting_since) * 1000)::bigint else 0 end as waited_ms,
                   coalesce(c.agent_before <> c.agent_id, false) as again",
    )
    .bind(gifts.iter().map(|gift| gift.chat).collect::<Vec<_>>())
    .bind(&agents)
    .bind(gifts.iter().map(|gift| gift.agent_user_id.as_str()).collect::<Vec<_>>())
    .bind(now)
    .fetch_all(connection)
    .await
}

/// Takes chats from their agents; they wait. Returns their conversations.
pub(crate) async fn take(
    connection: &mut PgConnection,
    chats: &[Uuid],
    now: OffsetDateTime,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "update chats set status = 'waiting', agent_before = agent_id, agent_id = null, agent_user_id = null,
             assigned_at = null, waiting_since = $2, version = version + 1, updated_at = $2
         where id = any($1) returning conversation_id",
    )
    .bind(chats)
    .bind(now)
    .fetch_all(connection)
    .await
}

/// Tenants in whose queues something is due: a chat that somebody can take, or one whose agent lost it.
pub(crate) async fn due(pool: &PgPool, grace: Duration, limit: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "select c.tenant from chats c
         left join agents a on a.tenant = c.tenant and a.id = c.agent_id
         left join users u on u.tenant = a.tenant and u.id = a.user_id
         where c.status = 'assigned'
           and (a.id is null or a.status <> 'ACTIVE' or a.user_id <> c.agent_user_id
                or (not u.online and greatest(u.last_seen_at, c.assigned_at) <= clock_timestamp() - $1))
         union
         select q.tenant from (select distinct tenant from chats where status = 'waiting') q
         where exists (
            select from agents a join users u on u.tenant = a.tenant and u.id = a.user_id
            where a.tenant = q.tenant and a.status = 'ACTIVE' and u.online
              and (a.chats_max = 0 or a.chats_max > (
                    select count(*) from chats c
                    where c.tenant = a.tenant and c.agent_id = a.id and c.status = 'assigned'))
              and exists (select from chats w
                    where w.tenant = q.tenant and w.status = 'waiting' and w.refused_by is distinct from a.id))
         limit $2",
    )
    .bind(grace)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// How many chats wait, in all tenants.
pub(crate) async fn length(executor: impl PgExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from chats where status = 'waiting'").fetch_one(executor).await
}
