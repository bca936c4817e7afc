//! The counts of campaigns, and the rows of `campaign_failures`.

use chasqui_proto::v1::RecipientState;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::campaign_recipient::Changes;

/// Adds changes to the counts of campaigns. Their rows are few and everybody wants them: who stores statuses does this
/// last.
pub(crate) async fn add(connection: &mut PgConnection, changes: &Changes) -> sqlx::Result<()> {
    let column =
        |state: RecipientState| -> Vec<i32> { changes.values().map(|change| change.of(state)).collect() };
    let ids: Vec<Uuid> = changes.keys().copied().collect();
    sqlx::query(
        "with locked as (
            select id from campaigns where id = any($1) order by id for no key update
         )
         update campaigns c set
            pending = c.pending + d.pending, queued = c.queued + d.queued, sent = c.sent + d.sent,
            delivered = c.delivered + d.delivered, read = c.read + d.read, failed = c.failed + d.failed,
            skipped = c.skipped + d.skipped, cancelled = c.cancelled + d.cancelled,
            version = c.version + 1, updated_at = clock_timestamp()
         from locked join unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::integer[],
                                 $6::integer[], $7::integer[], $8::integer[], $9::integer[])
              as d (id, pending, queued, sent, delivered, read, failed, skipped, cancelled) using (id)
         where c.id = locked.id",
    )
    .bind(&ids)
    .bind(column(RecipientState::Pending))
    .bind(column(RecipientState::Queued))
    .bind(column(RecipientState::Sent))
    .bind(column(RecipientState::Delivered))
    .bind(column(RecipientState::Read))
    .bind(column(RecipientState::Failed))
    .bind(column(RecipientState::Skipped))
    .bind(column(RecipientState::Cancelled))
    .execute(&mut *connection)
    .await?;
    add_reasons(connection, changes).await
}

async fn add_reasons(connection: &mut PgConnection, changes: &Changes) -> sqlx::Result<()> {
    let reasons: Vec<(Uuid, i64, &str, i32)> = changes
        .iter()
        .flat_map(|(id, change)| {
            change.reasons.iter().map(|((code, title), count)| (*id, *code, title.as_str(), *count))
        })
        .filter(|(_, _, _, count)| *count != 0)
        .collect();
    if reasons.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into campaign_failures as f (campaign_id, code, title, count)
         select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::integer[])
         on conflict (campaign_id, code, title) do update set count = f.count + excluded.count",
    )
    .bind(reasons.iter().map(|reason| reason.0).collect::<Vec<_>>())
    .bind(reasons.iter().map(|reason| reason.1).collect::<Vec<_>>())
    .bind(reasons.iter().map(|reason| reason.2).collect::<Vec<_>>())
    .bind(reasons.iter().map(|reason| reason.3).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
