//! The life of the service.

use chasqui_kit::{Platform, stream};
use tokio_util::sync::CancellationToken;

use crate::{Config, Error};

/// Owns sessions, sends, and answers, until stopped and everything in hand is finished.
pub async fn run(_config: Config, platform: Platform, stop: CancellationToken) -> Result<(), Error> {
    stream::ensure_all(&platform.bus).await?;
    stop.cancelled().await;
    Ok(())
}
