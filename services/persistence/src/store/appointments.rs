//! Rows of `appointments`, and which of their states others were told.

use std::time::Duration;

use chasqui_proto::v1;
use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    appointment::{Status, Terms},
    call::Booking,
    error::Error,
    fact::{self, Place},
};

/// A query with the columns that a `Row` is read from in the middle; an appointment is `a`, its patient `p`.
macro_rules! appointment_query {
    ($before:literal, $from:literal, $after:expr) => {
        concat!(
            $before,
            " select a.tenant, a.id, a.position, a.conversation_token, a.user_id, p.document as patient_document,
                     p.name as patient_name, a.city, a.specialty, a.visit_type, a.description, a.status,
                     a.scheduled_at, a.version, a.created_at, a.updated_at from ",
            $from,
            " a join patients p on p.tenant = a.tenant and p.id = a.patient_id ",
            $after
        )
    };
}

/// An appointment.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Row {
    tenant: String,
    id: Uuid,
    pub(crate) position: i64,
    conversation_token: String,
    user_id: String,
    patient_document: String,
    patient_name: String,
    city: String,
    specialty: String,
    visit_type: String,
    description: String,
    status: String,
    scheduled_at: Option<OffsetDateTime>,
    version: i64,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl Row {
    /// What people change about it.
    pub(crate) fn terms(&self) -> Result<Terms, Error> {
        let status = Status::of_name(&self.status).ok_or(Error::Unreadable("status"))?;
        Ok(Terms { status, scheduled_at: self.scheduled_at, description: self.description.clone() })
    }

    /// The appointment as others see it.
    pub(crate) fn state(self) -> v1::Appointment {
        v1::Appointment {
            id: self.id.to_string(),
            tenant: self.tenant,
            conversation: self.conversation_token,
            user_id: self.user_id,
            status: self.status,
            city: self.city,
            specialty: self.specialty,
            visit_type: self.visit_type,
            description: self.description,
            scheduled_at_ms: self.scheduled_at.map(fact::milliseconds).unwrap_or_default(),
            version: u64::try_from(self.version).unwrap_or_default(),
            updated_at_ms: fact::milliseconds(self.updated_at),
            patient_document: self.patient_document,
            patient_name: self.patient_name,
            created_at_ms: fact::milliseconds(self.created_at),
        }
    }
}

/// The appointment of an id.
pub(crate) async fn get(executor: impl PgExecutor<'_>, tenant: &str, id: Uuid) -> sqlx::Result<Option<Row>> {
    sqlx::query_as(appointment_query!("", "appointments", "where a.tenant = $1 and a.id = $2"))
        .bind(tenant)
        .bind(id)
        .fetch_optional(executor)
        .await
}

/// The same, and nobody else changes it until the transaction ends.
pub(crate) async fn lock(connection: &mut PgConnection, tenant: &str, id: Uuid) -> sqlx::Result<Option<Row>> {
    sqlx::query_as(appointment_query!(
        "",
        "appointments",
        "where a.tenant = $1 and a.id = $2 for update of a"
    ))
    .bind(tenant)
    .bind(id)
    .fetch_optional(connection)
    .await
}

/// Which appointments of a tenant a page is of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    pub(crate) status: Option<Status>,
    pub(crate) conversation: Option<Uuid>,
}

/// Appointments of a tenant, newest first, those before a position.
pub(crate) async fn page(
    executor: impl PgExecutor<'_>,
    tenant: &str,
    filter: Filter,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    macro_rules! page {
        ($filter:literal) => {
            appointment_query!(
                "",
                "appointments",
                concat!(
                    "where a.tenant = $1 and a.position < $2",
                    $filter,
                    " order by a.position desc limit $3"
                )
            )
        };
    }
    let status = filter.status.map(Status::name);
    let query = match (filter.conversation, status) {
        (Some(conversation), _) => {
            sqlx::query_as(page!(" and a.conversation_id = $4 and ($5::text is null or a.status = $5)"))
                .bind(tenant)
                .bind(before)
                .bind(limit)
                .bind(conversation)
                .bind(status)
        }
        (None, Some(status)) => {
            sqlx::query_as(page!(" and a.status = $4")).bind(tenant).bind(before).bind(limit).bind(status)
        }
        (None, None) => sqlx::query_as(page!("")).bind(tenant).bind(before).bind(limit),
    };
    query.fetch_all(executor).await
}

/// Stores an appointment unless the same request has made it already; says whether it is new.
pub(crate) async fn insert(
    executor: impl PgExecutor<'_>,
    place: &Place,
    booking: &Booking,
    city: &str,
    specialty: &str,
) -> sqlx::Result<bool> {
    let stored = sqlx::query(
        "insert into appointments (tenant, id, conversation_id, conversation_token, user_id, patient_id, city,
                                   specialty, visit_type, description)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (tenant, id) do nothing",
    )
    .bind(booking.tenant.as_str())
    .bind(booking.request_id)
    .bind(place.id)
    .bind(place.token.as_str())
    .bind(&booking.user_id)
    .bind(booking.patient)
    .bind(city)
    .bind(specialty)
    .bind(&booking.visit_type)
    .bind(&booking.description)
    .execute(executor)
    .await?;
    Ok(stored.rows_affected() > 0)
}

/// Changes a locked appointment.
pub(crate) async fn update(
    connection: &mut PgConnection,
    tenant: &str,
    id: Uuid,
    terms: &Terms,
) -> sqlx::Result<()> {
    sqlx::query(
        "update appointments set status = $3, scheduled_at = $4, description = $5, version = version + 1,
             updated_at = clock_timestamp()
         where tenant = $1 and id = $2",
    )
    .bind(tenant)
    .bind(id)
    .bind(terms.status.name())
    .bind(terms.scheduled_at)
    .bind(&terms.description)
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes appointments that are not told yet in hand for `lease`. Until they are marked, or the time is up, nobody else
/// tells them: two could tell two states in the wrong order.
pub(crate) async fn take(pool: &PgPool, lease: Duration, limit: i64) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as(appointment_query!(
        "with untold as (
            select tenant, id from appointments
            where told_version < version and (telling_until is null or telling_until < clock_timestamp())
            order by position limit $2 for update skip locked
         ), taken as (
            update appointments t set telling_until = clock_timestamp() + $1
            from untold u where t.tenant = u.tenant and t.id = u.id
            returning t.*
         )",
        "taken",
        "order by a.position"
    ))
    .bind(lease)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Marks appointments as told in the versions they were taken in. Where another one told a newer state meanwhile, because
/// this one took too long, the older may have come after it: then the newer counts as not told.
pub(crate) async fn mark(pool: &PgPool, told: &[&Row]) -> sqlx::Result<()> {
    let versions = told.iter().map(|row| Some(row.version)).collect();
    let_go(pool, told, versions).await
}

/// Gives appointments back that could not be told.
pub(crate) async fn release(pool: &PgPool, rows: &[&Row]) -> sqlx::Result<()> {
    let_go(pool, rows, vec![None; rows.len()]).await
}

async fn let_go(pool: &PgPool, rows: &[&Row], told: Vec<Option<i64>>) -> sqlx::Result<()> {
    sqlx::query(
        "with known as (
            select * from unnest($1::text[], $2::uuid[], $3::bigint[]) as u (tenant, id, told_version)
         ), locked as (
            select a.tenant, a.id, k.told_version from appointments a join known k using (tenant, id)
            order by a.position for update of a
         )
         update appointments t set told_version = coalesce(l.told_version, t.told_version), telling_until = null
         from locked l where t.tenant = l.tenant and t.id = l.id",
    )
    .bind(rows.iter().map(|row| row.tenant.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.id).collect::<Vec<_>>())
    .bind(told)
    .execute(pool)
    .await?;
    Ok(())
}
