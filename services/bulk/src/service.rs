//! The life of the service.

use std::time::Duration;

use chasqui_kit::{Platform, lease::Leases, stream};
use tokio_util::sync::CancellationToken;

use crate::{Config, Error, runs::Runs, search::search};

const NAME: &str = "bulk";

/// Runs campaigns until stopped. Returning means that nothing of it runs any more: its campaigns go on at another replica.
pub async fn run(config: Config, platform: Platform, stop: CancellationToken) -> Result<(), Error> {
    let Platform { bus, health, node, .. } = platform;
    health.not_ready(NAME, "making the streams");
    stream::ensure_all(&bus).await?;
    let runs = Runs::new(&bus, Leases::open(&bus, &node).await?, config.campaigns_max, &stop);
    let every = Duration::from_millis(config.search_interval_ms);
    tokio::join!(search(&bus, runs, every, &stop), health.follow(NAME, &bus, &stop));
    health.not_ready(NAME, "stopped");
    Ok(())
}
