//! From the stream into the database.

use std::{collections::HashMap, time::Duration};

use chasqui_kit::{
    Code, Coded, Platform, TraceContext,
    consume::{self, Cause, ConsumerSpec, Delivery, Start},
    pause::Pause,
};
use chasqui_proto::{service, stream, subject};
use futures::{FutureExt, Stream, StreamExt};
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    Config, PART,
    directory::Directory,
    error::Error,
    fact::{self, Fact},
    meter,
    opt_out::Keywords,
    state::{self, Told},
    stats::Changed,
    store::write::{self, Written},
};

/// How long one transaction may take. PostgreSQL ends single statements before.
const WRITE_WAIT: Duration = Duration::from_secs(15);
/// How long a message waits after a failure that is nobody's absence.
const AGAIN_PAUSE: Duration = Duration::from_secs(1);

/// The consumer that all replicas share.
pub(crate) fn spec(config: &Config) -> ConsumerSpec {
    ConsumerSpec {
        stream: stream::MESSAGES,
        name: stream::PERSISTENCE_CONSUMER,
        description: "Stores messages and statuses in PostgreSQL",
        filters: subject::persisted().to_vec(),
        start: Start::Everything,
        ack_wait: config.ack_wait(),
        ack_pending_max: config.ack_pending_max,
    }
}

/// A delivery that was read.
type InHand = (Delivery, Fact);

/// What becomes of a part of a batch.
enum Outcome {
    Stored(Written),
    /// PostgreSQL does not take a row of it, and never will.
    Refused(Error),
    /// Something else is wrong; perhaps not the next time.
    Failed(Error),
    Stopped,
}

/// Stores what the consumer delivers.
pub(crate) struct Writer {
    pub(crate) platform: Platform,
    pub(crate) pool: PgPool,
    pub(crate) directory: Directory,
    pub(crate) changed: Changed,
    pub(crate) config: Config,
    pub(crate) keywords: Keywords,
    pub(crate) stop: CancellationToken,
}

impl Writer {
    /// Takes batches until stopped, or until the consumer is gone.
    pub(crate) async fn run(&self, mut batches: impl Stream<Item = Vec<Delivery>> + Unpin) {
        while let Some(Some(batch)) = self.stop.run_until_cancelled(batches.next()).await {
            let (began, full) = (Instant::now(), batch.len() >= self.config.batch_max);
            self.handle(batch).await;
            if !full {
                let rest = tokio::time::sleep_until(began + self.config.batch_interval());
                self.stop.run_until_cancelled(rest).await;
            }
        }
        // What was fetched and not begun is for the others, now and not when its time is up.
        while let Some(Some(batch)) = batches.next().now_or_never() {
            for delivery in batch {
                delivery.again(Duration::ZERO).await;
            }
        }
    }

    async fn handle(&self, batch: Vec<Delivery>) {
        meter::batch(batch.len());
        let (mut good, mut overdue) = (Vec::with_capacity(batch.len()), Vec::new());
        for delivery in batch {
            let repeated = delivery.attempt > 1;
            match fact::read(delivery.subject(), delivery.payload(), delivery.seq, repeated) {
                Ok(fact) if delivery.attempt > self.config.attempts_max => overdue.push((delivery, fact)),
                Ok(fact) => good.push((delivery, fact)),
                Err(error) => self.bury(&delivery, "undecodable", &error.to_string()).await,
            }
        }
        if !good.is_empty() {
            self.settle(good).await;
        }
        // Alone, so that what fails for one of them is not held against its neighbours.
        for delivery in overdue {
            self.settle(vec![delivery]).await;
        }
    }

    /// Stores a batch; where a row is refused, halves it until the row is found.
    async fn settle(&self, batch: Vec<InHand>) {
        let mut parts = vec![batch];
        while let Some(mut part) = parts.pop() {
            match self.held(&part, self.store(&part)).await {
                Outcome::Stored(written) => {
                    if self.held(&part, self.tell(&part, written)).await {
                        for (delivery, _) in &part {
                            delivery.done().await;
                        }
                    }
                }
                Outcome::Refused(error) if part.len() == 1 => {
                    self.bury(&part[0].0, "refused", &error.to_string()).await;
                }
                Outcome::Refused(_) => {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([second, part]);
                }
                Outcome::Failed(error) => self.give_back(&part, &error).await,
                Outcome::Stopped => return,
            }
        }
    }

    /// Runs `work` and keeps what it works on from going to another replica meanwhile.
    async fn held<T>(&self, part: &[InHand], work: impl Future<Output = T>) -> T {
        let hold = async {
            loop {
                tokio::time::sleep(self.config.ack_wait() / 3).await;
                for (delivery, _) in part {
                    delivery.hold().await;
                }
            }
        };
        tokio::select! {
            done = work => done,
            never = hold => never,
        }
    }

    /// Stores a part in one transaction, however long the database is away.
    async fn store(&self, part: &[InHand]) -> Outcome {
        let facts: Vec<&Fact> = part.iter().map(|(_, fact)| fact).collect();
        let mut pause = Pause::up_to(self.config.retry_pause_max());
        loop {
            let began = Instant::now();
            let error = match tokio::time::timeout(
                WRITE_WAIT,
                write::write(&self.pool, &facts, &self.keywords),
            )
            .await
            {
                Ok(Ok(written)) => {
                    meter::committed(began.elapsed(), &facts, &written);
                    self.changed.add(written.tenants.iter().cloned());
                    self.platform.health.ready(PART);
                    return Outcome::Stored(written);
                }
                Ok(Err(error)) => error,
                Err(_) => Error::Database(sqlx::Error::PoolTimedOut),
            };
            match error.code() {
                Code::InvalidInput => return Outcome::Refused(error),
                Code::Conflict => {}
                Code::Unavailable | Code::Timeout => self.away("the database", &error),
                _ => return Outcome::Failed(error),
            }
            meter::retry("database");
            if self.stop.run_until_cancelled(tokio::time::sleep(pause.lengthen())).await.is_none() {
                return Outcome::Stopped;
            }
        }
    }

    /// Tells what was stored, however long the broker is away; false when stopped before.
    async fn tell(&self, part: &[InHand], written: Written) -> bool {
        let traces: HashMap<String, &Delivery> =
            part.iter().map(|(delivery, fact)| (fact.place.id.to_string(), delivery)).collect();
        let trace = |id: &str| traces.get(id).map(|delivery| TraceContext::of_nats(delivery.headers()));
        let told = |state: chasqui_proto::v1::Conversation| {
            let trace = trace(&state.id).unwrap_or_else(TraceContext::root);
            Told { state, trace }
        };
        let mut states: Vec<Told> = written.states.into_iter().map(told).collect();
        let mut pause = Pause::up_to(self.config.retry_pause_max());
        loop {
            let error = match self.directory.tell(&written.aliases).await {
                Ok(()) => match state::tell(&self.platform, &self.pool, std::mem::take(&mut states)).await {
                    Ok(()) => {
                        self.platform.health.ready(PART);
                        return true;
                    }
                    Err((left, error)) => {
                        states = left;
                        error
                    }
                },
                Err(error) => error,
            };
            self.away("the message broker", &error);
            meter::retry("broker");
            if self.stop.run_until_cancelled(tokio::time::sleep(pause.lengthen())).await.is_none() {
                return false;
            }
        }
    }

    /// To be tried again later, or given up where that was done often enough.
    async fn give_back(&self, part: &[InHand], error: &Error) {
        tracing::error!(%error, messages = part.len(), "messages could not be stored");
        for (delivery, _) in part {
            if delivery.attempt >= self.config.attempts_max && part.len() == 1 {
                self.bury(delivery, "attempts", &error.to_string()).await;
            } else {
                delivery.again(AGAIN_PAUSE).await;
            }
        }
    }

    async fn bury(&self, delivery: &Delivery, reason: &'static str, error: &str) {
        let cause = Cause { service: service::PERSISTENCE, reason, first_error: error, last_error: error };
        if let Err(failure) = consume::bury(&self.platform.bus, delivery, &cause).await {
            tracing::warn!(error = %failure, seq = delivery.seq, "a dead letter could not be stored; it comes again");
        }
    }

    fn away(&self, who: &str, error: &dyn std::fmt::Display) {
        tracing::warn!(%error, "{who} is away; the batch waits");
        self.platform.health.not_ready(PART, format!("{who} is away: {error}"));
    }
}
