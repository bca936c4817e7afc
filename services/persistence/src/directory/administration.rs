//! Requests to change the directory, and to read what stands in it.

use chasqui_directory::key_of;
use chasqui_kit::serve::Responder;
use chasqui_proto::{
    Tenant,
    address::ADDRESS_LENGTH_MAX,
    service,
    v1::{
        DirectoryEntry, EntryKind, EntryPage, EntryRemoved, GetEntry, ListEntries, PutEntry, RemoveEntry,
        directory_entry::Entry,
    },
};
use prost::Message;
use sqlx::{PgConnection, PgPool};

use super::{
    entry::{self, Valid},
    replication::Replication,
};
use crate::{chats::Chats, error::Error, page, store::directory as rows};

/// Answers from the tables; the bucket follows.
#[derive(Clone, Debug)]
pub(crate) struct Administration {
    pub(crate) pool: PgPool,
    pub(crate) replication: Replication,
    /// They follow the agents.
    pub(crate) chats: Chats,
}

impl Administration {
    /// Begins to answer.
    pub(crate) async fn answer(&self, responder: &Responder) -> Result<(), Error> {
        macro_rules! answer {
            ($endpoint:ident, $method:ident) => {
                let administration = self.clone();
                let answer = move |question, _trace| {
                    let administration = administration.clone();
                    async move { administration.$method(question).await }
                };
                responder.endpoint(service::$endpoint, answer).await?;
            };
        }
        answer!(DIRECTORY_PUT, put);
        answer!(DIRECTORY_GET, get);
        answer!(DIRECTORY_LIST, list);
        answer!(DIRECTORY_REMOVE, remove);
        Ok(())
    }

    async fn put(&self, question: PutEntry) -> Result<DirectoryEntry, Error> {
        let valid = entry::check(question.entry)?;
        let mut transaction = self.pool.begin().await?;
        let (stored, keys) = put(&mut transaction, &valid, question.if_absent).await?;
        transaction.commit().await?;
        self.chats.look_soon();
        self.replication.tell_now(&keys).await;
        Ok(DirectoryEntry { entry: Some(stored) })
    }

    async fn get(&self, question: GetEntry) -> Result<DirectoryEntry, Error> {
        let (kind, tenant) = (entry::kind(question.kind())?, entry::tenant_name(&question.tenant)?);
        entry::text("id", &question.id, ADDRESS_LENGTH_MAX)?;
        let mut connection = self.pool.acquire().await?;
        let found =
            rows::get(&mut connection, kind, tenant.as_str(), own_id(kind, &tenant, &question.id)).await?;
        let entry = found.ok_or(Error::NotFound(kind.name()))?;
        Ok(DirectoryEntry { entry: Some(entry) })
    }

    async fn list(&self, question: ListEntries) -> Result<EntryPage, Error> {
        let (kind, limit) = (entry::kind(question.kind())?, page::limit(question.limit)?);
        if kind != EntryKind::Tenant {
            entry::tenant_name(&question.tenant)?;
        }
        entry::text("cursor", &question.cursor, ADDRESS_LENGTH_MAX)?;
        let mut connection = self.pool.acquire().await?;
        let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let found = rows::page(&mut connection, kind, &question.tenant, &question.cursor, one_more).await?;
        let entries = found.into_iter().map(|entry| DirectoryEntry { entry: Some(entry) }).collect();
        let (entries, left) = page::cut(entries, limit, Message::encoded_len);
        let last = entries.last().and_then(|last| last.entry.as_ref()).filter(|_| left);
        let next = last.map(|last| entry::name_of(last).1.to_owned()).unwrap_or_default();
        Ok(EntryPage { entries, next })
    }

    async fn remove(&self, question: RemoveEntry) -> Result<EntryRemoved, Error> {
        let (kind, tenant) = (entry::kind(question.kind())?, entry::tenant_name(&question.tenant)?);
        entry::text("id", &question.id, ADDRESS_LENGTH_MAX)?;
        let mut transaction = self.pool.begin().await?;
        let id = own_id(kind, &tenant, &question.id);
        let keys = remove(&mut transaction, kind, tenant.as_str(), id).await?;
        transaction.commit().await?;
        self.chats.look_soon();
        self.replication.tell_now(&keys).await;
        Ok(EntryRemoved { removed: !keys.is_empty() })
    }
}

/// Stores an entry; returns it as it stands now, and the keys of the bucket that have changed.
async fn put(
    connection: &mut PgConnection,
    valid: &Valid,
    if_absent: bool,
) -> Result<(Entry, Vec<String>), Error> {
    let (kind, (tenant, id)) = (entry::kind_of(&valid.entry), entry::name_of(&valid.entry));
    rows::lock(connection, &lock_name(kind, tenant, id)).await?;
    let before = rows::get(connection, kind, tenant, id).await?;
    let before = match before {
        Some(before) if if_absent => return Ok((before, Vec::new())),
        before => before,
    };
    if kind == EntryKind::Number {
        let owner = rows::tenant_of_number(connection, id).await?;
        if owner.is_some_and(|owner| owner != tenant) {
            let problem = "this number belongs to another tenant, which must remove it first";
            return Err(Error::Conflict { field: "id", problem });
        }
    }
    rows::put(connection, &valid.entry, &valid.key).await.map_err(explained)?;
    let mut keys = vec![valid.key.clone()];
    // An agent that became another user, a key with another secret: their old places are empty now.
    keys.extend(before.and_then(|entry| key_of(&DirectoryEntry { entry: Some(entry) })));
    keys.sort_unstable();
    keys.dedup();
    rows::note(connection, &keys).await?;
    let stored = rows::get(connection, kind, tenant, id).await?;
    Ok((stored.ok_or(Error::NotFound(kind.name()))?, keys))
}

/// Removes an entry; returns the keys of the bucket that have changed, none when there was no such entry.
async fn remove(
    connection: &mut PgConnection,
    kind: EntryKind,
    tenant: &str,
    id: &str,
) -> Result<Vec<String>, Error> {
    rows::lock(connection, &lock_name(kind, tenant, id)).await?;
    let Some(entry) = rows::get(connection, kind, tenant, id).await? else {
        return Ok(Vec::new());
    };
    if kind == EntryKind::Tenant && rows::has_entries(connection, tenant).await? {
        // Without its entry nobody would know that a tenant is suspended.
        let problem =
            "the tenant still has users, keys, numbers or listeners; remove them first, or suspend it";
        return Err(Error::Conflict { field: "tenant", problem });
    }
    let mut gone = vec![entry];
    // A user takes along the agent that it is.
    if kind == EntryKind::User
        && let Some(agent) = rows::agent_of_user(connection, tenant, id).await?
    {
        rows::remove(connection, EntryKind::Agent, tenant, entry::name_of(&agent).1).await?;
        gone.push(agent);
    }
    rows::remove(connection, kind, tenant, id).await?;
    let keys = gone.into_iter().filter_map(|entry| key_of(&DirectoryEntry { entry: Some(entry) }));
    let keys: Vec<String> = keys.collect();
    rows::note(connection, &keys).await?;
    Ok(keys)
}

/// A tenant has no other id than its name.
fn own_id<'a>(kind: EntryKind, tenant: &'a Tenant, id: &'a str) -> &'a str {
    if kind == EntryKind::Tenant { tenant.as_str() } else { id }
}

fn lock_name(kind: EntryKind, tenant: &str, id: &str) -> String {
    format!("directory {} {tenant} {id}", kind.name())
}

/// What a refused row means to whoever sent it.
fn explained(error: sqlx::Error) -> Error {
    let constraint = error.as_database_error().and_then(|refused| refused.constraint());
    match constraint {
        Some("users_tenant_person_key" | "users_directory_key_key") => {
            Error::Conflict { field: "id", problem: "another user of the tenant has this address" }
        }
        Some("agents_tenant_user_id_key" | "agents_directory_key_key") => {
            Error::Conflict { field: "user_id", problem: "this user is another agent already" }
        }
        Some("agents_user_fkey") => {
            Error::Invalid { field: "user_id", expected: "there is no such user in the tenant".to_owned() }
        }
        Some("api_keys_directory_key_key") => {
            Error::Conflict { field: "sha256", problem: "another entry has this key already" }
        }
        _ => Error::Database(error),
    }
}
