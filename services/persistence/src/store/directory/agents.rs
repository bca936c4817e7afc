//! Rows of `agents`.

use chasqui_proto::v1::{AgentEntry, AgentStatus, directory_entry::Entry};
use sqlx::PgConnection;

#[derive(sqlx::FromRow)]
struct Row {
    tenant: String,
    id: String,
    user_id: String,
    name: String,
    status: String,
    chats_max: i32,
}

impl From<Row> for Entry {
    fn from(row: Row) -> Self {
        Self::Agent(AgentEntry {
            tenant: row.tenant,
            id: row.id,
            user_id: row.user_id,
            name: row.name,
            status: status(&row.status).into(),
            chats_max: u32::try_from(row.chats_max).unwrap_or_default(),
        })
    }
}

/// Whatever is not active is given no chat.
fn status(name: &str) -> AgentStatus {
    if name == AgentStatus::Active.name() { AgentStatus::Active } else { AgentStatus::Inactive }
}

reads!(
    Row,
    "select tenant, id, user_id, name, status, chats_max from agents",
    one: "tenant = $1 and id = $2",
    page: "tenant = $1 and id > $2 order by id"
);

pub(super) async fn of_user(
    connection: &mut PgConnection,
    tenant: &str,
    user_id: &str,
) -> sqlx::Result<Option<Entry>> {
    let sql =
        "select tenant, id, user_id, name, status, chats_max from agents where tenant = $1 and user_id = $2";
    let row: Option<Row> = sqlx::query_as(sql).bind(tenant).bind(user_id).fetch_optional(connection).await?;
    Ok(row.map(Entry::from))
}

pub(super) async fn put(connection: &mut PgConnection, entry: &AgentEntry, key: &str) -> sqlx::Result<()> {
    sqlx::query(
        "insert into agents (tenant, id, user_id, name, status, chats_max, directory_key)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (tenant, id) do update
            set user_id = excluded.user_id, name = excluded.name, status = excluded.status,
                chats_max = excluded.chats_max, directory_key = excluded.directory_key, updated_at = now()",
    )
    .bind(&entry.tenant)
    .bind(&entry.id)
    .bind(&entry.user_id)
    .bind(&entry.name)
    .bind(entry.status().name())
    .bind(i32::try_from(entry.chats_max).unwrap_or(i32::MAX))
    .bind(key)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn remove(connection: &mut PgConnection, tenant: &str, id: &str) -> sqlx::Result<()> {
    let sql = "delete from agents where tenant = $1 and id = $2";
    sqlx::query(sql).bind(tenant).bind(id).execute(connection).await?;
    Ok(())
}
