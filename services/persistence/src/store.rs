//! The database: one transaction a batch.

pub(crate) mod aliases;
pub(crate) mod appointments;
pub(crate) mod campaigns;
pub(crate) mod campaigns_counts;
pub(crate) mod chats;
pub(crate) mod conversations;
pub(crate) mod counters;
pub(crate) mod deliveries;
pub(crate) mod directory;
pub(crate) mod events;
pub(crate) mod messages;
pub(crate) mod opt_outs;
pub(crate) mod presence;
pub(crate) mod queue;
pub(crate) mod recipients;
mod recipients_moved;
pub(crate) mod register;
pub(crate) mod states;
pub(crate) mod statuses;
pub(crate) mod told;
pub(crate) mod write;

use std::{str::FromStr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    ConnectOptions, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::error::Error;

/// How long anyone waits for a free connection, or for a new one.
const ACQUIRE_WAIT: Duration = Duration::from_secs(3);
/// How long PostgreSQL works on one statement before it gives up, well under the time a batch may be in hand.
const STATEMENT_WAIT_MS: &str = "10000";

/// How to connect to a database.
pub(crate) fn connect_options(database_url: &SecretString) -> Result<PgConnectOptions, Error> {
    let options = PgConnectOptions::from_str(database_url.expose_secret());
    let options = options.map_err(|error| Error::DatabaseUrl(error.to_string()))?;
    Ok(options.application_name("chasqui persistence").disable_statement_logging())
}

/// A pool that connects when it is first used, so that it can be made while the database is away.
pub(crate) fn pool(database_url: &SecretString, connections_max: u32) -> Result<PgPool, Error> {
    let options = connect_options(database_url)?.options([
        ("statement_timeout", STATEMENT_WAIT_MS),
        // Compiling a statement takes longer than running any of ours.
        ("jit", "off"),
        // The planner guesses badly how long the arrays are that batches come in; all of ours are found by index.
        ("enable_seqscan", "off"),
    ]);
    Ok(PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_WAIT)
        .connect_lazy_with(options))
}

/// Whether the database answers and has its schema, the newest tables too.
pub(crate) async fn probe(pool: &PgPool) -> Result<(), Error> {
    sqlx::query("select from tenant_stats, appointments, campaign_recipients, opt_outs limit 0")
        .execute(pool)
        .await?;
    Ok(())
}
