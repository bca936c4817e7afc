//! Every socket of the node: how many there may be, and how they are closed when the node stops.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use rand::{Rng, seq::SliceRandom};
use slab::Slab;

use crate::{auth::Identity, close::CloseCode, outbox::Outbox};

/// In how many steps sockets are closed: as many as there are tenths of a second in five.
const BATCHES_MAX: usize = 50;
/// How many sockets are closed at once however few there are.
const BATCH_SOCKETS_MIN: usize = 20;
/// About how many sockets it is asked at once whether they must go.
const ASKED_AT_ONCE_MAX: usize = 256;

/// The sockets of a node.
#[derive(Debug)]
pub(crate) struct Sockets {
    places_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    /// Those that were let in.
    seats: Slab<(Arc<Identity>, Arc<Outbox>)>,
    is_draining: bool,
}

/// One of the node's places for sockets; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct SocketPlace {
    sockets: Arc<Sockets>,
    seat: OnceLock<Seat>,
}

/// Somebody who was let in over a connection; dropping it forgets them.
#[derive(Debug)]
pub(crate) struct Seat {
    sockets: Arc<Sockets>,
    key: usize,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPlace {
    #[error("the node is full")]
    Full,
    #[error("the node is stopping")]
    Stopping,
}

impl SocketPlace {
    /// The socket was let in: its outbox is closed when its turn comes while the node drains.
    pub(crate) fn attach(&self, identity: &Arc<Identity>, outbox: &Arc<Outbox>) {
        if let Some(seat) = self.seat(identity, outbox) {
            self.seat.get_or_init(|| seat);
        }
    }

    /// The same for somebody who may leave, or be another one, while the socket stays; `None` while the node drains.
    pub(crate) fn seat(&self, identity: &Arc<Identity>, outbox: &Arc<Outbox>) -> Option<Seat> {
        let mut state = self.sockets.state();
        if state.is_draining {
            outbox.close(CloseCode::GOING_AWAY);
            return None;
        }
        let key = state.seats.insert((identity.clone(), outbox.clone()));
        Some(Seat { sockets: self.sockets.clone(), key })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.sockets.state().seats.try_remove(self.key);
    }
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        self.sockets.state().taken -= 1;
        metrics::gauge!("chasqui_edge_sockets").decrement(1);
    }
}

impl Sockets {
    pub(crate) fn new(places_max: usize) -> Arc<Self> {
        Arc::new(Self { places_max, state: Mutex::default() })
    }

    /// A place for one more socket, unless the node is full or stops.
    pub(crate) fn take_place(self: &Arc<Self>) -> Result<SocketPlace, NoPlace> {
        let mut state = self.state();
        self.check(&state)?;
        state.taken += 1;
        drop(state);
        metrics::gauge!("chasqui_edge_sockets").increment(1);
        Ok(SocketPlace { sockets: self.clone(), seat: OnceLock::new() })
    }

    /// Whether there is a place now. Somebody else may take it.
    pub(crate) fn have_place(&self) -> Result<(), NoPlace> {
        self.check(&self.state())
    }

    fn check(&self, state: &State) -> Result<(), NoPlace> {
        if state.is_draining {
            return Err(NoPlace::Stopping);
        }
        if state.taken >= self.places_max {
            metrics::counter!("chasqui_edge_limited_total", "limit" => "sockets").increment(1);
            return Err(NoPlace::Full);
        }
        Ok(())
    }

    /// Closes every socket, a batch at a time in no order, so that their clients do not all come back at once.
    pub(crate) async fn drain(&self, over: Duration) {
        let mut outboxes = self.close_the_door();
        outboxes.shuffle(&mut rand::rng());
        if !outboxes.is_empty() {
            tracing::info!(sockets = outboxes.len(), "closing the sockets");
        }
        let (batch, pause) = batches(outboxes.len(), over);
        for (index, outboxes) in outboxes.chunks(batch).enumerate() {
            if index > 0 {
                let jitter = rand::rng().random_range(0.5..1.0);
                tokio::time::sleep(pause.mul_f64(jitter)).await;
            }
            for outbox in outboxes {
                outbox.close(CloseCode::GOING_AWAY);
            }
        }
    }

    fn close_the_door(&self) -> Vec<Arc<Outbox>> {
        let mut state = self.state();
        state.is_draining = true;
        state.seats.iter().map(|(_, (_, outbox))| outbox.clone()).collect()
    }

    /// Closes the sockets of certain people. They are asked about a batch at a time and without the lock, since there
    /// may be many and asking takes its time.
    pub(crate) async fn close_those(&self, code: CloseCode, who: impl Fn(&Identity) -> bool) {
        let mut key = 0;
        while let Some(asked) = self.seats_from(&mut key) {
            for (identity, outbox) in asked {
                if who(&identity) {
                    outbox.close(code);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// The seats of the next batch of keys; `None` past the last one.
    fn seats_from(&self, key: &mut usize) -> Option<Vec<(Arc<Identity>, Arc<Outbox>)>> {
        let state = self.state();
        let keys = *key..(*key + ASKED_AT_ONCE_MAX);
        *key = keys.end;
        (keys.start < state.seats.capacity())
            .then(|| keys.filter_map(|key| state.seats.get(key).cloned()).collect())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many sockets are closed at once, and the longest pause between.
fn batches(sockets: usize, over: Duration) -> (usize, Duration) {
    let batch = sockets.div_ceil(BATCHES_MAX).max(BATCH_SOCKETS_MIN);
    (batch, over / u32::try_from(BATCHES_MAX).expect("it is small"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_end_in_time_and_few_sockets_do_not_wait() {
        let over = Duration::from_secs(10);
        assert_eq!(batches(1, over).0, 20);
        let (batch, pause) = batches(10_001, over);
        assert_eq!((batch, pause), (201, Duration::from_millis(200)));
        let count = u32::try_from(10_001usize.div_ceil(batch)).unwrap();
        assert!(pause * (count - 1) <= over);
    }

    const NUMBER: &str = "5491100000001";

    fn somebody() -> Arc<Identity> {
        person(NUMBER)
    }

    fn person(number: &str) -> Arc<Identity> {
        Arc::new(Identity::of_phone("default".parse().unwrap(), number).unwrap())
    }

    #[tokio::test]
    async fn a_connection_is_closed_for_whoever_it_speaks_for_now() {
        let sockets = Sockets::new(1);
        let (place, outbox) = (sockets.take_place().unwrap(), Outbox::new(1_000));
        place.attach(&person("5491100000002"), &outbox);
        let expel = || sockets.close_those(CloseCode::UNAUTHORIZED, |identity| identity.user == NUMBER);
        drop(place.seat(&somebody(), &outbox));
        expel().await;
        assert_eq!(outbox.close_code(), None, "it is somebody else's by now");
        let _seat = place.seat(&somebody(), &outbox);
        expel().await;
        assert_eq!(outbox.close_code(), Some(CloseCode::UNAUTHORIZED));
    }

    #[tokio::test]
    async fn however_many_there_are_each_is_asked_about() {
        let (sockets, outbox) = (Sockets::new(1), Outbox::new(1_000));
        let place = sockets.take_place().unwrap();
        let seats: Vec<_> = (0..=2 * ASKED_AT_ONCE_MAX).map(|_| place.seat(&somebody(), &outbox)).collect();
        // Some have left, and their places are empty.
        let seats: Vec<_> = seats.into_iter().skip(1).step_by(2).collect();
        let asked = std::cell::Cell::new(0);
        sockets
            .close_those(CloseCode::UNAUTHORIZED, |_| {
                asked.set(asked.get() + 1);
                false
            })
            .await;
        assert_eq!(asked.get(), seats.len());
        assert_eq!(outbox.close_code(), None);
    }

    #[tokio::test]
    async fn a_draining_node_closes_whoever_is_in_and_lets_nobody_in() {
        let sockets = Sockets::new(2);
        let (first, late) = (sockets.take_place().unwrap(), sockets.take_place().unwrap());
        assert_eq!(sockets.take_place().unwrap_err(), NoPlace::Full);
        let outboxes = [Outbox::new(1_000), Outbox::new(1_000)];
        first.attach(&somebody(), &outboxes[0]);
        sockets.drain(Duration::from_millis(1)).await;
        late.attach(&somebody(), &outboxes[1]);
        for outbox in &outboxes {
            assert_eq!(outbox.close_code(), Some(CloseCode::GOING_AWAY));
        }
        drop((first, late));
        assert_eq!(sockets.take_place().unwrap_err(), NoPlace::Stopping);
        let state = sockets.state();
        assert_eq!((state.taken, state.seats.len()), (0, 0));
    }
}
