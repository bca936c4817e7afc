//! Rows of the directory, one table a kind, and the list of those that the bucket does not have yet.

/// The three ways in which the rows of a table are read. A row becomes an `Entry`.
macro_rules! reads {
    ($row:ty, $select:literal, one: $one:literal, page: $page:literal) => {
        /// The entry of an id.
        pub(super) async fn get(
            connection: &mut sqlx::PgConnection,
            tenant: &str,
            id: &str,
        ) -> sqlx::Result<Option<Entry>> {
            let row: Option<$row> = sqlx::query_as(concat!($select, " where ", $one))
                .bind(tenant)
                .bind(id)
                .fetch_optional(connection)
                .await?;
            Ok(row.map(Entry::from))
        }

        /// Entries after an id, by id.
        pub(super) async fn page(
            connection: &mut sqlx::PgConnection,
            tenant: &str,
            after: &str,
            limit: i64,
        ) -> sqlx::Result<Vec<Entry>> {
            let rows: Vec<$row> = sqlx::query_as(concat!($select, " where ", $page, " limit $3"))
                .bind(tenant)
                .bind(after)
                .bind(limit)
                .fetch_all(connection)
                .await?;
            Ok(rows.into_iter().map(Entry::from).collect())
        }

        /// The entry that belongs under a key of the bucket.
        pub(super) async fn at_key(
            connection: &mut sqlx::PgConnection,
            key: &str,
        ) -> sqlx::Result<Option<Entry>> {
            let row: Option<$row> = sqlx::query_as(concat!($select, " where directory_key = $1"))
                .bind(key)
                .fetch_optional(connection)
                .await?;
            Ok(row.map(Entry::from))
        }

        /// Entries after a key of the bucket, by key.
        pub(super) async fn after_key(
            connection: &mut sqlx::PgConnection,
            key: &str,
            limit: i64,
        ) -> sqlx::Result<Vec<Entry>> {
            let sql = concat!($select, " where directory_key > $1 order by directory_key limit $2");
            let rows: Vec<$row> = sqlx::query_as(sql).bind(key).bind(limit).fetch_all(connection).await?;
            Ok(rows.into_iter().map(Entry::from).collect())
        }
    };
}

mod agents;
mod api_keys;
mod listeners;
mod phone_numbers;
mod tenants;
mod users;

use chasqui_proto::v1::{EntryKind, directory_entry::Entry};
use sqlx::PgConnection;

/// Calls the table of a kind.
macro_rules! of_kind {
    ($kind:expr, $function:ident ( $($argument:expr),* )) => {
        match $kind {
            EntryKind::Tenant => tenants::$function($($argument),*).await,
            EntryKind::User => users::$function($($argument),*).await,
            EntryKind::Agent => agents::$function($($argument),*).await,
            EntryKind::ApiKey => api_keys::$function($($argument),*).await,
            EntryKind::Number => phone_numbers::$function($($argument),*).await,
            EntryKind::Listener => listeners::$function($($argument),*).await,
            EntryKind::Unspecified => unreachable!("a request of no kind was refused before"),
        }
    };
}

/// Every kind.
pub(crate) const KINDS: [EntryKind; 6] = [
    EntryKind::Tenant,
    EntryKind::User,
    EntryKind::Agent,
    EntryKind::ApiKey,
    EntryKind::Number,
    EntryKind::Listener,
];

/// One entry.
pub(crate) async fn get(
    connection: &mut PgConnection,
    kind: EntryKind,
    tenant: &str,
    id: &str,
) -> sqlx::Result<Option<Entry>> {
    of_kind!(kind, get(connection, tenant, id))
}

/// Entries after an id, by id.
pub(crate) async fn page(
    connection: &mut PgConnection,
    kind: EntryKind,
    tenant: &str,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<Entry>> {
    of_kind!(kind, page(connection, tenant, after, limit))
}

/// What belongs under a key of the bucket.
pub(crate) async fn at_key(
    connection: &mut PgConnection,
    kind: EntryKind,
    key: &str,
) -> sqlx::Result<Option<Entry>> {
    of_kind!(kind, at_key(connection, key))
}

/// Entries after a key of the bucket, by key.
pub(crate) async fn after_key(
    connection: &mut PgConnection,
    kind: EntryKind,
    key: &str,
    limit: i64,
) -> sqlx::Result<Vec<Entry>> {
    of_kind!(kind, after_key(connection, key, limit))
}

/// Makes or replaces an entry.
pub(crate) async fn put(connection: &mut PgConnection, entry: &Entry, key: &str) -> sqlx::Result<()> {
    match entry {
        Entry::Tenant(entry) => tenants::put(connection, entry, key).await,
        Entry::User(entry) => users::put(connection, entry, key).await,
        Entry::Agent(entry) => agents::put(connection, entry, key).await,
        Entry::ApiKey(entry) => api_keys::put(connection, entry, key).await,
        Entry::Number(entry) => phone_numbers::put(connection, entry, key).await,
        Entry::Listener(entry) => listeners::put(connection, entry, key).await,
    }
}

/// Removes an entry.
pub(crate) async fn remove(
    connection: &mut PgConnection,
    kind: EntryKind,
    tenant: &str,
    id: &str,
) -> sqlx::Result<()> {
    of_kind!(kind, remove(connection, tenant, id))
}

/// Keeps two changes of one entry apart until the transaction ends.
pub(crate) async fn lock(connection: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    let sql = "select pg_advisory_xact_lock(hashtextextended($1, 0))";
    sqlx::query(sql).bind(name).execute(connection).await?;
    Ok(())
}

/// The agent that a user is.
pub(crate) async fn agent_of_user(
    connection: &mut PgConnection,
    tenant: &str,
    user_id: &str,
) -> sqlx::Result<Option<Entry>> {
    agents::of_user(connection, tenant, user_id).await
}

/// The tenant that has a number, whichever it is.
pub(crate) async fn tenant_of_number(
    connection: &mut PgConnection,
    id: &str,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("select tenant from phone_numbers where id = $1")
        .bind(id)
        .fetch_optional(connection)
        .await
}

/// Whether anything still belongs to a tenant.
pub(crate) async fn has_entries(connection: &mut PgConnection, tenant: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists (select from users where tenant = $1)
             or exists (select from api_keys where tenant = $1)
             or exists (select from phone_numbers where tenant = $1)
             or exists (select from listeners where tenant = $1)",
    )
    .bind(tenant)
    .fetch_one(connection)
    .await
}

/// Notes in the transaction of a change that the bucket is to be told. Keys in order, so that two transactions never
/// wait for each other.
pub(crate) async fn note(connection: &mut PgConnection, keys: &[String]) -> sqlx::Result<()> {
    let sql = "insert into directory_pending (directory_key)
               select key from unnest($1::text[]) as n (key) order by key
               on conflict (directory_key) do update set since = excluded.since";
    sqlx::query(sql).bind(keys).execute(connection).await?;
    Ok(())
}

/// Keys that the bucket is still to be told, the oldest first.
pub(crate) async fn pending(connection: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<String>> {
    let sql = "select directory_key from directory_pending order by since limit $1";
    sqlx::query_scalar(sql).bind(limit).fetch_all(connection).await
}

/// Takes a key until the transaction ends; false when it is told already. Whoever changes its entry waits meanwhile.
pub(crate) async fn take(connection: &mut PgConnection, key: &str) -> sqlx::Result<bool> {
    let sql = "select true from directory_pending where directory_key = $1 for update";
    let taken: Option<bool> = sqlx::query_scalar(sql).bind(key).fetch_optional(connection).await?;
    Ok(taken.is_some())
}

/// The bucket has it.
pub(crate) async fn told(connection: &mut PgConnection, key: &str) -> sqlx::Result<()> {
    let sql = "delete from directory_pending where directory_key = $1";
    sqlx::query(sql).bind(key).execute(connection).await?;
    Ok(())
}
