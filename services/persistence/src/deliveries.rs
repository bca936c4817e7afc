//! The log of what was posted to listeners: from its stream into the database, and forgotten in time.

use std::time::Duration;

use chasqui_kit::{
    Code, Coded, Platform, clock,
    consume::{self, Cause, ConsumerSpec, Delivery, Start},
    pause::Pause,
    stream as streams,
};
use chasqui_proto::{service, stream, subject};
use futures::{FutureExt, Stream, StreamExt};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::{
    Config,
    attempt::{self, Attempt},
    error::Error,
    fact, meter,
    store::deliveries as rows,
};

/// How often it is looked for what is old enough to be forgotten.
const PRUNE_INTERVAL: Duration = Duration::from_mins(1);
/// How many rows one statement forgets.
const PRUNED_MAX: i64 = 5_000;
/// The rest between two such statements, for those who write.
const PRUNE_REST: Duration = Duration::from_millis(100);
/// How long attempts wait after a failure that is nobody's absence.
const AGAIN_PAUSE: Duration = Duration::from_secs(1);

/// The consumer that all replicas share.
fn spec(config: &Config) -> ConsumerSpec {
    ConsumerSpec {
        stream: stream::DELIVERY_LOG,
        name: stream::DELIVERY_LOG_CONSUMER,
        description: "Stores the attempts to post events to listeners in PostgreSQL",
        filters: vec![subject::deliveries_attempted_of_all()],
        start: Start::Everything,
        ack_wait: config.ack_wait(),
        ack_pending_max: config.ack_pending_max,
    }
}

/// An attempt that was read.
type InHand = (Delivery, Attempt);

/// Keeps the log.
pub(crate) struct Log<'a> {
    pub(crate) platform: &'a Platform,
    pub(crate) pool: &'a PgPool,
    pub(crate) config: &'a Config,
    pub(crate) stop: &'a CancellationToken,
}

impl Log<'_> {
    /// Stores attempts and forgets old deliveries until stopped.
    pub(crate) async fn keep(&self) {
        tokio::join!(self.store_all(), self.prune());
    }

    async fn store_all(&self) {
        let mut pause = Pause::up_to(self.config.retry_pause_max());
        while !self.stop.is_cancelled() {
            match self.open().await {
                Ok(batches) => {
                    pause = Pause::up_to(self.config.retry_pause_max());
                    self.run(batches).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "the log of deliveries cannot be read yet; trying again");
                    meter::retry("broker");
                    self.rest(pause.lengthen()).await;
                }
            }
        }
    }

    async fn open(&self) -> Result<impl Stream<Item = Vec<Delivery>> + Unpin + use<>, Error> {
        let spec = spec(self.config);
        streams::ensure_all(&self.platform.bus).await?;
        let consumer = consume::open(&self.platform.bus, &spec).await?;
        Ok(consume::batches(&consumer, spec.name, self.config.batch_max).await?)
    }

    async fn run(&self, mut batches: impl Stream<Item = Vec<Delivery>> + Unpin) {
        while let Some(Some(batch)) = self.stop.run_until_cancelled(batches.next()).await {
            self.handle(batch).await;
            self.rest(self.config.batch_interval()).await;
        }
        // What was fetched and not begun is for the others.
        while let Some(Some(batch)) = batches.next().now_or_never() {
            for delivery in batch {
                delivery.again(Duration::ZERO).await;
            }
        }
    }

    async fn handle(&self, batch: Vec<Delivery>) {
        let mut good: Vec<InHand> = Vec::with_capacity(batch.len());
        for delivery in batch {
            match attempt::read(delivery.subject(), delivery.payload()) {
                Ok(attempt) => good.push((delivery, attempt)),
                Err(error) => self.bury(&delivery, "undecodable", &error.to_string()).await,
            }
        }
        if good.is_empty() {
            return;
        }
        match self.store(&good).await {
            Some(Err(error)) if error.code() == Code::InvalidInput && good.len() > 1 => {
                // One by one, so that what is refused is known.
                for one in &good {
                    let outcome = self.store(std::slice::from_ref(one)).await;
                    self.settle(std::slice::from_ref(one), outcome).await;
                }
            }
            outcome => self.settle(&good, outcome).await,
        }
    }

    async fn settle(&self, part: &[InHand], outcome: Option<Result<(), Error>>) {
        for (delivery, _) in part {
            match &outcome {
                Some(Ok(())) => delivery.done().await,
                Some(Err(error)) if error.code() == Code::InvalidInput => {
                    self.bury(delivery, "refused", &error.to_string()).await;
                }
                Some(Err(error)) if delivery.attempt >= self.config.attempts_max => {
                    self.bury(delivery, "attempts", &error.to_string()).await;
                }
                Some(Err(_)) => delivery.again(AGAIN_PAUSE).await,
                // Stopped: another replica has it now.
                None => delivery.again(Duration::ZERO).await,
            }
        }
    }

    /// Stores attempts, however long the database is away; none when stopped before.
    async fn store(&self, part: &[InHand]) -> Option<Result<(), Error>> {
        let attempts: Vec<&Attempt> = part.iter().map(|(_, attempt)| attempt).collect();
        let mut pause = Pause::up_to(self.config.retry_pause_max());
        loop {
            // Storing is safe to leave undone, and whoever waits for a lock would hold up the end.
            let stored = self.stop.run_until_cancelled(rows::store(self.pool, &attempts)).await?;
            let Err(error) = stored.map_err(Error::from) else { return Some(Ok(())) };
            if !matches!(error.code(), Code::Unavailable | Code::Timeout | Code::Conflict) {
                return Some(Err(error));
            }
            tracing::debug!(%error, "the database is away; the log of deliveries waits");
            meter::retry("database");
            for (delivery, _) in part {
                delivery.hold().await;
            }
            self.rest(pause.lengthen()).await;
            if self.stop.is_cancelled() {
                return None;
            }
        }
    }

    async fn prune(&self) {
        while !self.stop.is_cancelled() {
            let before = fact::moment(clock::now_ms() - self.config.delivery_log_ms());
            let rest = match rows::prune(self.pool, before, PRUNED_MAX).await {
                Ok(pruned) => {
                    meter::deliveries_pruned(pruned);
                    if i64::try_from(pruned).is_ok_and(|pruned| pruned < PRUNED_MAX) {
                        PRUNE_INTERVAL
                    } else {
                        PRUNE_REST
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "old deliveries could not be forgotten; trying again");
                    PRUNE_INTERVAL
                }
            };
            self.rest(rest).await;
        }
    }

    async fn rest(&self, pause: Duration) {
        self.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
    }

    async fn bury(&self, delivery: &Delivery, reason: &'static str, error: &str) {
        let cause = Cause { service: service::PERSISTENCE, reason, first_error: error, last_error: error };
        if let Err(failure) = consume::bury(&self.platform.bus, delivery, &cause).await {
            tracing::warn!(error = %failure, seq = delivery.seq, "a dead letter could not be stored; it comes again");
        }
    }
}
