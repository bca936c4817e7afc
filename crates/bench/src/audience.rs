//! The sockets of a trial, each read by a task of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};
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
    /// First copies so far; the listeners count, we look.
    heard: Arc<AtomicU32>,
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
                    heard.fetch_add(1, Ordering::Relaxed);
                }
            }
            inbox
        });
    }

    /// How many listen.
    pub(crate) fn size(&self) -> usize {
        self.listeners.len()
    }

    /// How many copies of the acknowledged messages must be heard.
    pub(crate) fn expected(&self, plan: &Plan, sent: &[Vec<Sent>]) -> u32 {
        expected(plan, sent, self.shown.iter().copied())
    }

    /// Waits until the sockets have heard so many copies, within bounds, listens a little longer, and returns what
    /// everybody heard.
    pub(crate) async fn leave(self, expected: u32, wait: Duration) -> Vec<Inbox> {
        let deadline = Instant::now() + wait;
        while self.heard.load(Ordering::Relaxed) < expected && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tokio::time::sleep(DUPLICATES_WAIT).await;
        self.stop.cancel();
        self.listeners.join_all().await
    }
}
