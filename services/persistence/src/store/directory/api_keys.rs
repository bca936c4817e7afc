//! Rows of `api_keys`.

use chasqui_proto::v1::{ApiKeyEntry, directory_entry::Entry};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::fact;

#[derive(sqlx::FromRow)]
struct Row {
    tenant: String,
    id: String,
    name: String,
    sha256: String,
    scopes: Vec<String>,
    created_at: OffsetDateTime,
    expires_at: Option<OffsetDateTime>,
}

impl From<Row> for Entry {
    fn from(row: Row) -> Self {
        Self::ApiKey(ApiKeyEntry {
            tenant: row.tenant,
            id: row.id,
            name: row.name,
            sha256: row.sha256,
            scopes: row.scopes,
            created_at_ms: fact::milliseconds(row.created_at),
            expires_at_ms: row.expires_at.map_or(0, fact::milliseconds),
        })
    }
}

reads!(
    Row,
    "select tenant, id, name, sha256, scopes, created_at, expires_at from api_keys",
    one: "tenant = $1 and id = $2",
    page: "tenant = $1 and id > $2 order by id"
);

pub(super) async fn put(connection: &mut PgConnection, entry: &ApiKeyEntry, key: &str) -> sqlx::Result<()> {
    let expires_at = Some(entry.expires_at_ms).filter(|at| *at != 0).map(fact::moment);
    sqlx::query(
        "insert into api_keys (tenant, id, name, sha256, scopes, expires_at, directory_key)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (tenant, id) do update
            set name = excluded.name, sha256 = excluded.sha256, scopes = excluded.scopes,
                expires_at = excluded.expires_at, directory_key = excluded.directory_key, updated_at = now()",
    )
    .bind(&entry.tenant)
    .bind(&entry.id)
    .bind(&entry.name)
    .bind(&entry.sha256)
    .bind(&entry.scopes)
    .bind(expires_at)
    .bind(key)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn remove(connection: &mut PgConnection, tenant: &str, id: &str) -> sqlx::Result<()> {
    let sql = "delete from api_keys where tenant = $1 and id = $2";
    sqlx::query(sql).bind(tenant).bind(id).execute(connection).await?;
    Ok(())
}
