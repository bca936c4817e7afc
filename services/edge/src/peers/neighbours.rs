//! Which other nodes this one has bridges with, and whether they are still there.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use chasqui_proto::subject::NodeToken;
use futures::future::BoxFuture;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Time between two looks at a neighbour.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Time a neighbour has to answer.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// A neighbour that has not answered so often in a row is gone. One that died without its machine is known to be gone
/// at once: nobody listens on its subject.
const SILENCES_MAX: u32 = 2;

/// What became of a question to a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answered.
    There,
    /// It did not answer in time.
    Silent,
    /// Nobody has its name.
    Gone,
}

/// Asks a neighbour whether it is there.
pub(super) type Look = Box<dyn Fn(NodeToken) -> BoxFuture<'static, Sign> + Send + Sync>;

/// The neighbours with bridges, each looked at as long as it has one.
pub(super) struct Neighbours {
    known: Mutex<HashMap<NodeToken, Weak<Watched>>>,
    look: Arc<Look>,
    tasks: TaskTracker,
}

/// A neighbour, as one bridge to it knows it.
#[derive(Debug, Clone)]
pub(super) struct Neighbour(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    name: NodeToken,
    gone: CancellationToken,
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Nobody has a bridge to it any more: nobody looks.
        self.gone.cancel();
    }
}

impl Neighbour {
    pub(super) fn name(&self) -> &NodeToken {
        &self.0.name
    }

    /// Returns when the neighbour is gone, or the way to it.
    pub(super) async fn gone(&self) {
        self.0.gone.cancelled().await;
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.name.fmt(f)
    }
}

impl Neighbours {
    pub(super) fn new(look: Look, tasks: TaskTracker) -> Self {
        Self { known: Mutex::default(), look: Arc::new(look), tasks }
    }

    /// The neighbour of this name, looked at from now on.
    pub(super) fn get(&self, name: &NodeToken) -> Neighbour {
        let mut known = self.known();
        let live = known.get(name).and_then(Weak::upgrade).filter(|watched| !watched.gone.is_cancelled());
        Neighbour(live.unwrap_or_else(|| {
            known.retain(|_, watched| watched.strong_count() > 0);
            let watched = Arc::new(Watched { name: name.clone(), gone: CancellationToken::new() });
            known.insert(name.clone(), Arc::downgrade(&watched));
            let look = Arc::clone(&self.look);
            let watch = watch(name.clone(), watched.gone.clone(), look);
            self.tasks.spawn(watched.gone.clone().run_until_cancelled_owned(watch));
            watched
        }))
    }

    /// The way to all of them is gone, or may have lost something.
    pub(super) fn lose_all(&self) {
        for (_, watched) in self.known().drain() {
            if let Some(watched) = watched.upgrade() {
                watched.gone.cancel();
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<NodeToken, Weak<Watched>>> {
        // No code under this lock can leave the map half changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks until the neighbour is gone.
async fn watch(name: NodeToken, gone: CancellationToken, look: Arc<Look>) {
    let mut silences = Silences::default();
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        if silences.after(look(name.clone()).await) {
            tracing::warn!(neighbour = %name, "a node with bridges to this one is gone");
            gone.cancel();
        }
    }
}

/// How often in a row a neighbour did not answer.
#[derive(Debug, Default)]
struct Silences(u32);

impl Silences {
    /// Whether the neighbour is gone, after one more look.
    fn after(&mut self, sign: Sign) -> bool {
        self.0 = match sign {
            Sign::There => 0,
            Sign::Silent => self.0 + 1,
            Sign::Gone => SILENCES_MAX,
        };
        self.0 >= SILENCES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_process_is_noticed_at_once_and_a_dead_machine_after_two_silences() {
        let looks = |signs: &[Sign]| {
            let mut silences = Silences::default();
            signs.iter().map(|sign| silences.after(*sign)).collect::<Vec<_>>()
        };
        assert_eq!(looks(&[Sign::There, Sign::Gone]), [false, true]);
        let signs = [Sign::Silent, Sign::There, Sign::Silent, Sign::Silent];
        assert_eq!(looks(&signs), [false, false, false, true]);
    }

    #[tokio::test]
    async fn when_the_way_is_lost_all_are_gone_and_a_later_bridge_begins_anew() {
        let look: Look = Box::new(|_| Box::pin(std::future::ready(Sign::There)));
        let neighbours = Neighbours::new(look, TaskTracker::new());
        let name = NodeToken::new("edge-2");
        let before = neighbours.get(&name);
        assert!(Arc::ptr_eq(&before.0, &neighbours.get(&name).0), "one neighbour for all bridges to it");
        neighbours.lose_all();
        before.gone().await;
        assert!(!neighbours.get(&name).0.gone.is_cancelled());
    }
}
