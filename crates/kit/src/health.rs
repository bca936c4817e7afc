//! Health: what `/healthz` and `/readyz` answer.

use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::Bus;

/// How often a part looks at its connection.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The state of each part of a process. Parts are named by who reports them; cloned handles share the same board.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<RwLock<BTreeMap<String, State>>>);

#[derive(Clone, Debug)]
enum State {
    Ready,
    NotReady(String),
}

impl Health {
    /// The part works.
    pub fn ready(&self, part: &str) {
        self.set(part, State::Ready);
    }

    /// The part does not work, for the reason given; operators read it in `/readyz`.
    pub fn not_ready(&self, part: &str, reason: impl Into<String>) {
        self.set(part, State::NotReady(reason.into()));
    }

    /// Whether every part works. A process without parts is not ready yet.
    pub fn is_ready(&self) -> bool {
        all_ready(&self.0.read().expect("no holder of this lock panics"))
    }

    /// Every part and its state, for people.
    pub fn report(&self) -> Value {
        let parts = self.0.read().expect("no holder of this lock panics");
        let state = |state: &State| match state {
            State::Ready => "ready".to_owned(),
            State::NotReady(reason) => reason.clone(),
        };
        // Under one lock: a second one of the same thread would wait for a writer that waits for the first.
        let ready = all_ready(&parts);
        let parts: BTreeMap<&String, String> = parts.iter().map(|(part, s)| (part, state(s))).collect();
        json!({ "ready": ready, "parts": parts })
    }

    /// Says until stopped that a part works while the connection to NATS stands.
    pub async fn follow(&self, part: &str, bus: &Bus, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if bus.is_connected() {
                self.ready(part);
            } else {
                self.not_ready(part, "no connection to NATS");
            }
            stop.run_until_cancelled(sleep(LOOK_EVERY)).await;
        }
        self.not_ready(part, "stopping");
    }

    fn set(&self, part: &str, state: State) {
        self.0.write().expect("no holder of this lock panics").insert(part.to_owned(), state);
    }
}

fn all_ready(parts: &BTreeMap<String, State>) -> bool {
    !parts.is_empty() && parts.values().all(|state| matches!(state, State::Ready))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_and_reports_at_the_same_time_do_not_wait_for_each_other() {
        let health = Health::default();
        let (done, finished) = std::sync::mpsc::channel();
        for reports in [true, true, false, false] {
            let (health, done) = (health.clone(), done.clone());
            std::thread::spawn(move || {
                for _ in 0..50_000 {
                    if reports { drop(health.report()) } else { health.ready("nats") }
                }
                done.send(()).unwrap();
            });
        }
        for _ in 0..4 {
            finished.recv_timeout(std::time::Duration::from_mins(1)).expect("nobody waits for ever");
        }
    }

    #[test]
    fn a_process_is_ready_when_every_part_is() {
        let health = Health::default();
        assert!(!health.is_ready());
        health.ready("nats");
        health.not_ready("database", "connecting");
        assert!(!health.is_ready());
        assert_eq!(health.report()["parts"]["database"], "connecting");
        health.ready("database");
        assert!(health.is_ready());
    }
}
