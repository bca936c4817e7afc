use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chasqui_testkit::wait_for;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Cluster, DEADLINE, Meta, Texts};

/// How many contacts write at once.
const CONTACTS: usize = 20;
/// How often each of them writes.
const EVERY: Duration = Duration::from_millis(100);
/// What all of them together write in a second.
pub(crate) const A_SECOND: usize = 200;

/// Contacts who write all the time, each its next message when the one before was answered 200.
pub(crate) struct Load {
    meta: Arc<Meta>,
    acknowledged: Arc<AtomicUsize>,
    stop: CancellationToken,
    contacts: Vec<JoinHandle<(String, Vec<String>)>>,
}

impl Load {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let mut load = Self {
            meta: Arc::new(Meta::new(cluster)),
            acknowledged: Arc::default(),
            stop: CancellationToken::new(),
            contacts: Vec::new(),
        };
        for contact in 1..=CONTACTS {
            let phone = format!("54911000000{contact:02}");
            let writes = writes(phone, load.meta.clone(), load.acknowledged.clone(), load.stop.clone());
            load.contacts.push(tokio::spawn(writes));
        }
        load
    }

    /// Waits until so many more messages were answered 200.
    pub(crate) async fn goes_on_for(&self, messages: usize) {
        let goal = self.acknowledged.load(Ordering::Relaxed) + messages;
        wait_for(DEADLINE, &format!("{messages} more messages are acknowledged"), async || {
            (self.acknowledged.load(Ordering::Relaxed) >= goal).then_some(())
        })
        .await;
    }

    /// How many tries were not answered 200.
    pub(crate) fn refused(&self) -> usize {
        self.meta.refused()
    }

    /// Waits until more than `before` tries were not answered 200.
    pub(crate) async fn is_refused_more_than(&self, before: usize) {
        wait_for(DEADLINE, "an ingest refuses a webhook", async || (self.refused() > before).then_some(()))
            .await;
    }

    /// Ends the load when everything begun is acknowledged; what was written.
    pub(crate) async fn stop(self) -> Texts {
        self.stop.cancel();
        let mut texts = Texts::new();
        for contact in self.contacts {
            texts.extend([contact.await.unwrap()]);
        }
        texts
    }
}

async fn writes(
    phone: String,
    meta: Arc<Meta>,
    acknowledged: Arc<AtomicUsize>,
    stop: CancellationToken,
) -> (String, Vec<String>) {
    let mut written = Vec::new();
    let mut pace = interval(EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(pace.tick()).await.is_some() {
        let text = format!("{phone} {}", written.len());
        meta.text(&phone, &text).await;
        acknowledged.fetch_add(1, Ordering::Relaxed);
        written.push(text);
    }
    (phone, written)
}
