//! The life of the service.

use chasqui_kit::{Platform, stream};
use tokio_util::sync::CancellationToken;

use crate::{Config, Error};

const NAME: &str = "bulk";

/// Runs campaigns until stopped. Returning means that nothing of it runs any more: its campaigns go on at another replica.
pub async fn run(_config: Config, platform: Platform, stop: CancellationToken) -> Result<(), Error> {
    let Platform { bus, health, .. } = platform;
    health.not_ready(NAME, "making the streams");
    stream::ensure_all(&bus).await?;
    health.follow(NAME, &bus, &stop).await;
    health.not_ready(NAME, "stopped");
    Ok(())
}
