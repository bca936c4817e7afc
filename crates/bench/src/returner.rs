//! Clients that leave and come back with their cursor.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    audience::Source,
    clock::Clock,
    cursor::Cursor,
    socket::{Caller, Socket},
};

/// How long a client tries to come back.
const BACK_WAIT: Duration = Duration::from_mins(1);
/// The pause before the second attempt; it doubles with each, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Clients add up to this, each its own, so that they do not all try in the same moment.
const PAUSE_SPREAD: u32 = 100;

/// What coming back was like, for all clients together.
#[derive(Debug, Default)]
pub(crate) struct Returns {
    /// Changed, it cuts every client.
    pub(crate) cut: watch::Sender<u32>,
    /// From the cut until the server was ready for the client, microseconds.
    times_us: Mutex<Vec<u64>>,
    /// Attempts that failed.
    pub(crate) failed: AtomicU32,
    /// Clients that were told to reload instead.
    pub(crate) not_recovered: AtomicU32,
    /// Connections that the other side closed.
    pub(crate) closed: AtomicU32,
}

impl Returns {
    /// The times so far.
    pub(crate) fn times_us(&self) -> Vec<u64> {
        self.times_us.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A client that is cut when it is told to, and comes back with its cursor.
#[derive(Debug)]
pub(crate) struct Returner {
    pub(crate) caller: Caller,
    clock: Clock,
    /// Changes when all clients are cut.
    cut: watch::Receiver<u32>,
    returns: Arc<Returns>,
    pub(crate) socket: Option<Socket>,
    /// Where it is, once a server has told.
    cursor: Option<Cursor>,
    /// It came back and was not told yet whether all it missed follows.
    awaits_greeting: bool,
    /// All it missed followed, the last time it came back.
    pub(crate) was_recovered: bool,
}

enum Happened {
    Cut,
    Text(String),
    Ended,
}

impl Source for Returner {
    async fn next_text(&mut self) -> Option<String> {
        loop {
            let Some(socket) = &mut self.socket else {
                self.come_back().await?;
                continue;
            };
            let happened = tokio::select! {
                Ok(()) = self.cut.changed() => Happened::Cut,
                text = socket.next_text() => text.map_or(Happened::Ended, Happened::Text),
            };
            self.remember();
            match happened {
                Happened::Text(text) => return Some(text),
                Happened::Cut => self.socket = None,
                Happened::Ended => {
                    self.returns.closed.fetch_add(1, Ordering::Relaxed);
                    self.socket = None;
                }
            }
        }
    }
}

impl Returner {
    /// A client that stands for the first time.
    pub(crate) fn new(caller: Caller, socket: Socket, clock: Clock, returns: Arc<Returns>) -> Self {
        let (socket, cut) = (Some(socket), returns.cut.subscribe());
        let (cursor, awaits_greeting, was_recovered) = (None, false, false);
        let mut returner =
            Self { caller, clock, cut, returns, socket, cursor, awaits_greeting, was_recovered };
        returner.remember();
        returner
    }

    /// Waits until a server has told where the client is.
    pub(crate) async fn learn_cursor(&mut self) -> Option<()> {
        while self.cursor.is_none() {
            self.socket.as_mut()?.next_greeting().await?;
            self.remember();
        }
        Some(())
    }

    /// Keeps the place in the stream.
    fn remember(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        if let Some(greeting) = socket.greeting.take() {
            self.was_recovered = greeting.recovered;
            if std::mem::take(&mut self.awaits_greeting) && !greeting.recovered {
                self.returns.not_recovered.fetch_add(1, Ordering::Relaxed);
            }
            self.cursor = Some(greeting.cursor);
        }
        if let Some(cursor) = &mut self.cursor {
            cursor.seq = cursor.seq.max(socket.seq);
        }
    }

    /// `None` when it tried for too long.
    async fn come_back(&mut self) -> Option<()> {
        let left_us = self.clock.now_us();
        let mut pause = PAUSE_MIN;
        loop {
            if let Ok(socket) = Socket::resume(&self.caller, self.cursor.as_ref()).await {
                let us = self.clock.now_us() - left_us;
                self.returns.times_us.lock().unwrap_or_else(PoisonError::into_inner).push(us);
                (self.socket, self.awaits_greeting) = (Some(socket), self.cursor.is_some());
                self.remember();
                return Some(());
            }
            self.returns.failed.fetch_add(1, Ordering::Relaxed);
            if Duration::from_micros(self.clock.now_us() - left_us) > BACK_WAIT {
                return None;
            }
            let spread = Duration::from_millis((self.caller.number % PAUSE_SPREAD).into());
            tokio::time::sleep(pause + spread).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}
