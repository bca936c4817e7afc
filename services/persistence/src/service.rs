//! The life of the service.

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use chasqui_kit::{Code, Coded, Platform, consume, pause::Pause, stream};
use secrecy::SecretString;
use sqlx::{Connection, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, PART,
    appointments::Appointments,
    campaigns_prune,
    chats::Chats,
    consumer::{self, Writer},
    deliveries::Log,
    directory::{Directory, Replication},
    error::Error,
    position::Positions,
    presence,
    queries::Queries,
    seeds,
    stats::{self, Changed},
    store, telling,
};

/// How often each replica looks for appointments that another one changed and died before it told them.
const APPOINTMENTS_INTERVAL: Duration = Duration::from_secs(1);

/// How PostgreSQL must keep texts: those of contacts are in every script.
const ENCODING: &str = "UTF8";

/// Runs until stopped. Returning means that nothing of it runs any more; the batch in hand is stored and told, or will
/// be delivered again.
///
/// The database and the broker may be away at any time, at the start too: it waits for them, and says so on the health
/// board. The schema is brought up to date by [`migrate`]; until then it is not ready.
pub async fn run(config: Config, platform: Platform, stop: CancellationToken) -> Result<(), Error> {
    let database_url = config.database_url.as_ref().ok_or(Error::DatabaseUrlMissing)?;
    let pool = store::pool(database_url, config.connections_max)?;
    let replica = Replica {
        chats: Chats::new(pool.clone(), config.agent_grace()),
        appointments: Appointments::new(pool.clone()),
        changed: Changed::default(),
        stop: stop.child_token(),
        config,
        platform,
        pool,
    };
    let Replica { config, platform, pool, changed, chats, appointments, stop } = &replica;
    let retry_pause_max = config.retry_pause_max();
    let replication = Replication::new(&platform.bus, pool);
    let log = Log { platform, pool, config, stop };
    let storing = async {
        let outcome = Box::pin(replica.store_and_answer()).await;
        // Nothing is left to tell once nothing is stored.
        stop.cancel();
        outcome
    };
    let (outcome, (), (), (), (), (), (), ()) = tokio::join!(
        storing,
        stats::tell(platform, pool, changed, config.stats_interval(), stop),
        chats.watch(platform, config.chats_interval(), retry_pause_max, stop),
        telling::keep(appointments, platform, APPOINTMENTS_INTERVAL, retry_pause_max, stop),
        presence::keep(&platform.bus, pool, chats, retry_pause_max, stop),
        replication.run(retry_pause_max, stop),
        log.keep(),
        campaigns_prune::keep(pool, stop),
    );
    pool.close().await;
    platform.health.not_ready(PART, "stopped");
    outcome
}

/// Brings the schema of the database up to date. Several may do it at once.
pub async fn migrate(database_url: &SecretString) -> Result<(), Error> {
    let options: PgConnectOptions = store::connect_options(database_url)?;
    let mut connection = PgConnection::connect_with(&options).await?;
    let encoding: String = sqlx::query_scalar("show server_encoding").fetch_one(&mut connection).await?;
    if encoding != ENCODING {
        return Err(Error::Encoding(encoding));
    }
    sqlx::migrate!("../../migrations").run(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// What the parts of a running replica share.
struct Replica {
    config: Config,
    platform: Platform,
    pool: PgPool,
    changed: Changed,
    chats: Chats,
    appointments: Appointments,
    stop: CancellationToken,
}

impl Replica {
    async fn store_and_answer(&self) -> Result<(), Error> {
        let Self { config, platform, stop, .. } = self;
        let mut responder = None;
        let mut pause = Pause::up_to(config.retry_pause_max());
        while !stop.is_cancelled() {
            let error = match self.prepare().await {
                Ok((writer, consumer, queries)) => {
                    if responder.is_none() {
                        responder = Some(queries.start(stop.clone()).await?);
                        // Ready is who can be asked: the server must have seen the subscriptions.
                        if let Err(error) = platform.bus.barrier().await {
                            tracing::debug!(%error, "requests may not arrive yet");
                        }
                    }
                    platform.health.ready(PART);
                    let spec = consumer::spec(config);
                    match consume::batches(&consumer, spec.name, config.batch_max).await {
                        Ok(batches) => {
                            writer.run(batches).await;
                            continue;
                        }
                        Err(error) => error.into(),
                    }
                }
                Err(error) => error,
            };
            if !is_passing(&error) {
                return Err(error);
            }
            tracing::warn!(%error, "cannot start yet; trying again");
            platform.health.not_ready(PART, error.to_string());
            stop.run_until_cancelled(tokio::time::sleep(pause.lengthen())).await;
        }
        if let Some(responder) = responder {
            responder.stopped().await;
        }
        // The last acknowledgements must be on their way before the process ends.
        if let Err(error) = platform.bus.barrier().await {
            tracing::debug!(%error, "the last acknowledgements may be lost; their messages come again");
        }
        Ok(())
    }

    /// Everything that must be there before the first batch.
    async fn prepare(&self) -> Result<(Writer, PullConsumer, Queries), Error> {
        let Self { config, platform, pool, changed, chats, appointments, stop } = self;
        stream::ensure_all(&platform.bus).await?;
        let consumer = consume::open(&platform.bus, &consumer::spec(config)).await?;
        store::probe(pool).await?;
        if config.seed {
            tracing::warn!(
                tenant = %platform.tenant,
                "persistence.seed is on: made-up patients, cities and specialties are added to this tenant"
            );
            seeds::sow(pool, &platform.tenant).await?;
        }
        let writer = Writer {
            platform: platform.clone(),
            pool: pool.clone(),
            directory: Directory::open(&platform.bus).await?,
            changed: changed.clone(),
            config: config.clone(),
            keywords: config.keywords(),
            stop: stop.clone(),
        };
        let positions = Positions::new(&platform.bus, consumer.clone()).await?;
        let (platform, pool, changed) = (platform.clone(), pool.clone(), changed.clone());
        let (chats, appointments) = (chats.clone(), appointments.clone());
        Ok((writer, consumer, Queries { platform, pool, positions, changed, chats, appointments }))
    }
}

/// Whether waiting helps: something is away, or the schema is not there yet.
fn is_passing(error: &Error) -> bool {
    let undefined_table = |error: &sqlx::Error| {
        error.as_database_error().and_then(|refused| refused.code().map(|code| code == "42P01"))
    };
    match error {
        Error::Database(database) if undefined_table(database) == Some(true) => true,
        _ => matches!(error.code(), Code::Unavailable | Code::Timeout),
    }
}
