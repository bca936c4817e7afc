//! Everyone who is connected here: told to the other nodes, and held to the rules that hold in the whole cluster.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chasqui_kit::{Bus, clock::now_ms};
use chasqui_presence::{
    Announcer, Board, Change, Connection, Listener, Transition, Who, announcer::TooManyConnections,
};
use chasqui_proto::{ConversationToken, Tenant, subject::NodeToken, v1::PersonKind};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    auth::Identity,
    close::CloseCode,
    config::Config,
    hub::Hub,
    outbox::Outbox,
    presence::{News, Presences},
    verdict::{Claim, Rule, Ticket},
};

/// Who enters.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) tenant: Tenant,
    /// Its name among the people of the tenant.
    pub(crate) token: ConversationToken,
    /// Its id as its front end knows it.
    pub(crate) user_id: String,
    pub(crate) kind: PersonKind,
    pub(crate) agent_id: Option<String>,
}

impl From<&Identity> for Person {
    fn from(identity: &Identity) -> Self {
        Self {
            tenant: identity.tenant.clone(),
            token: identity.person.clone(),
            user_id: identity.user.clone(),
            kind: identity.kind,
            agent_id: identity.agent.as_ref().map(|agent| agent.id.clone()),
        }
    }
}

/// The people of this node, in the eyes of all nodes.
#[derive(Debug)]
pub(crate) struct Roster {
    announcer: Announcer,
    doorkeeper: Arc<Doorkeeper>,
    presences: Presences,
    /// Ends what shows presence to clients.
    stop: CancellationToken,
}

impl Roster {
    pub(crate) fn new(bus: Bus, node: NodeToken, hub: Arc<Hub>, config: &Config) -> Arc<Self> {
        let (news, stop) = (Arc::new(News::default()), CancellationToken::new());
        let doorkeeper =
            Arc::new(Doorkeeper { rule: config.rule(), here: Mutex::default(), news: news.clone() });
        let announcer = Announcer::start(bus, node, doorkeeper.clone());
        let presences = Presences::new(announcer.watcher().clone());
        tokio::spawn(presences.clone().show(hub, news, stop.clone()));
        Arc::new(Self { announcer, doorkeeper, presences, stop })
    }

    /// Who of a tenant is online.
    pub(crate) fn presences(&self) -> &Presences {
        &self.presences
    }

    /// Lets a connection in, unless the person has too many. `claim` is on the session of the client's earlier
    /// connection; that one is fenced, wherever it is. Whoever else must go for it is closed through its outbox.
    pub(crate) fn enter(
        self: &Arc<Self>,
        person: Person,
        claim: Option<Claim>,
        outbox: Arc<Outbox>,
    ) -> Result<Stay, CloseCode> {
        let Person { tenant, token, user_id, kind, agent_id } = person;
        let who = Who { user_id: user_id.into(), kind, agent_id: agent_id.map(String::into_boxed_str) };
        let takeover = rand::random();
        let id = Uuid::now_v7();
        let admit = |board: &Board| {
            let others = board.connections(&token);
            let Ticket { session, generation } = Ticket::next(claim, &others, takeover);
            // Later than whatever it comes after, however the nodes' clocks differ.
            let last = others.iter().map(|other| other.opened_at_ms).max().unwrap_or(i64::MIN);
            let opened_at_ms = now_ms().max(last.saturating_add(1));
            let newcomer = Connection { id, session, generation, opened_at_ms };
            self.doorkeeper.rule.admits(&others, &newcomer)?;
            // Before the change is told: telling it may already end it.
            self.doorkeeper.here().insert(id, outbox);
            Ok(newcomer)
        };
        let entered = self.announcer.enter(&tenant, &token, who, admit).inspect_err(|_: &CloseCode| {
            // More than can be told of: it was let in by the rule and not by the announcer.
            self.doorkeeper.here().remove(&id);
            metrics::counter!("chasqui_edge_connections_refused_total", "reason" => "refused").increment(1);
        })?;
        self.count();
        Ok(Stay { roster: self.clone(), tenant, person: token, connection: entered })
    }

    /// Takes leave of the other nodes; nobody may be here any more.
    pub(crate) async fn farewell(&self) {
        self.stop.cancel();
        self.announcer.farewell().await;
    }

    fn count(&self) {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 people")]
        metrics::gauge!("chasqui_edge_presence_people").set(self.announcer.people() as f64);
    }
}

impl From<TooManyConnections> for CloseCode {
    fn from(_: TooManyConnections) -> Self {
        Self::CONNECTION_LIMIT
    }
}

/// A connection's place among the people of the cluster; dropping it leaves (BEN-14: the person is gone with its last).
#[derive(Debug)]
pub(crate) struct Stay {
    roster: Arc<Roster>,
    tenant: Tenant,
    person: ConversationToken,
    connection: Connection,
}

impl Stay {
    /// What the client brings when it comes back, to any node. Opaque to it.
    pub(crate) fn ticket(&self) -> Ticket {
        let Connection { session, generation, .. } = self.connection;
        Ticket { session, generation }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.roster.doorkeeper.here().remove(&self.connection.id);
        self.roster.announcer.leave(&self.tenant, &self.person, self.connection.id);
        self.roster.count();
    }
}

/// Hears of every change in the cluster and closes the connections of this node that must go for it.
#[derive(Debug)]
struct Doorkeeper {
    rule: Rule,
    /// The connections of this node that have not been told to go.
    here: Mutex<HashMap<Uuid, Arc<Outbox>>>,
    news: Arc<News>,
}

impl Listener for Doorkeeper {
    fn changed(&self, tenant: &Tenant, board: &Board, transitions: &[Transition]) {
        for transition in transitions {
            if transition.change != Change::Offline {
                self.judge(&board.connections(&transition.person));
            }
        }
        self.news.add(tenant, transitions);
    }
}

impl Doorkeeper {
    fn judge(&self, connections: &[Connection]) {
        for (id, code) in self.rule.losers(connections) {
            let Some(outbox) = self.here().remove(&id) else { continue };
            if code == CloseCode::FENCED {
                metrics::counter!("chasqui_edge_sessions_fenced_total").increment(1);
            } else {
                metrics::counter!("chasqui_edge_connections_refused_total", "reason" => "evicted")
                    .increment(1);
            }
            outbox.close(code);
        }
    }

    fn here(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Outbox>>> {
        // Nothing under this lock leaves it half changed.
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
