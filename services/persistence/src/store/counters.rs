//! Rows of `tenant_stats`.

use std::collections::BTreeMap;

use sqlx::{PgConnection, PgPool};

use crate::counters::{Changes, RESPONSE_MS_MAX};

/// Adds changes. The last statement of a transaction: a tenant's counters are few rows that everybody wants.
pub(super) async fn add(connection: &mut PgConnection, changes: &Changes) -> sqlx::Result<()> {
    let (names, values): (Vec<_>, Vec<i64>) = changes.0.iter().map(|(name, value)| (name, *value)).unzip();
    sqlx::query(
        "insert into tenant_stats (tenant, counter, value)
         select * from unnest($1::text[], $2::text[], $3::bigint[])
         on conflict (tenant, counter) do update set value =
            case when tenant_stats.counter = $4 then greatest(tenant_stats.value, excluded.value)
                 else tenant_stats.value + excluded.value end",
    )
    .bind(names.iter().map(|(tenant, _)| tenant.as_str()).collect::<Vec<_>>())
    .bind(names.iter().map(|(_, counter)| counter.as_str()).collect::<Vec<_>>())
    .bind(values)
    .bind(RESPONSE_MS_MAX)
    .execute(connection)
    .await?;
    Ok(())
}

/// The counters of a tenant.
pub(crate) async fn read(pool: &PgPool, tenant: &str) -> sqlx::Result<BTreeMap<String, i64>> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("select counter, value from tenant_stats where tenant = $1")
            .bind(tenant)
            .fetch_all(pool)
            .await?;
    Ok(rows.into_iter().collect())
}
