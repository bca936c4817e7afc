//! Hears what nodes tell, of one tenant or of all, and makes boards of it.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use chasqui_kit::{Bus, Code, Coded, TraceContext, request::RequestError};
use chasqui_proto::{
    ConversationToken, Pattern, Tenant,
    subject::{self, NodeToken},
    v1,
};
use futures::StreamExt;
use prost::Message;
use tokio::{sync::Semaphore, time::MissedTickBehavior};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    board::{Board, Transition},
    person::{Connection, Who},
    told::{Told, Unreadable},
};

/// How often the dead are looked for. With [`crate::board::SILENCE_MAX`] a dead node's people are gone within 10 s.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// How long a node may take to answer with a page.
const ASK_WAIT: Duration = Duration::from_secs(2);
/// The most pages of one snapshot: a hundred million people.
const PAGES_MAX: usize = 100_000;
/// The most snapshots read at once.
const ASKS_MAX: usize = 8;
/// The most tenants whose boards are kept.
const TENANTS_MAX: usize = 100_000;

/// Is told what became of people.
pub trait Listener: Send + Sync + 'static {
    /// Called with the transitions in their order, of one tenant after the other. The watcher stands still meanwhile:
    /// this must not wait, and must not ask it anything but the board it is given.
    fn changed(&self, tenant: &Tenant, board: &Board, transitions: &[Transition]);
}

/// Nobody wants to be told.
impl Listener for () {
    fn changed(&self, _: &Tenant, _: &Board, _: &[Transition]) {}
}

/// The broker refused a subscription.
#[derive(Debug, thiserror::Error)]
#[error("cannot subscribe to presence: {0}")]
pub struct WatchError(pub(crate) String);

impl Coded for WatchError {
    fn code(&self) -> Code {
        Code::Unavailable
    }
}

/// Watches who is there. Cheap to clone; when the last one is dropped, nothing is watched any more.
#[derive(Debug, Clone)]
pub struct Watcher {
    pub(crate) shared: Arc<Shared>,
    _stop: Arc<DropGuard>,
}

impl Watcher {
    /// Watches all tenants. Who was there before is known after the first beats, 3 s.
    pub async fn of_all(bus: Bus, listener: Arc<dyn Listener>) -> Result<Self, WatchError> {
        let watcher = Self::new(bus, None, listener);
        let shared = &watcher.shared;
        shared.listen(&subject::presence_of_all(), shared.stop.clone()).await?;
        shared.tasks.spawn(shared.clone().keep());
        Ok(watcher)
    }

    pub(crate) fn new(bus: Bus, own: Option<NodeToken>, listener: Arc<dyn Listener>) -> Self {
        let stop = CancellationToken::new();
        let shared = Shared {
            bus,
            own,
            listener,
            tenants: Mutex::default(),
            asking: Mutex::default(),
            asks: Semaphore::new(ASKS_MAX),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
        };
        Self { shared: Arc::new(shared), _stop: Arc::new(stop.drop_guard()) }
    }

    /// Everyone of a tenant who is there, in the order of their tokens; nobody of a tenant that is not watched.
    pub fn online(&self, tenant: &Tenant) -> Vec<(ConversationToken, Who)> {
        let online = |board: &Board| {
            board.online().map(|(person, who)| (person.clone(), who.clone())).collect::<Vec<_>>()
        };
        self.read(tenant, online).unwrap_or_default()
    }

    /// A person's connections, on all nodes.
    pub fn connections(&self, tenant: &Tenant, person: &ConversationToken) -> Vec<Connection> {
        self.read(tenant, |board| board.connections(person)).unwrap_or_default()
    }

    /// Reads a tenant's board, if the tenant is watched. Nothing is heard meanwhile: `read` must not wait.
    pub fn read<T>(&self, tenant: &Tenant, read: impl FnOnce(&Board) -> T) -> Option<T> {
        self.shared.tenants().get(tenant).map(|tenancy| read(&tenancy.board))
    }

    /// Stops watching; returning means fully stopped.
    pub async fn stopped(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

/// What is known of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Tenancy {
    pub(crate) board: Board,
    /// The announcer's part.
    pub(crate) own: Option<Own>,
    /// Ends the tenant's own subscription, where it has one.
    pub(crate) listening: Option<DropGuard>,
}

/// A life of this node in a tenant: from its first person until some time after its last.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) incarnation: i64,
    /// When the next beat is due.
    pub(crate) beat_at: Instant,
    /// Since when nobody is there.
    pub(crate) empty_since: Option<Instant>,
    /// The tenant is listened to, or will be.
    pub(crate) is_watched: bool,
}

impl Own {
    /// Beats at `when` if not earlier.
    pub(crate) fn beat_by(&mut self, when: Instant) {
        self.beat_at = self.beat_at.min(when);
    }
}

pub(crate) type Tenants = HashMap<Tenant, Tenancy>;

/// What the tasks of a watcher share.
pub(crate) struct Shared {
    pub(crate) bus: Bus,
    /// The node itself: it does not listen to its own words.
    pub(crate) own: Option<NodeToken>,
    pub(crate) listener: Arc<dyn Listener>,
    tenants: Mutex<Tenants>,
    /// Whose snapshots are being read.
    asking: Mutex<HashSet<(Tenant, NodeToken)>>,
    asks: Semaphore,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("own", &self.own).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn tenants(&self) -> MutexGuard<'_, Tenants> {
        // Nothing under this lock leaves a board half changed.
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens until `stop`. The subscription is on its way when this returns: whatever is published over the same
    /// connection afterwards comes after it.
    pub(crate) async fn listen(
        self: &Arc<Self>,
        pattern: &Pattern,
        stop: CancellationToken,
    ) -> Result<(), WatchError> {
        let subscribed = self.bus.client().subscribe(pattern.as_str().to_owned()).await;
        let mut words = subscribed.map_err(|error| WatchError(error.to_string()))?;
        let shared = self.clone();
        self.tasks.spawn(async move {
            while let Some(Some(word)) = stop.run_until_cancelled(words.next()).await {
                shared.hear(&word.subject, word.payload);
            }
        });
        Ok(())
    }

    /// Finds the dead until stopped.
    async fn keep(self: Arc<Self>) {
        let mut patience = Patience::new(&self.bus);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.expire(&mut patience, Instant::now());
            self.tenants().retain(|_, tenancy| !tenancy.board.is_empty());
        }
    }

    /// Drops the nodes that are dead, unless it is this one that cannot hear. Whether it can hear again just now.
    pub(crate) fn expire(&self, patience: &mut Patience, now: Instant) -> bool {
        let mut tenants = self.tenants();
        match patience.look(&self.bus) {
            Hearing::Deaf => return false,
            Hearing::Again => {
                tenants.values_mut().for_each(|tenancy| tenancy.board.excuse_all(now));
                return true;
            }
            Hearing::Well => {}
        }
        for (tenant, tenancy) in tenants.iter_mut() {
            let transitions = tenancy.board.expire(now, self.own.as_ref());
            self.tell(tenant, &tenancy.board, &transitions);
        }
        false
    }

    pub(crate) fn tell(&self, tenant: &Tenant, board: &Board, transitions: &[Transition]) {
        if !transitions.is_empty() {
            self.listener.changed(tenant, board, transitions);
        }
    }

    fn hear(self: &Arc<Self>, subject: &str, payload: Bytes) {
        match read(subject, payload) {
            Ok((tenant, told)) if Some(&told.node) != self.own.as_ref() => self.take_in(&tenant, told),
            Ok(_) => {}
            Err(error) => {
                metrics::counter!("chasqui_presence_unreadable_total").increment(1);
                tracing::warn!(%error, subject, "a node told something impossible about who is there");
            }
        }
    }

    fn take_in(self: &Arc<Self>, tenant: &Tenant, told: Told) {
        let (node, now) = (told.node.clone(), Instant::now());
        let mut tenants = self.tenants();
        if !tenants.contains_key(tenant) && self.own.is_none() && tenants.len() < TENANTS_MAX {
            tenants.insert(tenant.clone(), Tenancy::default());
        }
        // An announcer has just stopped watching it.
        let Some(tenancy) = tenants.get_mut(tenant) else { return };
        let heard = tenancy.board.hear(told, now);
        if heard.is_newcomer
            && let Some(own) = &mut tenancy.own
        {
            // It does not know who is here; each node tells it a moment later, not all at once.
            own.beat_by(now + TICK.mul_f64(rand::random::<f64>()));
        }
        self.tell(tenant, &tenancy.board, &heard.transitions);
        drop(tenants);
        if heard.is_behind {
            self.ask(tenant, node);
        }
    }

    /// Reads a node's snapshot, unless that is under way. If it fails, the node's next beat is the next attempt.
    fn ask(self: &Arc<Self>, tenant: &Tenant, node: NodeToken) {
        let key = (tenant.clone(), node);
        if !self.asking().insert(key.clone()) {
            return;
        }
        let shared = self.clone();
        self.tasks.spawn(async move {
            let read = shared.stop.run_until_cancelled(shared.read_snapshot(&key.0, &key.1)).await;
            shared.asking().remove(&key);
            let outcome = match read {
                None => return,
                Some(Ok(())) => "read",
                Some(Err(error)) => {
                    tracing::debug!(%error, node = key.1.as_str(), "who is there at a node cannot be read yet");
                    "failed"
                }
            };
            metrics::counter!("chasqui_presence_snapshots_total", "outcome" => outcome).increment(1);
        });
    }

    async fn read_snapshot(self: &Arc<Self>, tenant: &Tenant, node: &NodeToken) -> Result<(), SnapshotError> {
        let _place = self.asks.acquire().await.expect("the semaphore is never closed");
        let subject = subject::edge_presence(node);
        let mut after: Option<ConversationToken> = None;
        for _ in 0..PAGES_MAX {
            let position = after.as_ref().map(ToString::to_string).unwrap_or_default();
            let question = v1::ListPresence { tenant: tenant.to_string(), after: position };
            let page: v1::PresencePage =
                self.bus.ask_subject(subject.as_str(), &question, TraceContext::root(), ASK_WAIT).await?;
            if page.incarnation == 0 {
                // It has nobody of the tenant any more, and says nothing more about it.
                return Ok(());
            }
            let next = crate::told::position(&page.next)?;
            let told = Told::of_page(after, &page)?;
            if told.node != *node {
                return Err(Unreadable("node").into());
            }
            self.take_in(tenant, told);
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
        Err(Unreadable("next").into())
    }

    fn asking(&self) -> MutexGuard<'_, HashSet<(Tenant, NodeToken)>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, thiserror::Error)]
enum SnapshotError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

#[derive(Debug, thiserror::Error)]
enum HearError {
    #[error("the subject is none of presence")]
    Subject,
    #[error(transparent)]
    Payload(#[from] prost::DecodeError),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

fn read(subject: &str, payload: Bytes) -> Result<(Tenant, Told), HearError> {
    let parts = subject::parse(subject).ok_or(HearError::Subject)?;
    let tenant = parts.tenant.parse().map_err(|_| HearError::Subject)?;
    let told = match parts.fact {
        "changed" => Told::of_change(&v1::Presence::decode(payload)?)?,
        "alive" => Told::of_beat(&v1::PresenceBeat::decode(payload)?)?,
        _ => return Err(HearError::Subject),
    };
    Ok((tenant, told))
}

/// Whether this node hears the others.
enum Hearing {
    Well,
    /// The connection is away.
    Deaf,
    /// The connection was away, or words were dropped: what others said meanwhile is not known.
    Again,
}

/// Knows whether silence is the others'.
#[derive(Debug)]
pub(crate) struct Patience {
    disruptions: tokio::sync::watch::Receiver<u64>,
    was_deaf: bool,
}

impl Patience {
    pub(crate) fn new(bus: &Bus) -> Self {
        Self { disruptions: bus.disruptions(), was_deaf: false }
    }

    fn look(&mut self, bus: &Bus) -> Hearing {
        self.was_deaf |= self.disruptions.has_changed().unwrap_or(false);
        self.disruptions.mark_unchanged();
        if !bus.is_connected() {
            self.was_deaf = true;
            return Hearing::Deaf;
        }
        if std::mem::take(&mut self.was_deaf) { Hearing::Again } else { Hearing::Well }
    }
}
