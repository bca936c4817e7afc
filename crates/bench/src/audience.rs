//! The sockets of a trial, each read by a task of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    ledger::{Inbox, Sent, expected},
    marker,
    plan::Plan,
};

/// How long is listened after the last one, for copies that should not come.
const DUPLICATES_WAIT: Duration = Duration::from_millis(500);
/// Pause between two looks at the count.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Something that messages arrive at.
pub(crate) trait Source: Send + 'static {
    /// The text of the next message; `None` once the connection has ended.
    fn next_text(&mut self) -> impl Future<Output = Option<String>> + Send;
}

/// How many copies the sockets have heard, and how many more messages may be on their way.
#[derive(Debug)]
pub(crate) struct Heard {
    copies: AtomicU32,
    copies_per_message: AtomicU32,
    room: Semaphore,
}

impl Default for Heard {
    fn default() -> Self {
        Self { copies: AtomicU32::new(0), copies_per_message: AtomicU32::new(1), room: Semaphore::new(0) }
    }
}

impl Heard {
    fn one_more(&self) {
        let copies = self.copies.fetch_add(1, Ordering::Relaxed) + 1;
        if copies.is_multiple_of(self.copies_per_message.load(Ordering::Relaxed)) {
            self.room.add_permits(1);
        }
    }

    /// Lets so many messages be on their way at once.
    pub(crate) fn allow(&self, messages: u32, copies_per_message: u32) {
        self.copies_per_message.store(copies_per_message.max(1), Ordering::Relaxed);
        self.room.add_permits(messages as usize);
    }

    /// Waits until one more message may be sent, within bounds; false when the sockets have stopped hearing.
    pub(crate) async fn room_for_one(&self, wait: Duration) -> bool {
        match tokio::time::timeout(wait, self.room.acquire()).await {
            Ok(Ok(permit)) => {
                permit.forget();
                true
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

/// Everybody who listens in a trial.
#[derive(Debug)]
pub(crate) struct Audience {
    /// The clock of the trial.
    pub(crate) clock: Clock,
    run: String,
    conversations: u32,
    /// What each listener shows: one conversation, or all.
    shown: Vec<Option<u32>>,
    listeners: JoinSet<Inbox>,
    /// First copies so far; the listeners count, we and a closed loop look.
    heard: Arc<Heard>,
    stop: CancellationToken,
}

impl Audience {
    /// An empty audience for a plan.
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            clock: Clock::start(),
            run: plan.run.clone(),
            conversations: plan.conversations,
            shown: Vec::new(),
            listeners: JoinSet::new(),
            heard: Arc::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Lets a source in. It shows one conversation, or all.
    pub(crate) fn join(&mut self, conversation: Option<u32>, mut source: impl Source) {
        self.shown.push(conversation);
        let inbox = Inbox::new(conversation, self.conversations);
        let (clock, run, heard, stop) = (self.clock, self.run.clone(), self.heard.clone(), self.stop.clone());
        self.listeners.spawn(async move {
            let mut inbox = inbox;
            while let Some(heard_text) = stop.run_until_cancelled(source.next_text()).await {
                let Some(text) = heard_text else {
                    inbox.closed_early = true;
                    break;
                };
                let at_us = clock.now_us();
                if let Some(message) = marker::find(&run, &text)
                    && inbox.hear(message, at_us)
                {
                    heard.one_more();
                }
            }
            inbox
        });
    }

    /// How many listen.
    pub(crate) fn size(&self) -> usize {
        self.listeners.len()
    }

    /// The count of what was heard, for senders that wait for it.
    pub(crate) fn heard(&self) -> Arc<Heard> {
        self.heard.clone()
    }

    /// How many sockets show a message, on average over the conversations: exact, since every conversation has as many.
    pub(crate) fn copies_per_message(&self) -> u32 {
        let shows = |shown: &&Option<u32>| shown.is_none_or(|conversation| conversation == 0);
        u32::try_from(self.shown.iter().filter(shows).count()).unwrap_or(u32::MAX)
    }

    /// How many copies of the acknowledged messages must be heard.
    pub(crate) fn expected(&self, plan: &Plan, sent: &[Vec<Sent>]) -> u32 {
        expected(plan, sent, self.shown.iter().copied())
    }

    /// Waits until the sockets have heard so many copies, within bounds, listens a little longer, and returns what
    /// everybody heard.
    pub(crate) async fn leave(self, expected: u32, wait: Duration) -> Vec<Inbox> {
        let deadline = Instant::now() + wait;
        while self.heard.copies.load(Ordering::Relaxed) < expected && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tokio::time::sleep(DUPLICATES_WAIT).await;
        self.stop.cancel();
        self.listeners.join_all().await
    }
}
