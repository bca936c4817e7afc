//! Rows of `patients`, `cities` and `specialties`: people fill them, flows look them up.

use chasqui_proto::v1::FlowOption;
use sqlx::{PgPool, postgres::PgRow, prelude::*};
use uuid::Uuid;

use crate::call::{Booking, Search};

/// The patient with a document: id and name.
pub(crate) async fn patient(
    pool: &PgPool,
    tenant: &str,
    document: &str,
) -> sqlx::Result<Option<(Uuid, String)>> {
    sqlx::query_as("select id, name from patients where tenant = $1 and document = $2")
        .bind(tenant)
        .bind(document)
        .fetch_optional(pool)
        .await
}

/// The cities in which there are specialties, by name.
pub(crate) async fn cities(pool: &PgPool, tenant: &str, limit: i64) -> sqlx::Result<Vec<FlowOption>> {
    let query = sqlx::query(
        "select c.id, c.name, '' as description from cities c
         where c.tenant = $1
           and exists (select from specialties s where s.tenant = c.tenant and s.city_id = c.id)
         order by c.name_folded limit $2",
    );
    options(&query.bind(tenant).bind(limit).fetch_all(pool).await?)
}

/// Whether a tenant has a city.
pub(crate) async fn has_city(pool: &PgPool, tenant: &str, city: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select from cities where tenant = $1 and id = $2)")
        .bind(tenant)
        .bind(city)
        .fetch_one(pool)
        .await
}

/// The specialties of a city in whose names every word of the text is contained: those first that begin with the text,
/// then those of which a word does, then the others; by name.
pub(crate) async fn specialties(pool: &PgPool, search: &Search, limit: i64) -> sqlx::Result<Vec<FlowOption>> {
    let query = sqlx::query(
        "select s.id, s.name, s.description
         from specialties s, (select folded($3) as text) wanted
         where s.tenant = $1 and s.city_id = $2
           and not exists (
               select from string_to_table(wanted.text, ' ') as w (word) where strpos(s.name_folded, word) = 0
           )
         order by case when starts_with(s.name_folded, wanted.text) then 0
                       when strpos(s.name_folded, ' ' || wanted.text) > 0 then 1
                       else 2 end,
                  s.name_folded
         limit $4",
    );
    let query = query.bind(search.tenant.as_str()).bind(search.city).bind(&search.text).bind(limit);
    options(&query.fetch_all(pool).await?)
}

/// What a booking names, in words; none of what is not in the register.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Words {
    pub(crate) patient: bool,
    pub(crate) city: Option<String>,
    /// Only where the city has it.
    pub(crate) specialty: Option<String>,
}

/// Looks up everything that a booking names.
pub(crate) async fn words(pool: &PgPool, booking: &Booking) -> sqlx::Result<Words> {
    sqlx::query_as(
        "select exists (select from patients where tenant = $1 and id = $2) as patient,
                (select name from cities where tenant = $1 and id = $3) as city,
                (select name from specialties where tenant = $1 and city_id = $3 and id = $4) as specialty",
    )
    .bind(booking.tenant.as_str())
    .bind(booking.patient)
    .bind(booking.city)
    .bind(booking.specialty)
    .fetch_one(pool)
    .await
}

fn options(rows: &[PgRow]) -> sqlx::Result<Vec<FlowOption>> {
    let option = |row: &PgRow| {
        Ok(FlowOption {
            id: row.try_get::<Uuid, _>("id")?.to_string(),
            label: row.try_get("name")?,
            description: row.try_get("description")?,
            ..FlowOption::default()
        })
    };
    rows.iter().map(option).collect()
}
