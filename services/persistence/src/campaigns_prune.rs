//! Campaigns whose upload was given up are removed.

use std::time::Duration;

use chasqui_kit::clock;
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::{
    error::Error,
    fact, meter,
    store::{campaigns as rows, recipients},
};

/// How long an upload may bring nothing before it is taken for given up, milliseconds.
const ABANDONED_AFTER_MS: i64 = 24 * 3_600 * 1_000;
/// How often each replica looks for such.
const PRUNE_INTERVAL: Duration = Duration::from_mins(1);

/// Removes what was given up, until stopped.
pub(crate) async fn keep(pool: &PgPool, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let before = fact::moment(clock::now_ms() - ABANDONED_AFTER_MS);
        match stop.run_until_cancelled(prune(pool, before)).await {
            // There may be another one.
            Some(Ok(true)) => continue,
            Some(Ok(false)) | None => {}
            Some(Err(error)) => tracing::debug!(%error, "uploads that were given up could not be removed"),
        }
        stop.run_until_cancelled(tokio::time::sleep(PRUNE_INTERVAL)).await;
    }
}

/// Removes a campaign whose upload brought nothing since a moment; says whether there was one.
async fn prune(pool: &PgPool, before: OffsetDateTime) -> Result<bool, Error> {
    let mut transaction = pool.begin().await?;
    let Some(id) = rows::abandoned(&mut transaction, before).await? else { return Ok(false) };
    recipients::delete(&mut transaction, id).await?;
    rows::delete(&mut transaction, id).await?;
    transaction.commit().await?;
    tracing::info!(campaign = %id, "a campaign was removed whose upload was given up");
    meter::uploads_pruned(1);
    Ok(true)
}
