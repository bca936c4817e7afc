//! Telling others what changed, until it is told: also what was changed while the broker was away, or by a process that
//! died before it told it.

use std::time::Duration;

use chasqui_kit::{Platform, pause::Pause, publish::PublishError};
use futures::{StreamExt, stream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{error::Error, meter};

/// How many states are told between two looks at what is left.
const TELL_MAX: i64 = 256;
/// How many of them wait for the stream's acknowledgement at once.
const IN_FLIGHT_MAX: usize = 16;
/// How long one process has states in hand that it tells. Longer than it takes to tell so many; when it is over, the
/// process is taken for dead.
const LEASE: Duration = Duration::from_secs(20);

/// What has states that others are to be told.
pub(crate) trait Teller: Sync {
    /// A state.
    type State: Clone + Send + Sync;

    /// The name in metrics and logs.
    const NAME: &'static str;

    /// Told when there may be something to tell.
    fn changed(&self) -> &Notify;

    /// Takes states that are not told yet in hand.
    fn take(
        &self,
        lease: Duration,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<Self::State>>> + Send;

    /// Publishes a state and waits until it is stored.
    fn publish(
        &self,
        platform: &Platform,
        state: Self::State,
    ) -> impl Future<Output = Result<(), PublishError>> + Send;

    /// Marks states as told.
    fn mark(&self, told: &[&Self::State]) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Gives states back that could not be told.
    fn release(&self, left: &[&Self::State]) -> impl Future<Output = sqlx::Result<()>> + Send;
}

/// Tells what changed, until stopped.
pub(crate) async fn keep<T: Teller>(
    teller: &T,
    platform: &Platform,
    interval: Duration,
    retry_pause_max: Duration,
    stop: &CancellationToken,
) {
    let mut pause = Pause::up_to(retry_pause_max);
    while !stop.is_cancelled() {
        // Also without being told: another process may have died between changing a state and telling it.
        let rest = match tell(teller, platform).await {
            Ok(0) => {
                pause = Pause::up_to(retry_pause_max);
                interval
            }
            Ok(_) => continue,
            Err(error) => {
                tracing::debug!(%error, of = T::NAME, "states could not be told; trying again");
                meter::retry(T::NAME);
                pause.lengthen()
            }
        };
        let change = tokio::time::timeout(rest, teller.changed().notified());
        let _ = stop.run_until_cancelled(change).await;
    }
}

/// Tells what is not told yet; says how many states that were.
async fn tell<T: Teller>(teller: &T, platform: &Platform) -> Result<usize, Error> {
    let untold = teller.take(LEASE, TELL_MAX).await?;
    if untold.is_empty() {
        return Ok(0);
    }
    let outcomes: Vec<Result<(), PublishError>> = stream::iter(untold.clone())
        .map(|state| teller.publish(platform, state))
        .buffered(IN_FLIGHT_MAX)
        .collect()
        .await;
    let (told, left): (Vec<_>, Vec<_>) =
        untold.iter().zip(outcomes).partition(|(_, outcome)| outcome.is_ok());
    let done: Vec<&T::State> = told.into_iter().map(|(state, _)| state).collect();
    teller.mark(&done).await?;
    let (states, failures): (Vec<&T::State>, Vec<_>) = left.into_iter().unzip();
    match failures.into_iter().find_map(Result::err) {
        None => Ok(done.len()),
        Some(failure) => {
            teller.release(&states).await?;
            Err(failure.into())
        }
    }
}
