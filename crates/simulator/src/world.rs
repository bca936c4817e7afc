//! What everything here shares: the messages, the limits, the faults, the statuses that will be told, the files.

use std::sync::{Arc, Mutex, MutexGuard};

use chasqui_kit::clock::now_ms;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    Config,
    delivery::Delivery,
    files::Files,
    graph::{Agenda, Faults, GraphConfig, Limits, Stats, Update},
    history::{History, Written},
};

/// What is kept together, so that a message is judged and recorded in one step.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) settings: GraphConfig,
    pub(crate) history: History,
    pub(crate) limits: Limits,
    pub(crate) faults: Faults,
    pub(crate) stats: Stats,
    pub(crate) agenda: Agenda,
}

/// The outside world.
#[derive(Debug)]
pub(crate) struct World {
    /// The number that phones write to when they name none.
    pub(crate) default_number: Arc<str>,
    pub(crate) files: Files,
    pub(crate) delivery: Delivery,
    pub(crate) stop: CancellationToken,
    /// Wakes who tells statuses, when one was added.
    pub(crate) added: Notify,
    access_token: SecretString,
    book: Mutex<Book>,
    /// Grows when something changed that a phone shows.
    changes: watch::Sender<u64>,
}

impl World {
    pub(crate) fn new(config: &Config, delivery: Delivery, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            default_number: config.phone_number_id.as_str().into(),
            files: Files::default(),
            delivery,
            stop,
            added: Notify::new(),
            access_token: config.access_token.clone(),
            book: Mutex::new(Book { settings: config.graph.clone(), ..Book::default() }),
            changes: watch::Sender::new(0),
        })
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no holder of this lock panics")
    }

    /// Whether this is the token that businesses must carry.
    pub(crate) fn is_token(&self, token: &str) -> bool {
        self.access_token.expose_secret().as_bytes().ct_eq(token.as_bytes()).into()
    }

    /// Records a message and wakes the phones that wait for one.
    pub(crate) fn record(&self, written: Written) -> u64 {
        let seq = self.book().history.add(written);
        self.changed();
        seq
    }

    /// Wakes the phones that wait.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Tells a status now.
    pub(crate) fn tell(&self, updates: impl IntoIterator<Item = Update>) {
        let mut book = self.book();
        let now = now_ms();
        updates.into_iter().for_each(|update| book.agenda.add(now, update));
        drop(book);
        self.added.notify_one();
    }
}
