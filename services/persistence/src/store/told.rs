//! Rows of `chat_tellings`: which states of chats others were told.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::chats::{Row, chat_query};

/// The chats of these conversations changed, in the transaction that changed them.
pub(crate) async fn note(connection: &mut PgConnection, conversations: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query(
        "insert into chat_tellings (conversation_id, version)
         select conversation_id, max(version) from chats where conversation_id = any($1)
         group by conversation_id order by conversation_id
         on conflict (conversation_id) do update set version = excluded.version",
    )
    .bind(conversations)
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes chats that are not told yet in hand for `lease`. Until they are marked, or the time is up, nobody else tells
/// them: two could tell two states in the wrong order.
pub(crate) async fn take(pool: &PgPool, lease: Duration, limit: i64) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as(chat_query!(
        "with untold as (
            select conversation_id from chat_tellings
            where told_version < version and (telling_until is null or telling_until < clock_timestamp())
            order by conversation_id limit $2 for update skip locked
         ), taken as (
            update chat_tellings t set telling_until = clock_timestamp() + $1
            from untold u where t.conversation_id = u.conversation_id
            returning t.conversation_id
         )
         select",
        "from taken t cross join lateral (
            select * from chats e where e.conversation_id = t.conversation_id order by e.episode desc limit 1
         ) c"
    ))
    .bind(lease)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Marks chats as told in the versions they were taken in. Where another one told a newer state meanwhile, because this
/// one took too long, the older may have come after it: then the newer counts as not told.
pub(crate) async fn mark(pool: &PgPool, told: &[&Row]) -> sqlx::Result<()> {
    let (conversations, versions): (Vec<Uuid>, Vec<i64>) =
        told.iter().map(|row| (row.conversation_id, row.version)).unzip();
    sqlx::query(
        "with locked as (
            select conversation_id from chat_tellings
            where conversation_id = any($1) order by conversation_id for update
         )
         update chat_tellings t set told_version = u.version, telling_until = null
         from locked join unnest($1::uuid[], $2::bigint[]) as u (conversation_id, version) using (conversation_id)
         where t.conversation_id = locked.conversation_id",
    )
    .bind(conversations)
    .bind(versions)
    .execute(pool)
    .await?;
    Ok(())
}

/// Gives chats back that could not be told.
pub(crate) async fn release(pool: &PgPool, rows: &[&Row]) -> sqlx::Result<()> {
    sqlx::query(
        "with locked as (
            select conversation_id from chat_tellings
            where conversation_id = any($1) order by conversation_id for update
         )
         update chat_tellings t set telling_until = null
         from locked where t.conversation_id = locked.conversation_id",
    )
    .bind(rows.iter().map(|row| row.conversation_id).collect::<Vec<Uuid>>())
    .execute(pool)
    .await?;
    Ok(())
}
