//! Rows of `webhook_deliveries`.

use std::collections::BTreeMap;

use chasqui_proto::{
    Tenant,
    v1::{DeliveryAttempt, DeliveryOutcome, LoggedDelivery},
};
use sqlx::{PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{attempt::Attempt, fact, meter};

/// What is asked for of a tenant's deliveries.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) tenant: Tenant,
    /// Of every listener where none is named.
    pub(crate) listener: Option<Uuid>,
    /// Of every outcome where none is named.
    pub(crate) outcome: Option<DeliveryOutcome>,
    /// Last attempted after this.
    pub(crate) since: Option<OffsetDateTime>,
    /// Before this place in the order of first attempts.
    pub(crate) before: i64,
}

/// A delivery and its place in the list.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) position: i64,
    pub(crate) delivery: LoggedDelivery,
}

#[derive(sqlx::FromRow)]
struct Row {
    tenant: String,
    id: String,
    position: i64,
    listener: Uuid,
    event: String,
    seq: i64,
    attempts: i32,
    outcome: String,
    http_status: i32,
    error: String,
    duration_ms: i32,
    first_attempted_at: OffsetDateTime,
    last_attempted_at: OffsetDateTime,
    next_at: Option<OffsetDateTime>,
}

impl From<Row> for Placed {
    fn from(row: Row) -> Self {
        let last = DeliveryAttempt {
            delivery_id: row.id,
            tenant: row.tenant,
            listener: row.listener.to_string(),
            event: row.event,
            seq: u64::try_from(row.seq).unwrap_or_default(),
            attempt: unsigned(row.attempts),
            outcome: DeliveryOutcome::of_name(&row.outcome).unwrap_or(DeliveryOutcome::Unspecified).into(),
            http_status: unsigned(row.http_status),
            error: row.error,
            duration_ms: unsigned(row.duration_ms),
            attempted_at_ms: fact::milliseconds(row.last_attempted_at),
            next_at_ms: row.next_at.map_or(0, fact::milliseconds),
        };
        let first_attempted_at_ms = fact::milliseconds(row.first_attempted_at);
        let delivery = LoggedDelivery { last: Some(last), first_attempted_at_ms };
        Self { position: row.position, delivery }
    }
}

/// Stores attempts: of each delivery the last one, whatever comes late. A replay counts its attempts anew, so that
/// time decides and not their number.
pub(crate) async fn store(pool: &PgPool, attempts: &[&Attempt]) -> sqlx::Result<()> {
    // In order of their keys, so that two replicas never wait for each other in a circle.
    let mut by_delivery: BTreeMap<(&str, &str), (&Attempt, i64)> = BTreeMap::new();
    for attempt in attempts {
        let (key, at_ms) =
            ((attempt.tenant.as_str(), attempt.told.delivery_id.as_str()), attempt.told.attempted_at_ms);
        let (last, first_ms) = by_delivery.entry(key).or_insert((attempt, at_ms));
        *first_ms = at_ms.min(*first_ms);
        if moment_of(attempt) > moment_of(last) {
            *last = attempt;
        }
    }
    macro_rules! column {
        (|$attempt:ident| $value:expr) => {
            by_delivery.values().map(|($attempt, _)| $value).collect::<Vec<_>>()
        };
    }
    let firsts: Vec<OffsetDateTime> =
        by_delivery.values().map(|(_, first_ms)| fact::moment(*first_ms)).collect();
    let (tenants, ids) =
        (column!(|attempt| attempt.tenant.as_str()), column!(|attempt| attempt.told.delivery_id.as_str()));
    let mut transaction = pool.begin().await?;
    sqlx::query(
        "insert into webhook_deliveries as stored
                (tenant, id, listener, event, seq, attempts, outcome, http_status, error, duration_ms,
                 first_attempted_at, last_attempted_at, next_at)
         select * from unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::integer[], $7::text[],
                              $8::integer[], $9::text[], $10::integer[], $11::timestamptz[], $12::timestamptz[],
                              $13::timestamptz[])
         on conflict (tenant, id) do update
            set attempts = excluded.attempts, outcome = excluded.outcome, http_status = excluded.http_status,
                error = excluded.error, duration_ms = excluded.duration_ms,
                last_attempted_at = excluded.last_attempted_at, next_at = excluded.next_at
            where (stored.last_attempted_at, stored.attempts) < (excluded.last_attempted_at, excluded.attempts)",
    )
    .bind(&tenants)
    .bind(&ids)
    .bind(column!(|attempt| attempt.listener))
    .bind(column!(|attempt| attempt.told.event.as_str()))
    .bind(column!(|attempt| i64::try_from(attempt.told.seq).unwrap_or(i64::MAX)))
    .bind(column!(|attempt| signed(attempt.told.attempt)))
    .bind(column!(|attempt| attempt.told.outcome().name()))
    .bind(column!(|attempt| signed(attempt.told.http_status)))
    .bind(column!(|attempt| attempt.told.error.as_str()))
    .bind(column!(|attempt| signed(attempt.told.duration_ms)))
    .bind(&firsts)
    .bind(column!(|attempt| fact::moment(attempt.told.attempted_at_ms)))
    .bind(column!(|attempt| Some(attempt.told.next_at_ms).filter(|at| *at != 0).map(fact::moment)))
    .execute(&mut *transaction)
    .await?;
    // Where a later attempt was stored before.
    sqlx::query(
        "update webhook_deliveries d set first_attempted_at = late.first
         from unnest($1::text[], $2::text[], $3::timestamptz[]) as late (tenant, id, first)
         where d.tenant = late.tenant and d.id = late.id and late.first < d.first_attempted_at",
    )
    .bind(&tenants)
    .bind(&ids)
    .bind(&firsts)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    meter::deliveries_logged(by_delivery.len());
    Ok(())
}

/// Deliveries in the order of their first attempts, newest first.
pub(crate) async fn page(pool: &PgPool, wanted: &Wanted, limit: i64) -> sqlx::Result<Vec<Placed>> {
    // Only the conditions that are asked for, so that each combination finds its index.
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(
        "select tenant, id, position, listener, event, seq, attempts, outcome, http_status, error, duration_ms,
                first_attempted_at, last_attempted_at, next_at
         from webhook_deliveries where tenant = ",
    );
    query.push_bind(wanted.tenant.as_str()).push(" and position < ").push_bind(wanted.before);
    if let Some(listener) = wanted.listener {
        query.push(" and listener = ").push_bind(listener);
    }
    if let Some(outcome) = wanted.outcome {
        query.push(" and outcome = ").push_bind(outcome.name());
    }
    if let Some(since) = wanted.since {
        query.push(" and last_attempted_at > ").push_bind(since);
    }
    query.push(" order by position desc limit ").push_bind(limit);
    let rows: Vec<Row> = query.build_query_as().fetch_all(pool).await?;
    Ok(rows.into_iter().map(Placed::from).collect())
}

/// Forgets deliveries that were last attempted before a moment, at most `limit`; says how many.
pub(crate) async fn prune(pool: &PgPool, before: OffsetDateTime, limit: i64) -> sqlx::Result<u64> {
    let pruned = sqlx::query(
        "delete from webhook_deliveries d
         using (select tenant, id from webhook_deliveries where last_attempted_at < $1
                order by last_attempted_at limit $2 for update skip locked) old
         where d.tenant = old.tenant and d.id = old.id",
    )
    .bind(before)
    .bind(limit)
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}

fn moment_of(attempt: &Attempt) -> (i64, u32) {
    (attempt.told.attempted_at_ms, attempt.told.attempt)
}

fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}
