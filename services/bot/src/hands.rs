//! Messages in hand: kept from going to another replica for as long as they are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chasqui_kit::consume::Delivery;
use tokio::{sync::OwnedSemaphorePermit, time::sleep};

use crate::meter;

/// How often the broker is told of what is in hand; several times within the time after which it gives it to another.
const HOLD_EVERY: Duration = Duration::from_secs(1);

/// Everything in the hands of this process, by position.
#[derive(Debug, Default)]
pub(crate) struct Hands(Mutex<HashMap<u64, Arc<Delivery>>>);

/// A message in hand until this is dropped.
#[derive(Debug)]
pub(crate) struct InHand {
    delivery: Arc<Delivery>,
    hands: Arc<Hands>,
    /// Its place among those that are worked on.
    place: Option<OwnedSemaphorePermit>,
}

impl Hands {
    /// Takes a delivery in hand.
    pub(crate) fn take(self: &Arc<Self>, delivery: Delivery, place: OwnedSemaphorePermit) -> InHand {
        let delivery = Arc::new(delivery);
        self.change(|held| drop(held.insert(delivery.seq, delivery.clone())));
        InHand { delivery, hands: self.clone(), place: Some(place) }
    }

    /// Tells the broker of what is in hand, for as long as this is waited for, which is for ever.
    pub(crate) async fn hold(&self) {
        loop {
            sleep(HOLD_EVERY).await;
            let held: Vec<_> = self.held().values().cloned().collect();
            for delivery in held {
                delivery.hold().await;
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<u64, Arc<Delivery>>)) {
        let mut held = self.held();
        change(&mut held);
        meter::in_hand(held.len());
    }

    fn held(&self) -> MutexGuard<'_, HashMap<u64, Arc<Delivery>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InHand {
    /// It waits for something, and makes room for others meanwhile. How many wait at once is bounded by how many the
    /// consumer lets be unacknowledged.
    pub(crate) fn wait(&mut self) {
        self.place = None;
    }

    /// It is handled.
    pub(crate) async fn done(self) {
        self.delivery.done().await;
    }

    /// It is given back, to come again after a pause.
    pub(crate) async fn again(self, pause: Duration) {
        self.delivery.again(pause).await;
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.hands.change(|held| {
            // It may have come again meanwhile, and that one is still in hand.
            if held.get(&self.delivery.seq).is_some_and(|held| Arc::ptr_eq(held, &self.delivery)) {
                held.remove(&self.delivery.seq);
            }
        });
    }
}
