//! How many attempts run at once, in all and for one host.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many hosts are remembered before those without an attempt are forgotten.
const HOSTS_REMEMBERED: usize = 4_096;

/// The places for attempts.
#[derive(Debug)]
pub(crate) struct Hosts {
    all: Arc<Semaphore>,
    host_max: usize,
    /// Held by whoever begins an attempt, for a moment.
    by_host: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A place for one attempt, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    _of_host: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Hosts {
    pub(crate) fn new(all_max: usize, host_max: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all_max)), host_max, by_host: Mutex::default() }
    }

    /// Waits for a place. Whoever waits for its host takes no place from other hosts.
    pub(crate) async fn seat(&self, host: &str) -> Seat {
        const OPEN: &str = "the semaphores are never closed";
        let of_host = self.of(host).acquire_owned().await.expect(OPEN);
        let of_all = self.all.clone().acquire_owned().await.expect(OPEN);
        Seat { _of_host: of_host, _of_all: of_all }
    }

    fn of(&self, host: &str) -> Arc<Semaphore> {
        let mut by_host = self.by_host.lock().expect("no holder of this lock panics");
        if by_host.len() >= HOSTS_REMEMBERED {
            by_host.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = by_host.entry(host.to_owned());
        places.or_insert_with(|| Arc::new(Semaphore::new(self.host_max))).clone()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn one_host_cannot_take_the_places_of_the_others() {
        let hosts = Hosts::new(3, 2);
        let seat = |host: &str| hosts.seat(host).now_or_never();
        let (first, second) = (seat("a"), seat("a"));
        assert!(first.is_some() && second.is_some() && seat("a").is_none());
        let other = seat("b");
        assert!(other.is_some() && seat("c").is_none());
        drop(first);
        assert!(seat("c").is_some() && seat("a").is_some());
    }

    #[test]
    fn hosts_without_an_attempt_are_forgotten() {
        let hosts = Hosts::new(8, 1);
        let seat = hosts.seat("kept").now_or_never();
        for host in 0..2 * HOSTS_REMEMBERED {
            drop(hosts.seat(&host.to_string()).now_or_never());
        }
        assert!(hosts.by_host.lock().unwrap().len() <= HOSTS_REMEMBERED);
        assert!(hosts.seat("kept").now_or_never().is_none());
        drop(seat);
    }
}
