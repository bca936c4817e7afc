//! A partition of deliveries in the hands of its owner: each event goes to the lane of its listener.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_nats::jetstream::{
    consumer::{AckPolicy, PullConsumer, pull},
    stream::Stream,
};
use chasqui_kit::consume::{self, Cause};
use chasqui_proto::{
    Tenant, stream,
    subject::{self, NodeToken},
    v1::Delivery,
};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, dead_letter,
    lane::{Arrival, Lane},
    office::Office,
    place::Place,
};

/// How long an event may be in hand without a sign of life. It matters only where the owner forgets one: a new owner
/// begins with everything that is not settled.
const ACK_WAIT: Duration = Duration::from_mins(1);
/// How many events are read at once.
const BATCH_MAX: usize = 256;

/// One partition, while this process owns it.
pub(crate) struct Partition {
    office: Arc<Office>,
    number: u32,
    lanes: HashMap<Place, mpsc::Sender<Arrival>>,
    running: JoinSet<()>,
    stop: CancellationToken,
}

impl Partition {
    pub(crate) fn new(office: Arc<Office>, number: u32, stop: CancellationToken) -> Self {
        Self { office, number, lanes: HashMap::new(), running: JoinSet::new(), stop }
    }

    /// Delivers until stopped, or until the broker no longer tells what is due.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let stream = self.office.bus.jetstream().get_stream(stream::DELIVERIES.name).await.map_err(broker)?;
        let consumer = self.open(&stream).await?;
        self.wake_waiting(&stream).await?;
        let name = "of a partition of deliveries";
        let batches = consume::batches(&consumer, name, BATCH_MAX).await.map_err(broker)?;
        let mut batches = std::pin::pin!(batches);
        while let Some(Some(batch)) = self.stop.clone().run_until_cancelled(batches.next()).await {
            for due in batch {
                self.dispatch(due).await?;
            }
        }
        self.stop.cancel();
        while self.running.join_next().await.is_some() {}
        Ok(())
    }

    /// The partition's consumer, made anew: what an owner before had in hand comes again at once and in its old place,
    /// and not only when its time is up.
    async fn open(&self, stream: &Stream) -> Result<PullConsumer, Error> {
        let name = stream::deliveries_consumer(self.number);
        if let Err(error) = stream.delete_consumer(&name).await {
            tracing::debug!(%error, name, "there was no consumer of an owner before");
        }
        let config = pull::Config {
            durable_name: Some(name),
            description: Some("Events that the owner of a partition posts to its listeners".to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: i64::try_from(self.office.config.in_hand_max).unwrap_or(i64::MAX),
            max_deliver: -1,
            filter_subject: subject::deliveries_of_partition(self.number).as_str().to_owned(),
            ..pull::Config::default()
        };
        stream.create_consumer(config).await.map_err(broker)
    }

    /// Opens the lanes of those whose events wait in the stream.
    async fn wake_waiting(&mut self, stream: &Stream) -> Result<(), Error> {
        let parked = subject::deliveries_parked_of_partition(self.number);
        let mut subjects = stream.info_with_subjects(parked.as_str()).await.map_err(broker)?;
        while let Some((name, count)) = subjects.try_next().await.map_err(broker)? {
            let place = subject::listener_of_delivery(&name).and_then(|(tenant, listener)| {
                let (tenant, listener) = (tenant.parse().ok()?, NodeToken::new(listener));
                Some(Place { partition: self.number, tenant, listener })
            });
            if let Some(place) = place {
                self.lane(place, count as u64).await?;
            }
        }
        Ok(())
    }

    async fn dispatch(&mut self, due: consume::Delivery) -> Result<(), Error> {
        let (place, delivery) = match read(self.number, &due) {
            Ok(read) => read,
            Err(error) => {
                let cause = Cause {
                    service: dead_letter::SERVICE,
                    reason: "undecodable",
                    first_error: error,
                    last_error: error,
                };
                return Ok(consume::bury(&self.office.bus, &due, &cause).await?);
            }
        };
        let lane = self.lane(place, 0).await?;
        // There is room: a lane has never more in hand than the whole partition may have.
        if lane.send((due, delivery)).await.is_err() {
            tracing::debug!("the lane has stopped; the event comes again");
        }
        Ok(())
    }

    async fn lane(&mut self, place: Place, parked: u64) -> Result<mpsc::Sender<Arrival>, Error> {
        if let Some(inbox) = self.lanes.get(&place) {
            return Ok(inbox.clone());
        }
        let (inbox, arrivals) = mpsc::channel(self.office.config.in_hand_max);
        let lane = Lane::open(self.office.clone(), place.clone(), parked, arrivals).await?;
        self.running.spawn(lane.run(self.stop.clone()));
        self.lanes.insert(place, inbox.clone());
        Ok(inbox)
    }
}

/// The delivery, and whose it is.
fn read(partition: u32, due: &consume::Delivery) -> Result<(Place, Delivery), &'static str> {
    let delivery = Delivery::decode(due.payload().clone()).map_err(|_| "the payload is no delivery")?;
    let (tenant, listener) =
        subject::listener_of_delivery(due.subject()).ok_or("the subject names no listener")?;
    let tenant: Tenant = tenant.parse().map_err(|_| "the subject names no tenant")?;
    if delivery.fact.is_none() {
        return Err("the delivery has no event");
    }
    if delivery.tenant != tenant.as_str() || delivery.listener != listener {
        return Err("the delivery is of another listener than its subject");
    }
    Ok((Place { partition, tenant, listener: NodeToken::new(listener) }, delivery))
}

fn broker(error: impl std::fmt::Display) -> Error {
    Error::Broker(error.to_string())
}
