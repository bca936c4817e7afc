//! The life of the service.

use std::sync::Arc;

use chasqui_directory::Directory;
use chasqui_kit::{Bus, Platform, health::Health, lease::Leases, stream};
use chasqui_proto::v1::EntryKind;
use chasqui_responder::Responders;
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Error, consumer, conversations::Conversations, definition::Definitions, model::Models,
    office::Office, past::Past, status::Status, work::Works,
};

const NAME: &str = "bot";

/// Answers contacts until stopped. Returning means that nothing of it runs any more: what is not answered comes to
/// another replica.
pub async fn run(config: Config, platform: Platform, stop: CancellationToken) -> Result<(), Error> {
    let Platform { bus, health, node, tenant, .. } = platform;
    health.not_ready(NAME, "reading the definitions");
    let definitions = Definitions::open(&config)?;
    health.not_ready(NAME, "making the streams");
    stream::ensure_all(&bus).await?;
    health.not_ready(NAME, "reading the directory");
    let directory = Directory::open(&bus, &[EntryKind::Tenant]);
    // Before that, no tenant would seem to be suspended.
    if stop.run_until_cancelled(directory.ready()).await.is_none() {
        return Ok(());
    }
    let responders = Responders::open(&bus, directory.clone(), config.responder).await?;
    let (models, works) = (Arc::new(Models::new(&config, &bus)?), Arc::new(Works::default()));
    let status = Status {
        bus: bus.clone(),
        node: node.clone(),
        leases: Leases::open(&bus, &node).await?,
        tenant,
        directory: directory.clone(),
        responders: responders.clone(),
        definitions: definitions.clone(),
        models: models.clone(),
        works: works.clone(),
        config: config.clone(),
    };
    let office = Arc::new(Office {
        conversations: Conversations::open(&bus).await.map_err(broker)?,
        past: Past::open(&bus).await.map_err(broker)?,
        bus: bus.clone(),
        definitions: definitions.clone(),
        config,
        node,
        directory,
        responders,
        models,
        works,
    });
    let (hears, answered) = (CancellationToken::new(), CancellationToken::new());
    let answering = async {
        consumer::follow(office, &hears, stop.clone()).await;
        answered.cancel();
    };
    tokio::join!(
        answering,
        status.run(answered.clone()),
        definitions.follow(stop.clone()),
        report_health(&bus, &health, &hears, &stop)
    );
    // The last acknowledgements must be on their way before the process ends.
    if let Err(error) = bus.barrier().await {
        tracing::debug!(%error, "the last acknowledgements may be lost; their messages come again");
    }
    health.not_ready(NAME, "stopped");
    Ok(())
}

/// Ready is who hears contacts: what they write before the consumer is made for the first time is not answered.
async fn report_health(bus: &Bus, health: &Health, hears: &CancellationToken, stop: &CancellationToken) {
    health.not_ready(NAME, "opening the consumer");
    stop.run_until_cancelled(hears.cancelled()).await;
    health.follow(NAME, bus, stop).await;
}

fn broker(obstacle: impl std::fmt::Display) -> Error {
    Error::Broker(obstacle.to_string())
}
