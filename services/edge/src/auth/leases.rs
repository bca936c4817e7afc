//! The tokens of every open connection: who is to be warned, and who is to be closed, by one task a node.
//!
//! For dialects of every kind: [`Leases::hold`] when a client is let in, [`Hold::renew`] when it brings another token,
//! drop the [`Hold`] when it leaves.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chasqui_kit::clock::now_ms;
use chasqui_websocket::Text;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::lease::{Due, Lease, LeaseRules};
use crate::{
    close::CloseCode,
    outbox::{Delivery, Outbox},
};

/// How often the book is looked at: how late a warning or an end may be.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// What a dialect says of a token's end (unix milliseconds).
pub(crate) type Expiring = fn(i64) -> Text;

/// The book of leases.
#[derive(Debug)]
pub(crate) struct Leases {
    rules: LeaseRules,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    next_id: u64,
    entries: HashMap<u64, Entry>,
    /// Every entry, by when it is due.
    due: BTreeSet<(i64, u64)>,
}

#[derive(Debug)]
struct Entry {
    lease: Lease,
    outbox: Arc<Outbox>,
    expiring: Expiring,
}

/// A connection's lease; dropping it strikes it from the book.
#[derive(Debug)]
pub(crate) struct Hold {
    leases: Arc<Leases>,
    outbox: Arc<Outbox>,
    expiring: Expiring,
    /// `None` for a token that never ends.
    id: Option<u64>,
}

impl Leases {
    pub(crate) fn new(rules: LeaseRules) -> Arc<Self> {
        Arc::new(Self { rules, book: Mutex::default() })
    }

    /// Watches over a connection: warned through its outbox, and the outbox closed at the end.
    pub(crate) fn hold(
        self: &Arc<Self>,
        expires_at_ms: Option<i64>,
        outbox: &Arc<Outbox>,
        expiring: Expiring,
    ) -> Hold {
        let mut hold = Hold { leases: self.clone(), outbox: outbox.clone(), expiring, id: None };
        hold.renew(expires_at_ms);
        hold
    }

    /// Warns and closes until stopped.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.look(now_ms());
        }
    }

    fn look(&self, now_ms: i64) {
        let mut book = self.book();
        while let Some((at_ms, id)) = book.due.first().copied().filter(|(at_ms, _)| *at_ms <= now_ms) {
            book.due.remove(&(at_ms, id));
            let Some(entry) = book.entries.get_mut(&id) else { continue };
            match entry.lease.look(now_ms) {
                Due::Nothing => {}
                Due::Warning { expires_at_ms } => {
                    // A full outbox closes itself.
                    let _ = entry.outbox.push((entry.expiring)(expires_at_ms), Delivery::Reply);
                }
                Due::End => {
                    entry.outbox.close(CloseCode::TOKEN_EXPIRED);
                    book.entries.remove(&id);
                    continue;
                }
            }
            let next_at_ms = entry.lease.next_at_ms();
            book.due.insert((next_at_ms, id));
        }
    }

    fn add(&self, entry: Entry) -> u64 {
        let mut book = self.book();
        book.next_id += 1;
        let id = book.next_id;
        book.due.insert((entry.lease.next_at_ms(), id));
        book.entries.insert(id, entry);
        id
    }

    fn remove(&self, id: u64) {
        let mut book = self.book();
        if let Some(entry) = book.entries.remove(&id) {
            book.due.remove(&(entry.lease.next_at_ms(), id));
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing under this lock leaves the book half changed.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// The connection goes on with another token.
    pub(crate) fn renew(&mut self, expires_at_ms: Option<i64>) {
        self.strike();
        self.id = expires_at_ms.map(|expires_at_ms| {
            let lease = Lease::new(expires_at_ms, self.leases.rules);
            self.leases.add(Entry { lease, outbox: self.outbox.clone(), expiring: self.expiring })
        });
    }

    fn strike(&mut self) {
        if let Some(id) = self.id.take() {
            self.leases.remove(id);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.strike();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leases() -> Arc<Leases> {
        Leases::new(LeaseRules { warning_ms: 60, grace_ms: 25 })
    }

    fn words(at_ms: i64) -> Text {
        at_ms.to_string().into()
    }

    #[test]
    fn a_token_that_is_renewed_in_time_ends_nothing() {
        let (leases, outbox) = (leases(), Outbox::new(1_000));
        let mut hold = leases.hold(Some(1_000), &outbox, words);
        leases.look(990);
        leases.look(1_000);
        let mut frames = Vec::new();
        outbox.take_batch(&mut frames);
        assert_eq!(frames, [crate::outbox::Frame::from("1000")], "one warning");
        hold.renew(Some(5_000));
        leases.look(2_000);
        assert_eq!(outbox.close_code(), None);
        leases.look(5_000);
        leases.look(5_025);
        assert_eq!(outbox.close_code(), Some(CloseCode::TOKEN_EXPIRED));
    }

    #[test]
    fn whoever_left_and_whoever_never_ends_are_not_in_the_book() {
        let (leases, outbox) = (leases(), Outbox::new(1_000));
        drop(leases.hold(Some(1_000), &outbox, words));
        let forever = leases.hold(None, &outbox, words);
        assert!(leases.book().due.is_empty() && leases.book().entries.is_empty());
        leases.look(i64::MAX);
        assert_eq!(outbox.close_code(), None);
        drop(forever);
    }
}
