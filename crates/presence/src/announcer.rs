//! A node's own people: told to everyone else, repeated to whoever asks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use chasqui_kit::{Bus, clock::now_ms};
use chasqui_proto::{
    ConversationToken, Tenant,
    subject::{self, NodeToken},
    v1,
};
use futures::StreamExt;
use prost::Message;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, timeout},
};
use uuid::Uuid;

use crate::{
    board::Board,
    errand::{Errand, Errands},
    person::{CONNECTIONS_OF_PERSON_MAX, Connection, Who},
    said::Entry,
    told,
    watcher::{Listener, Own, Patience, Shared, TICK, Tenancy, Watcher},
};

/// Time between two beats of a node in a tenant.
const BEAT_INTERVAL: Duration = Duration::from_secs(3);
/// How long a node goes on in a tenant after its last person left: one who reloads the page is not worth a life.
const EMPTY_MAX: Duration = Duration::from_secs(9);
/// The most bytes of people on one page; NATS takes messages of 1 MiB.
const PAGE_BYTES_MAX: usize = 256 * 1024;
/// What a person costs on a page beside its texts, and what each connection does: ids of 32 digits, numbers, tags.
const PERSON_BYTES: usize = 48;
const CONNECTION_BYTES: usize = 96;
/// How long taking leave may take.
const FAREWELL_WAIT: Duration = Duration::from_secs(2);

/// A person has as many connections as can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a person may have {CONNECTIONS_OF_PERSON_MAX} connections on one node")]
pub struct TooManyConnections;

/// Tells who is here and watches who is elsewhere, in every tenant that has people here. Dropped without
/// [`Announcer::farewell`] it falls silent, as a node that died.
#[derive(Debug)]
pub struct Announcer {
    watcher: Watcher,
    node: NodeToken,
    errands: Errands,
    /// The newest life of the node in any tenant.
    incarnation: AtomicI64,
    /// Who is here, in all tenants.
    people: AtomicUsize,
}

impl Announcer {
    /// Begins; nobody is here yet.
    pub fn start(bus: Bus, node: NodeToken, listener: Arc<dyn Listener>) -> Self {
        let watcher = Watcher::new(bus, Some(node.clone()), listener);
        let shared = &watcher.shared;
        let (errands, waiting) = Errands::new();
        shared.tasks.spawn(answer(shared.clone(), node.clone()));
        shared.tasks.spawn(send(shared.clone(), waiting));
        shared.tasks.spawn(keep(shared.clone(), node.clone(), errands.clone()));
        Self { watcher, node, errands, incarnation: AtomicI64::new(0), people: AtomicUsize::new(0) }
    }

    /// Who is where, in the tenants that have people here.
    pub fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// How many people are here, in all tenants.
    pub fn people(&self) -> usize {
        self.people.load(Ordering::Relaxed)
    }

    /// A person has one connection more, if `admit` lets it in. Nothing changes between its look at the board and the
    /// change; it must not wait.
    pub fn enter<E: From<TooManyConnections>>(
        &self,
        tenant: &Tenant,
        person: &ConversationToken,
        who: Who,
        admit: impl FnOnce(&Board) -> Result<Connection, E>,
    ) -> Result<Connection, E> {
        let mut tenants = self.watcher.shared.tenants();
        if !tenants.contains_key(tenant) {
            tenants.insert(tenant.clone(), self.begin(tenant));
        }
        let tenancy = tenants.get_mut(tenant).expect("it was put there");
        let connection = admit(&tenancy.board)?;
        let before = tenancy.board.said(&self.node).and_then(|said| said.entry(person)).cloned();
        let mut connections = before.as_ref().map(|entry| entry.connections.to_vec()).unwrap_or_default();
        if connections.len() >= CONNECTIONS_OF_PERSON_MAX {
            return Err(TooManyConnections.into());
        }
        connections.push(connection);
        // One person, one appearance: who is an agent in one tab is not a mere user because of another.
        let who = before.map(|entry| entry.who).filter(|before| before.rank() > who.rank()).unwrap_or(who);
        self.say(tenant, tenancy, person, Entry { version: 0, who, connections: connections.into() });
        Ok(connection)
    }

    /// A connection of a person is no more.
    pub fn leave(&self, tenant: &Tenant, person: &ConversationToken, connection: Uuid) {
        let mut tenants = self.watcher.shared.tenants();
        let Some(tenancy) = tenants.get_mut(tenant) else { return };
        let said = tenancy.board.said(&self.node);
        let Some(Entry { who, connections, .. }) = said.and_then(|said| said.entry(person)).cloned() else {
            return;
        };
        let rest: Vec<Connection> =
            connections.iter().copied().filter(|each| each.id != connection).collect();
        if rest.len() < connections.len() {
            self.say(tenant, tenancy, person, Entry { version: 0, who, connections: rest.into() });
        }
    }

    /// Takes leave: everyone who is here is gone for the others at once. Returning means fully stopped.
    pub async fn farewell(&self) {
        for (tenant, tenancy) in self.watcher.shared.tenants().iter() {
            if tenancy.own.is_some() {
                let beat = beat(tenant, &self.node, tenancy, true);
                self.errands.publish(&subject::presence_alive(tenant, &self.node), &beat);
            }
        }
        let sent = timeout(FAREWELL_WAIT, async {
            self.errands.end().await;
            drop(self.watcher.shared.bus.barrier().await);
        });
        if sent.await.is_err() {
            tracing::warn!("the broker is away: the others will notice within 10 s that this node is gone");
        }
        self.watcher.stopped().await;
    }

    fn begin(&self, tenant: &Tenant) -> Tenancy {
        let (now, now_ms) = (Instant::now(), now_ms());
        let next = |last: i64| Some(now_ms.max(last + 1));
        let last = self.incarnation.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let incarnation = now_ms.max(last.unwrap_or_default() + 1);
        let mut tenancy = Tenancy::default();
        tenancy.board.begin(&self.node, incarnation, now);
        let is_watched = self.errands.watch(tenant);
        // Nodes that started together must not beat together.
        let beat_at = now + BEAT_INTERVAL.mul_f64(rand::random::<f64>());
        tenancy.own = Some(Own { incarnation, beat_at, empty_since: Some(now), is_watched });
        tenancy
    }

    /// Says what a person has here now. The number of the change is yet to come.
    fn say(&self, tenant: &Tenant, tenancy: &mut Tenancy, person: &ConversationToken, here: Entry) {
        let Some(own) = &mut tenancy.own else { return };
        let was_here = tenancy.board.said(&self.node).is_some_and(|said| said.entry(person).is_some());
        match (was_here, here.is_there()) {
            (false, true) => drop(self.people.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.people.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
        let mut change = presence(person, &here);
        let said = tenancy.board.say(&self.node, person, here.who, here.connections.into_vec());
        let Some((version, transition)) = said else { return };
        let nobody = tenancy.board.said(&self.node).is_none_or(|said| said.people().next().is_none());
        own.empty_since = nobody.then(Instant::now);
        change.tenant = tenant.to_string();
        change.node = self.node.to_string();
        change.incarnation = own.incarnation;
        change.version = version;
        self.errands.publish(&subject::presence_changed(tenant, person), &change);
        self.watcher.shared.tell(tenant, &tenancy.board, transition.as_slice());
    }
}

/// Does the errands in their order.
async fn send(shared: Arc<Shared>, mut waiting: mpsc::Receiver<Errand>) {
    while let Some(Some(errand)) = shared.stop.run_until_cancelled(waiting.recv()).await {
        match errand {
            Errand::Watch(tenant) => watch(&shared, &tenant).await,
            Errand::Publish { subject, payload } => {
                if let Err(error) = shared.bus.client().publish(subject, payload).await {
                    tracing::debug!(%error, "the others are not told yet; the next beat shows it");
                }
            }
            Errand::End(all_sent) => {
                // Who took leave may have stopped waiting.
                let _ = all_sent.send(());
                return;
            }
        }
    }
}

async fn watch(shared: &Arc<Shared>, tenant: &Tenant) {
    let stop = shared.stop.child_token();
    let listening = shared.listen(&subject::presence_of_tenant(tenant), stop.clone()).await;
    if let Some(tenancy) = shared.tenants().get_mut(tenant) {
        if let Err(error) = &listening {
            tracing::warn!(%error, tenant = tenant.as_str(), "a tenant's presence is not heard yet");
        }
        if let Some(own) = &mut tenancy.own {
            own.is_watched = listening.is_ok();
        }
        tenancy.listening = Some(stop.drop_guard());
    } else {
        stop.cancel();
    }
}

/// Beats where it is due, and ends lives that nobody needs any more.
async fn keep(shared: Arc<Shared>, node: NodeToken, errands: Errands) {
    let mut patience = Patience::new(&shared.bus);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shared.stop.run_until_cancelled(tick.tick()).await.is_some() {
        let now = Instant::now();
        let hears_again = shared.expire(&mut patience, now);
        shared.tenants().retain(|tenant, tenancy| {
            let Some(own) = &mut tenancy.own else { return true };
            if hears_again {
                // The others may have taken this node for dead.
                own.beat_by(now + BEAT_INTERVAL.mul_f64(rand::random::<f64>() / 3.0));
            }
            if !own.is_watched {
                own.is_watched = errands.watch(tenant);
            }
            if now < own.beat_at {
                return true;
            }
            own.beat_at = now + BEAT_INTERVAL;
            let is_over = own.empty_since.is_some_and(|since| now.duration_since(since) >= EMPTY_MAX);
            let beat = beat(tenant, &node, tenancy, is_over);
            errands.publish(&subject::presence_alive(tenant, &node), &beat);
            !is_over
        });
    }
}

fn beat(tenant: &Tenant, node: &NodeToken, tenancy: &Tenancy, leaving: bool) -> v1::PresenceBeat {
    v1::PresenceBeat {
        tenant: tenant.to_string(),
        node: node.to_string(),
        incarnation: tenancy.own.as_ref().map_or(0, |own| own.incarnation),
        version: tenancy.board.said(node).map_or(0, crate::said::Said::known),
        leaving,
    }
}

/// Answers whoever asks who is here, until stopped.
async fn answer(shared: Arc<Shared>, node: NodeToken) {
    let subject = subject::edge_presence(&node);
    let mut questions = match shared.bus.client().subscribe(subject.as_str().to_owned()).await {
        Ok(questions) => questions,
        Err(error) => {
            tracing::error!(%error, "who asks who is here gets no answer: others know only of later changes");
            return;
        }
    };
    while let Some(Some(question)) = shared.stop.run_until_cancelled(questions.next()).await {
        let Some(reply) = question.reply else { continue };
        let page = page(&shared, &node, question.payload);
        if let Err(error) = shared.bus.client().publish(reply, page.encode_to_vec().into()).await {
            tracing::debug!(%error, "a page was not sent; it will be asked for again");
        }
    }
}

/// The page that was asked for; one of incarnation 0 when there is nothing to say.
fn page(shared: &Shared, node: &NodeToken, question: Bytes) -> v1::PresencePage {
    let nothing = v1::PresencePage { node: node.to_string(), ..v1::PresencePage::default() };
    let Ok(question) = v1::ListPresence::decode(question) else { return nothing };
    let (Ok(tenant), Ok(after)) = (question.tenant.parse::<Tenant>(), told::position(&question.after)) else {
        return nothing;
    };
    let tenants = shared.tenants();
    let Some(tenancy) = tenants.get(&tenant) else { return nothing };
    let (Some(own), Some(said)) = (&tenancy.own, tenancy.board.said(node)) else { return nothing };
    let (people, next) = said.list(after.as_ref(), PAGE_BYTES_MAX, size);
    v1::PresencePage {
        incarnation: own.incarnation,
        version: said.known(),
        people: people.into_iter().map(|(person, entry)| presence(person, entry)).collect(),
        next: next.map(ToString::to_string).unwrap_or_default(),
        ..nothing
    }
}

/// What a person costs on a page, bytes: never less than its encoding.
fn size(person: &ConversationToken, entry: &Entry) -> usize {
    let agent = entry.who.agent_id.as_deref().map_or(0, str::len);
    let texts = person.as_str().len() + entry.who.user_id.len() + agent;
    PERSON_BYTES + texts + CONNECTION_BYTES * entry.connections.len()
}

/// A person on the wire, without what a page says once for all: the tenant, the node and its life.
fn presence(person: &ConversationToken, entry: &Entry) -> v1::Presence {
    v1::Presence {
        person: person.to_string(),
        user_id: entry.who.user_id.to_string(),
        kind: entry.who.kind.into(),
        agent_id: entry.who.agent_id.as_deref().unwrap_or_default().to_owned(),
        version: entry.version,
        connections: entry.connections.iter().map(Into::into).collect(),
        ..v1::Presence::default()
    }
}
