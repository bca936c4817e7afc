//! The life of the service.

use chasqui_directory::Directory;
use chasqui_kit::{Platform, stream};
use chasqui_proto::v1::EntryKind;
use tokio_util::sync::CancellationToken;

use crate::{Config, Error};

const NAME: &str = "bot";

/// Answers contacts until stopped. Returning means that nothing of it runs any more: what is not answered comes to
/// another replica.
pub async fn run(_config: Config, platform: Platform, stop: CancellationToken) -> Result<(), Error> {
    let Platform { bus, health, .. } = platform;
    health.not_ready(NAME, "making the streams");
    stream::ensure_all(&bus).await?;
    let directory = Directory::open(&bus, &[EntryKind::Tenant]);
    if stop.run_until_cancelled(directory.ready()).await.is_none() {
        return Ok(());
    }
    health.ready(NAME);
    stop.cancelled().await;
    health.not_ready(NAME, "stopped");
    Ok(())
}
