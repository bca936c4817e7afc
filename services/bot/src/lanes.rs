//! Every conversation's lane in this process.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{arrival::Arrival, hands::InHand, lane::Lane, office::Office, place::Place};

/// How long a turn that has begun may take once everything is to stop. What is cut off comes to another replica.
const DRAIN_WAIT: Duration = Duration::from_secs(10);

/// The lanes. Dropped, they end where they are.
pub(crate) struct Lanes {
    office: Arc<Office>,
    stop: CancellationToken,
    inboxes: HashMap<Place, mpsc::Sender<(Arrival, InHand)>>,
    tasks: JoinSet<Place>,
}

impl Lanes {
    pub(crate) fn new(office: Arc<Office>, stop: CancellationToken) -> Self {
        Self { office, stop, inboxes: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Hands a message to its conversation's lane.
    pub(crate) async fn hand(&mut self, arrival: Arrival, in_hand: InHand) {
        let item = (arrival, in_hand);
        let item = match self.inboxes.get(&item.0.place) {
            Some(inbox) => match inbox.try_send(item) {
                Ok(()) => return,
                Err(TrySendError::Closed(item)) => item,
                // There are not more messages in hand than places in one inbox.
                Err(TrySendError::Full((_, in_hand))) => return in_hand.again(Duration::ZERO).await,
            },
            None => item,
        };
        let place = item.0.place.clone();
        let (inbox, arrivals) = mpsc::channel(self.office.config.in_hand_max);
        let lane = Lane::new(self.office.clone(), place.clone(), arrivals);
        self.tasks.spawn(lane.run(self.stop.clone()));
        if inbox.try_send(item).is_err() {
            tracing::error!("a new lane takes no message; it comes again");
        }
        self.inboxes.insert(place, inbox);
        self.forget_ended();
    }

    /// Waits until every lane has ended, now that they are to.
    pub(crate) async fn ended(mut self) {
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(DRAIN_WAIT, ended).await.is_err() {
            tracing::warn!("some messages were not finished in time; they come to another replica");
        }
    }

    fn forget_ended(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            match ended {
                // The conversation may have a new lane already.
                Ok(place) => {
                    if self.inboxes.get(&place).is_some_and(mpsc::Sender::is_closed) {
                        self.inboxes.remove(&place);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "a lane ended; its messages come again");
                    self.inboxes.retain(|_, inbox| !inbox.is_closed());
                }
            }
        }
    }
}
