//! What is written in all conversations, as it comes to this replica.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::consumer::PullConsumer;
use chasqui_kit::consume::{self, Cause, ConsumerSpec, Delivery, Start};
use chasqui_proto::{stream, subject};
use futures::{FutureExt, Stream, StreamExt};
use tokio::{sync::Semaphore, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{arrival::Arrival, hands::Hands, lanes::Lanes, meter, obstacle::Obstacle, office::Office};

/// The name under which dead letters are kept.
const SERVICE: &str = "bot";
/// How long a message may be unacknowledged before another replica gets it; what is in hand is held.
const ACK_WAIT: Duration = Duration::from_secs(5);
/// How many messages may be unacknowledged, over all replicas: those that are answered and those that wait.
const ACK_PENDING_MAX: usize = 4_096;
/// How many messages are fetched at once.
const BATCH_MAX: usize = 64;
/// The pause before the broker is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// The consumer that all replicas share.
fn spec() -> ConsumerSpec {
    ConsumerSpec {
        stream: stream::MESSAGES,
        name: stream::BOT_CONSUMER,
        description: "Tells the bot what contacts and agents write",
        filters: vec![subject::messages_in_of_all(), subject::messages_out_of_all()],
        // What was written before there was a bot is not for it.
        start: Start::New,
        ack_wait: ACK_WAIT,
        ack_pending_max: ACK_PENDING_MAX,
    }
}

/// Answers what comes, until stopped. Then what was begun is finished, and everything else given back. `hears` is
/// cancelled once nothing is missed any more.
pub(crate) async fn follow(office: Arc<Office>, hears: &CancellationToken, stop: CancellationToken) {
    let (hands, mut lanes) = (Arc::new(Hands::default()), Lanes::new(office.clone(), stop.clone()));
    // Lanes outlive a consumer that has to be opened again.
    let places = Arc::new(Semaphore::new(office.config.in_hand_max));
    let work = async {
        while !stop.is_cancelled() {
            match open(&office).await {
                Ok((consumer, batches)) => {
                    hears.cancel();
                    let reader = Reader { office: &office, hands: &hands, places: &places, stop: &stop };
                    tokio::select! {
                        () = reader.read(batches, &mut lanes) => {}
                        () = office.past.follow_floor(consumer) => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "contacts wait: the broker does not offer what is needed");
                }
            }
            stop.run_until_cancelled(sleep(PAUSE)).await;
        }
        lanes.ended().await;
    };
    tokio::select! {
        () = work => {}
        () = hands.hold() => {}
    }
}

async fn open(
    office: &Office,
) -> Result<(PullConsumer, impl Stream<Item = Vec<Delivery>> + Unpin + use<>), Obstacle> {
    let mut consumer = consume::open(&office.bus, &spec()).await.map_err(Obstacle::away)?;
    office.past.look_at_floor(&mut consumer).await?;
    let batches = consume::batches(&consumer, stream::BOT_CONSUMER, BATCH_MAX).await;
    Ok((consumer, batches.map_err(Obstacle::away)?))
}

/// Hands what comes to its lane.
struct Reader<'a> {
    office: &'a Office,
    hands: &'a Arc<Hands>,
    /// For messages that are worked on.
    places: &'a Arc<Semaphore>,
    stop: &'a CancellationToken,
}

impl Reader<'_> {
    async fn read(&self, mut batches: impl Stream<Item = Vec<Delivery>> + Unpin, lanes: &mut Lanes) {
        while let Some(Some(batch)) = self.stop.run_until_cancelled(batches.next()).await {
            for delivery in batch {
                self.take(delivery, lanes).await;
            }
        }
        // What was fetched already is somebody else's.
        if let Some(Some(batch)) = batches.next().now_or_never() {
            for delivery in batch {
                delivery.again(Duration::ZERO).await;
            }
        }
    }

    async fn take(&self, delivery: Delivery, lanes: &mut Lanes) {
        let arrival = match Arrival::read(&delivery) {
            Ok(Some(arrival)) => arrival,
            Ok(None) => return delivery.done().await,
            Err(error) => return self.bury(&delivery, &error.to_string()).await,
        };
        let Some(place) = self.stop.run_until_cancelled(self.places.clone().acquire_owned()).await else {
            return delivery.again(Duration::ZERO).await;
        };
        let place = place.expect("the semaphore is never closed");
        lanes.hand(arrival, self.hands.take(delivery, place)).await;
    }

    async fn bury(&self, delivery: &Delivery, error: &str) {
        meter::input("undecodable");
        let cause = Cause { service: SERVICE, reason: "undecodable", first_error: error, last_error: error };
        if let Err(error) = consume::bury(&self.office.bus, delivery, &cause).await {
            tracing::warn!(%error, seq = delivery.seq, "a message is no dead letter yet; it comes again");
        }
    }
}
