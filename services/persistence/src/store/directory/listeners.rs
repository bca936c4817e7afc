//! Rows of `listeners`.

use chasqui_proto::v1::{ListenerEntry, ListenerFormat, directory_entry::Entry};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::fact;

#[derive(sqlx::FromRow)]
struct Row {
    tenant: String,
    id: String,
    url: String,
    events: Vec<String>,
    format: String,
    sealed_secrets: Vec<String>,
    disabled: bool,
    disabled_reason: String,
    description: String,
    answers: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<Row> for Entry {
    fn from(row: Row) -> Self {
        Self::Listener(ListenerEntry {
            tenant: row.tenant,
            id: row.id,
            url: row.url,
            events: row.events,
            format: ListenerFormat::of_name(&row.format).unwrap_or(ListenerFormat::Unspecified).into(),
            sealed_secrets: row.sealed_secrets,
            disabled: row.disabled,
            disabled_reason: row.disabled_reason,
            description: row.description,
            created_at_ms: fact::milliseconds(row.created_at),
            updated_at_ms: fact::milliseconds(row.updated_at),
            answers: row.answers,
        })
    }
}

// Ids are compared as text, which whoever asks may write as it likes: what is no UUID is no listener.
reads!(
    Row,
    "select tenant, id::text, url, events, format, sealed_secrets, disabled, disabled_reason, description,
            answers, created_at, updated_at
     from listeners",
    one: "tenant = $1 and id::text = $2",
    page: "tenant = $1 and id::text > $2 order by listeners.id::text"
);

/// When it was made first stays.
pub(super) async fn put(connection: &mut PgConnection, entry: &ListenerEntry, key: &str) -> sqlx::Result<()> {
    sqlx::query(
        "insert into listeners (tenant, id, url, events, format, sealed_secrets, disabled, disabled_reason,
                                description, answers, directory_key)
         values ($1, $2::uuid, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         on conflict (tenant, id) do update
            set events = excluded.events, format = excluded.format, sealed_secrets = excluded.sealed_secrets,
                disabled = excluded.disabled, disabled_reason = excluded.disabled_reason,
                description = excluded.description, answers = excluded.answers, updated_at = now()",
    )
    .bind(&entry.tenant)
    .bind(&entry.id)
    .bind(&entry.url)
    .bind(&entry.events)
    .bind(entry.format().name())
    .bind(&entry.sealed_secrets)
    .bind(entry.disabled)
    .bind(&entry.disabled_reason)
    .bind(&entry.description)
    .bind(entry.answers)
    .bind(key)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn remove(connection: &mut PgConnection, tenant: &str, id: &str) -> sqlx::Result<()> {
    let sql = "delete from listeners where tenant = $1 and id::text = $2";
    sqlx::query(sql).bind(tenant).bind(id).execute(connection).await?;
    Ok(())
}
