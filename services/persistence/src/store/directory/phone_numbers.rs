//! Rows of `phone_numbers`.

use chasqui_proto::v1::{NumberEntry, directory_entry::Entry};
use sqlx::PgConnection;

#[derive(sqlx::FromRow)]
struct Row {
    tenant: String,
    id: String,
    display_phone_number: String,
    account_id: String,
    messages_per_second_max: i32,
}

impl From<Row> for Entry {
    fn from(row: Row) -> Self {
        Self::Number(NumberEntry {
            tenant: row.tenant,
            id: row.id,
            display_phone_number: row.display_phone_number,
            account_id: row.account_id,
            messages_per_second_max: u32::try_from(row.messages_per_second_max).unwrap_or_default(),
        })
    }
}

reads!(
    Row,
    "select tenant, id, display_phone_number, account_id, messages_per_second_max from phone_numbers",
    one: "tenant = $1 and id = $2",
    page: "tenant = $1 and id > $2 order by id"
);

pub(super) async fn put(connection: &mut PgConnection, entry: &NumberEntry, key: &str) -> sqlx::Result<()> {
    sqlx::query(
        "insert into phone_numbers (tenant, id, display_phone_number, account_id, messages_per_second_max,
                                    directory_key)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (id) do update
            set display_phone_number = excluded.display_phone_number, account_id = excluded.account_id,
                messages_per_second_max = excluded.messages_per_second_max, updated_at = now()
            where phone_numbers.tenant = excluded.tenant",
    )
    .bind(&entry.tenant)
    .bind(&entry.id)
    .bind(&entry.display_phone_number)
    .bind(&entry.account_id)
    .bind(i32::try_from(entry.messages_per_second_max).unwrap_or(i32::MAX))
    .bind(key)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn remove(connection: &mut PgConnection, tenant: &str, id: &str) -> sqlx::Result<()> {
    let sql = "delete from phone_numbers where tenant = $1 and id = $2";
    sqlx::query(sql).bind(tenant).bind(id).execute(connection).await?;
    Ok(())
}
