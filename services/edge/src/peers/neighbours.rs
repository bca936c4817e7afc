//! The other nodes that this one shares bridges and unanswered requests with, and whether they still know of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use chasqui_proto::subject::NodeToken;
use futures::future::BoxFuture;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Time from one look at a neighbour to the next. What it has forgotten is noticed so late.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Time a neighbour has to answer.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// A neighbour that has not answered so often in a row is gone. One that died without its machine is known to be gone
/// at once: nobody listens on its subject.
const SILENCES_MAX: u32 = 2;

/// The most ids in one question; more are asked about in several. An id has 20 bytes, a message of NATS 1 MiB.
const ASKED_MAX: usize = 8_192;

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

/// Asks a neighbour whether it is there, and to say which of some ids it does not know.
pub(super) type Look = Box<dyn Fn(NodeToken, Vec<String>) -> BoxFuture<'static, Sign> + Send + Sync>;

/// The neighbours with ties, each looked at as long as it has one.
pub(super) struct Neighbours {
    known: Mutex<HashMap<NodeToken, Weak<Watched>>>,
    look: Arc<Look>,
    tasks: TaskTracker,
}

/// A bridge or an unanswered request that this node and a neighbour both should know of.
#[derive(Debug)]
pub(super) struct Tie {
    neighbour: Arc<Watched>,
    id: String,
    cut: CancellationToken,
}

#[derive(Debug)]
struct Watched {
    name: NodeToken,
    gone: CancellationToken,
    /// By id, what cuts one tie.
    ties: Mutex<HashMap<String, CancellationToken>>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Nobody has a tie to it any more: nobody looks.
        self.gone.cancel();
    }
}

impl Watched {
    fn ties(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        lock(&self.ties)
    }
}

impl Tie {
    pub(super) fn neighbour(&self) -> &NodeToken {
        &self.neighbour.name
    }

    /// The other end has said its last: it need not know of this any more.
    pub(super) fn rest(&mut self) {
        self.neighbour.ties().remove(&self.id);
        self.cut = self.neighbour.gone.child_token();
    }

    /// Returns when the neighbour is gone, or the way to it, or when it knows nothing of this.
    pub(super) async fn cut(&self) {
        self.cut.cancelled().await;
    }
}

impl Drop for Tie {
    fn drop(&mut self) {
        self.neighbour.ties().remove(&self.id);
    }
}

impl Neighbours {
    pub(super) fn new(look: Look, tasks: TaskTracker) -> Self {
        Self { known: Mutex::default(), look: Arc::new(look), tasks }
    }

    /// A tie to the neighbour of this name. It must have been told the id, or a message that tells it be on its way.
    pub(super) fn tie(&self, name: &NodeToken, id: &str) -> Tie {
        let neighbour = self.get(name);
        let cut = neighbour.gone.child_token();
        neighbour.ties().insert(id.to_owned(), cut.clone());
        Tie { neighbour, id: id.to_owned(), cut }
    }

    /// The way to all of them is gone, or may have lost something.
    pub(super) fn lose_all(&self) {
        for (_, watched) in lock(&self.known).drain() {
            if let Some(watched) = watched.upgrade() {
                watched.gone.cancel();
            }
        }
    }

    /// The neighbour of this name does not know of these.
    pub(super) fn forgotten(&self, name: &NodeToken, ids: &[String]) {
        let Some(watched) = lock(&self.known).get(name).and_then(Weak::upgrade) else { return };
        let cut: Vec<_> = ids.iter().filter_map(|id| watched.ties().remove(id)).collect();
        if cut.is_empty() {
            return;
        }
        let count = cut.len();
        tracing::warn!(neighbour = %name, count, "a node does not know what it should share with this one");
        metrics::counter!("chasqui_edge_forgotten_total").increment(count as u64);
        cut.iter().for_each(CancellationToken::cancel);
    }

    /// The neighbour of this name, looked at from now on.
    fn get(&self, name: &NodeToken) -> Arc<Watched> {
        let mut known = lock(&self.known);
        let live = known.get(name).and_then(Weak::upgrade).filter(|watched| !watched.gone.is_cancelled());
        live.unwrap_or_else(|| {
            known.retain(|_, watched| watched.strong_count() > 0);
            let (gone, ties) = (CancellationToken::new(), Mutex::default());
            let watched = Arc::new(Watched { name: name.clone(), gone: gone.clone(), ties });
            known.insert(name.clone(), Arc::downgrade(&watched));
            let watch = watch(Arc::downgrade(&watched), Arc::clone(&self.look));
            self.tasks.spawn(gone.run_until_cancelled_owned(watch));
            watched
        })
    }
}

fn lock<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code under this lock can leave the map half changed.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks until the neighbour is gone, or nobody has a tie to it.
async fn watch(watched: Weak<Watched>, look: Arc<Look>) {
    let mut silences = Silences::default();
    let mut looks = interval_at(Instant::now() + LOOK_INTERVAL, LOOK_INTERVAL);
    // A look that was lost has cost its time already.
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some((name, ids)) = watched.upgrade().map(|watched| {
            let ids: Vec<_> = watched.ties().keys().cloned().collect();
            (watched.name.clone(), ids)
        }) else {
            return;
        };
        for some in ids.chunks(ASKED_MAX) {
            let sign = look(name.clone(), some.to_vec()).await;
            let Some(watched) = watched.upgrade() else { return };
            if silences.after(sign) {
                tracing::warn!(neighbour = %name, "a node that shares bridges or requests with this one is gone");
                watched.gone.cancel();
                return;
            }
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
    use tokio::sync::mpsc;

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
        let look: Look = Box::new(|_, _| Box::pin(std::future::ready(Sign::There)));
        let neighbours = Neighbours::new(look, TaskTracker::new());
        let name = NodeToken::new("edge-2");
        let before = neighbours.tie(&name, "a");
        assert!(Arc::ptr_eq(&before.neighbour, &neighbours.get(&name)), "one neighbour for all ties to it");
        neighbours.lose_all();
        before.cut().await;
        assert!(!neighbours.tie(&name, "b").cut.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_neighbour_does_not_know_is_cut_and_nothing_else_and_what_rests_is_not_asked_about() {
        let (asked, mut questions) = mpsc::unbounded_channel();
        let look: Look = Box::new(move |_, ids| {
            assert!(ids.len() <= ASKED_MAX);
            asked.send(ids).unwrap();
            Box::pin(std::future::ready(Sign::There))
        });
        let neighbours = Neighbours::new(look, TaskTracker::new());
        let name = NodeToken::new("edge-2");
        let mut ties: Vec<_> = (0..=ASKED_MAX).map(|id| neighbours.tie(&name, &id.to_string())).collect();
        ties[0].rest();
        ties[1].rest();
        let ids = questions.recv().await.unwrap();
        assert_eq!(ids.len(), ties.len() - 2);
        neighbours.forgotten(&name, &["0".to_owned(), "2".to_owned()]);
        ties[2].cut().await;
        assert_eq!(ties.iter().filter(|tie| tie.cut.is_cancelled()).count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_look_that_was_lost_comes_another_at_once() {
        let begin = Instant::now();
        let (asked, mut questions) = mpsc::unbounded_channel();
        let look: Look = Box::new(move |_, _| {
            asked.send(begin.elapsed()).unwrap();
            Box::pin(async {
                tokio::time::sleep(ANSWER_WAIT).await;
                Sign::Silent
            })
        });
        let neighbours = Neighbours::new(look, TaskTracker::new());
        let tie = neighbours.tie(&NodeToken::new("edge-2"), "a");
        tie.cut().await;
        for expected in [LOOK_INTERVAL, LOOK_INTERVAL + ANSWER_WAIT] {
            let asked: Duration = questions.recv().await.unwrap();
            assert!(asked.abs_diff(expected) < Duration::from_millis(10), "{asked:?}");
        }
    }
}
