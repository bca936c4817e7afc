//! The life of the service.

use std::sync::Arc;

use chasqui_directory::Directory;
use chasqui_kit::{Bus, Platform, health::Health, lease::Leases, stream};
use chasqui_proto::v1::EntryKind;
use chasqui_responder::Responders;
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Error, attempt::Poster, office::Office, partitions::Partitions, replay, router::Router,
    schedule::Schedule,
};

const NAME: &str = "webhooks";

/// Makes the streams that are missing, then routes and delivers its share until stopped. Returning means that nothing
/// of it runs any more: attempts in flight have ended or were cut off, and what is not settled comes to another replica.
pub async fn run(config: Config, platform: Platform, stop: CancellationToken) -> Result<(), Error> {
    let Platform { bus, health, node, .. } = platform;
    health.not_ready(NAME, "making the streams");
    stream::ensure_all(&bus).await?;
    health.not_ready(NAME, "reading the directory");
    let directory = Directory::open(&bus, &[EntryKind::Tenant, EntryKind::Listener]);
    // Before that, every listener would seem to be removed.
    if stop.run_until_cancelled(directory.ready()).await.is_none() {
        return Ok(());
    }
    let leases = Leases::open(&bus, &node).await?;
    let responders = Responders::open(&bus, directory.clone(), config.responder).await?;
    let office = Arc::new(Office {
        poster: Poster::new(&config)?,
        schedule: Schedule::new(&config),
        bus: bus.clone(),
        directory,
        responders,
        config,
    });
    let responder = replay::start(&office, stop.clone()).await?;
    let router = Router { office: office.clone(), leases: leases.clone() };
    let partitions = Partitions::new(office.clone(), leases);
    let ready = report_health(&bus, &health, &stop);
    tokio::join!(router.run(stop.clone()), partitions.run(stop.clone()), responder.stopped(), ready);
    // The last acknowledgements must be on their way before the process ends.
    if let Err(error) = bus.barrier().await {
        tracing::debug!(%error, "the last acknowledgements may be lost; their events come again");
    }
    health.not_ready(NAME, "stopped");
    Ok(())
}

async fn report_health(bus: &Bus, health: &Health, stop: &CancellationToken) {
    // Ready is who can be asked: the server must have seen the subscriptions.
    if let Err(error) = bus.barrier().await {
        tracing::debug!(%error, "requests may not arrive yet");
    }
    health.follow(NAME, bus, stop).await;
}
