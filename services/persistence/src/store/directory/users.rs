//! Rows of `users`.

use chasqui_proto::v1::{UserEntry, directory_entry::Entry};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::fact;

#[derive(sqlx::FromRow)]
struct Row {
    tenant: String,
    id: String,
    name: String,
    email: String,
    suspended: bool,
    last_seen_at: Option<OffsetDateTime>,
}

impl From<Row> for Entry {
    fn from(row: Row) -> Self {
        Self::User(UserEntry {
            tenant: row.tenant,
            id: row.id,
            name: row.name,
            email: row.email,
            suspended: row.suspended,
            last_seen_at_ms: row.last_seen_at.map_or(0, fact::milliseconds),
        })
    }
}

reads!(
    Row,
    "select tenant, id, name, email, suspended, last_seen_at from users",
    one: "tenant = $1 and id = $2",
    page: "tenant = $1 and id > $2 order by id"
);

/// When the user was last seen is not for its editors to say.
pub(super) async fn put(connection: &mut PgConnection, entry: &UserEntry, key: &str) -> sqlx::Result<()> {
    let person = key.rsplit_once('.').map_or(key, |(_, person)| person);
    sqlx::query(
        "insert into users (tenant, id, person, name, email, suspended, directory_key)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (tenant, id) do update
            set name = excluded.name, email = excluded.email, suspended = excluded.suspended, updated_at = now()",
    )
    .bind(&entry.tenant)
    .bind(&entry.id)
    .bind(person)
    .bind(&entry.name)
    .bind(&entry.email)
    .bind(entry.suspended)
    .bind(key)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn remove(connection: &mut PgConnection, tenant: &str, id: &str) -> sqlx::Result<()> {
    let sql = "delete from users where tenant = $1 and id = $2";
    sqlx::query(sql).bind(tenant).bind(id).execute(connection).await?;
    Ok(())
}
