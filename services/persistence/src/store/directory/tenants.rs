//! Rows of `tenants`.

use chasqui_proto::v1::{Responder, TenantEntry, directory_entry::Entry};
use sqlx::PgConnection;

#[derive(sqlx::FromRow)]
struct Row {
    tenant: String,
    name: String,
    suspended: bool,
    responder: String,
}

impl From<Row> for Entry {
    fn from(row: Row) -> Self {
        Self::Tenant(TenantEntry {
            tenant: row.tenant,
            name: row.name,
            suspended: row.suspended,
            responder: Responder::of_name(&row.responder).unwrap_or(Responder::Unspecified).into(),
        })
    }
}

// A tenant's id is its name: the tenant that others are asked for within is not used.
reads!(
    Row,
    "select tenant, name, suspended, responder from tenants",
    one: "tenant = $2 and $1::text is not null",
    page: "tenant > $2 and $1::text is not null order by tenant"
);

pub(super) async fn put(connection: &mut PgConnection, entry: &TenantEntry, key: &str) -> sqlx::Result<()> {
    sqlx::query(
        "insert into tenants (tenant, name, suspended, responder, directory_key) values ($1, $2, $3, $4, $5)
         on conflict (tenant) do update
            set name = excluded.name, suspended = excluded.suspended, responder = excluded.responder,
                updated_at = now()",
    )
    .bind(&entry.tenant)
    .bind(&entry.name)
    .bind(entry.suspended)
    .bind(entry.responder().name())
    .bind(key)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn remove(connection: &mut PgConnection, _: &str, id: &str) -> sqlx::Result<()> {
    sqlx::query("delete from tenants where tenant = $1").bind(id).execute(connection).await?;
    Ok(())
}
