//! What happens to chats without being asked: grace ends, and states that were not told are told.

use std::time::Duration;

use chasqui_kit::{
    Platform, TraceContext,
    publish::{Fact, PublishError},
};
use chasqui_proto::{Tenant, subject};
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    chats::Chats,
    error::Error,
    meter,
    pause::Pause,
    store::{chats::Row, queue, told},
};

/// How many tenants are looked after between two looks at what is due.
const DUE_MAX: i64 = 100;
/// How many states are told between two looks at what is left.
const TELL_MAX: i64 = 256;
/// How many of them wait for the stream's acknowledgement at once.
const IN_FLIGHT_MAX: usize = 16;
/// How long one process has states in hand that it tells. Longer than it takes to tell so many; when it is over, the
/// process is taken for dead.
const LEASE: Duration = Duration::from_secs(20);

impl Chats {
    /// Looks what is due every `interval`, and tells what changed, until stopped.
    pub(crate) async fn watch(
        &self,
        platform: &Platform,
        interval: Duration,
        retry_pause_max: Duration,
        stop: &CancellationToken,
    ) {
        let looking = async {
            loop {
                if let Err(error) = self.look().await {
                    tracing::debug!(%error, "the chats could not be looked at; trying again");
                }
                let next = tokio::time::timeout(interval, self.due.notified());
                if stop.run_until_cancelled(next).await.is_none() {
                    return;
                }
            }
        };
        let telling = async {
            let mut pause = Pause::up_to(retry_pause_max);
            while !stop.is_cancelled() {
                // Also without being told: another process may have died between changing a chat and telling it.
                let rest = match self.tell(platform).await {
                    Ok(0) => {
                        pause = Pause::up_to(retry_pause_max);
                        interval
                    }
                    Ok(_) => continue,
                    Err(error) => {
                        tracing::debug!(%error, "chats could not be told; trying again");
                        meter::retry("chats");
                        pause.lengthen()
                    }
                };
                let change = tokio::time::timeout(rest, self.changed.notified());
                let _ = stop.run_until_cancelled(change).await;
            }
        };
        tokio::join!(looking, telling);
    }

    /// Settles the tenants in whose queues something is due.
    async fn look(&self) -> Result<(), Error> {
        for tenant in queue::due(&self.pool, self.grace, DUE_MAX).await? {
            let tenant: Tenant = tenant.parse().map_err(|_| Error::Unreadable("tenant"))?;
            self.settle(&tenant).await?;
        }
        meter::chats_waiting(queue::length(&self.pool).await?);
        Ok(())
    }

    /// Tells what is not told yet; says how many chats that were.
    async fn tell(&self, platform: &Platform) -> Result<usize, Error> {
        let untold = told::take(&self.pool, LEASE, TELL_MAX).await?;
        if untold.is_empty() {
            return Ok(0);
        }
        let outcomes: Vec<Result<(), PublishError>> = stream::iter(untold.clone())
            .map(|row| publish(platform, row))
            .buffered(IN_FLIGHT_MAX)
            .collect()
            .await;
        let (told, left): (Vec<_>, Vec<_>) =
            untold.iter().zip(outcomes).partition(|(_, outcome)| outcome.is_ok());
        let done: Vec<&Row> = told.into_iter().map(|(row, _)| row).collect();
        told::mark(&self.pool, &done).await?;
        let (rows, failures): (Vec<&Row>, Vec<_>) = left.into_iter().unzip();
        match failures.into_iter().find_map(Result::err) {
            None => Ok(done.len()),
            Some(failure) => {
                told::release(&self.pool, &rows).await?;
                Err(failure.into())
            }
        }
    }
}

/// Publishes the state of a chat and waits until it is stored.
///
/// Each time under an id of its own: where a state is told again, that is because another one may have come after it,
/// and under the same id the stream would drop it.
async fn publish(platform: &Platform, row: Row) -> Result<(), PublishError> {
    let parsed = row.tenant.parse().ok().zip(row.conversation_token.parse().ok());
    let (tenant, token) = parsed.expect("both were parsed before they were stored");
    let state = row.state();
    let (id, trace) = (Uuid::now_v7().to_string(), TraceContext::root());
    let fact = Fact::new(subject::chats_updated(&tenant, &token), &state, id, trace);
    platform.bus.publish(fact).await.map(drop)
}
