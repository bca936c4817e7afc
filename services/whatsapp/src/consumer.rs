//! What the loops over shared consumers have in common: they never end by themselves.

use std::{fmt::Display, time::Duration};

use chasqui_kit::{
    Bus,
    consume::{self, ConsumerSpec, Delivery},
};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

/// How long a delivered fact may stay unacknowledged before another replica gets it.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(30);
/// How many facts may be unacknowledged at once, over all replicas.
pub(crate) const ACK_PENDING_MAX: usize = 2_048;
/// The pause before a fact that could not be handled comes again.
pub(crate) const AGAIN_PAUSE: Duration = Duration::from_secs(1);
/// The pause before something that is away is asked again.
const OPEN_PAUSE: Duration = Duration::from_millis(500);
/// How many facts are fetched, and handled, at once.
const AT_ONCE_MAX: usize = 128;

/// Opens something, however often that takes; `None` if stopped first.
pub(crate) async fn until_open<T, E: Display, F: Future<Output = Result<T, E>>>(
    stop: &CancellationToken,
    open: impl Fn() -> F,
) -> Option<T> {
    loop {
        match stop.run_until_cancelled(open()).await? {
            Ok(opened) => return Some(opened),
            Err(error) => {
                tracing::warn!(%error, "the broker does not offer what is needed yet; trying again");
            }
        }
        stop.run_until_cancelled(tokio::time::sleep(OPEN_PAUSE)).await?;
    }
}

/// Hands everything that a consumer delivers to `handle`, in no order, until stopped. What was begun is finished.
pub(crate) async fn follow<F: Future<Output = ()>>(
    bus: &Bus,
    spec: &ConsumerSpec,
    stop: &CancellationToken,
    handle: impl Fn(Delivery) -> F,
) {
    loop {
        let opened = until_open(stop, || async {
            let consumer = consume::open(bus, spec).await?;
            consume::batches(&consumer, spec.name, AT_ONCE_MAX).await
        });
        let Some(mut batches) = opened.await else { return };
        while let Some(Some(batch)) = stop.run_until_cancelled(batches.next()).await {
            futures::stream::iter(batch).for_each_concurrent(AT_ONCE_MAX, &handle).await;
        }
        if stop.is_cancelled() {
            return;
        }
    }
}
