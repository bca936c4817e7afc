//! Who is marked as online in `users`. People who are no users are nobody here.

use std::collections::BTreeSet;

use chasqui_proto::{ConversationToken, Tenant};
use sqlx::PgPool;

use crate::meter;

/// A person by its name in subjects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Person {
    pub(crate) tenant: Tenant,
    pub(crate) token: ConversationToken,
}

/// A user whose mark changed: its tenant, and whether it is an agent.
type Marked = (String, bool);

/// Marks people as online, or as not; returns the tenants of agents that were not marked so. `people` are in order, so
/// that two replicas that mark the same ones wait for each other and never in a circle.
pub(crate) async fn mark(pool: &PgPool, people: &[Person], online: bool) -> sqlx::Result<BTreeSet<String>> {
    let (tenants, tokens) = columns(people);
    let marked: Vec<Marked> = sqlx::query_as(
        "with locked as (
            select u.tenant, u.id from unnest($1::text[], $2::text[]) as p (tenant, person)
            join users u on u.tenant = p.tenant and u.person = p.person
            where u.online <> $3 order by u.tenant, u.person for no key update of u
         )
         update users u set online = $3, last_seen_at = clock_timestamp()
         from locked where u.tenant = locked.tenant and u.id = locked.id
         returning u.tenant, exists (select from agents a where a.tenant = u.tenant and a.user_id = u.id)",
    )
    .bind(tenants)
    .bind(tokens)
    .bind(online)
    .fetch_all(pool)
    .await?;
    Ok(of_agents(marked))
}

/// Marks everybody but these people as not online: they left while nobody looked. Returns the tenants of agents.
pub(crate) async fn leave_only(pool: &PgPool, people: &[Person]) -> sqlx::Result<BTreeSet<String>> {
    let (tenants, tokens) = columns(people);
    let marked: Vec<Marked> = sqlx::query_as(
        "with locked as (
            select u.tenant, u.id from users u
            where u.online and not exists (
                select from unnest($1::text[], $2::text[]) as p (tenant, person)
                where p.tenant = u.tenant and p.person = u.person
            )
            order by u.tenant, u.person for no key update
         )
         update users u set online = false, last_seen_at = clock_timestamp()
         from locked where u.tenant = locked.tenant and u.id = locked.id
         returning u.tenant, exists (select from agents a where a.tenant = u.tenant and a.user_id = u.id)",
    )
    .bind(tenants)
    .bind(tokens)
    .fetch_all(pool)
    .await?;
    Ok(of_agents(marked))
}

fn columns(people: &[Person]) -> (Vec<&str>, Vec<&str>) {
    people.iter().map(|person| (person.tenant.as_str(), person.token.as_str())).unzip()
}

fn of_agents(marked: Vec<Marked>) -> BTreeSet<String> {
    meter::users_marked(marked.len());
    marked.into_iter().filter_map(|(tenant, is_agent)| is_agent.then_some(tenant)).collect()
}
