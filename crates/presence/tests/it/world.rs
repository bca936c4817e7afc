//! Nodes of a test.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use chasqui_kit::{Bus, bus::NatsConfig};
use chasqui_presence::{
    Announcer, Board, Change, Connection, Listener, Transition, Who, announcer::TooManyConnections,
};
use chasqui_proto::{ConversationToken, Tenant, subject, subject::NodeToken, v1::PersonKind};
use chasqui_testkit::{NatsServer, wait_for};
use uuid::Uuid;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn tenant() -> Tenant {
    "default".parse().unwrap()
}

fn person(user: &str) -> ConversationToken {
    format!("web_{user}").parse().unwrap()
}

pub(crate) struct World {
    pub(crate) nats: NatsServer,
    pub(crate) bus: Bus,
}

impl World {
    pub(crate) async fn start() -> Self {
        let nats = NatsServer::start().await.unwrap();
        let bus = connect(&nats).await;
        Self { nats, bus }
    }

    pub(crate) async fn three(&self) -> [Node; 3] {
        [self.node("one").await, self.node("two").await, self.node("three").await]
    }

    async fn node(&self, name: &str) -> Node {
        let bus = connect(&self.nats).await;
        let told = Arc::new(Diary::default());
        let announcer = Announcer::start(bus.clone(), NodeToken::new(name), told.clone());
        // The test asks it at once.
        wait_for(DEADLINE, "the node answers", async || answers(&self.bus, name).await.then_some(())).await;
        Node { announcer, told, bus }
    }
}

async fn answers(bus: &Bus, node: &str) -> bool {
    let subject = subject::edge_presence(&NodeToken::new(node));
    bus.client().request(subject.as_str().to_owned(), Bytes::new()).await.is_ok()
}

async fn connect(nats: &NatsServer) -> Bus {
    let config = NatsConfig { url: nats.url(), ..NatsConfig::default() };
    Bus::connect("test", &config).await.unwrap()
}

/// Writes down what a node is told.
#[derive(Debug, Default)]
struct Diary(Mutex<Vec<(String, Change)>>);

impl Listener for Diary {
    fn changed(&self, _: &Tenant, _: &Board, transitions: &[Transition]) {
        let told = transitions.iter().map(|each| (each.who.user_id.to_string(), each.change));
        self.0.lock().unwrap().extend(told);
    }
}

pub(crate) struct Node {
    announcer: Announcer,
    told: Arc<Diary>,
    bus: Bus,
}

impl Node {
    pub(crate) fn enter(&self, user: &str) -> Uuid {
        let who = Who { user_id: user.into(), kind: PersonKind::User, agent_id: None };
        let connection =
            Connection { id: Uuid::now_v7(), session: Uuid::now_v7(), generation: 1, opened_at_ms: 0 };
        let entered =
            self.announcer.enter(&tenant(), &person(user), who, |_| Ok::<_, TooManyConnections>(connection));
        entered.unwrap().id
    }

    pub(crate) fn leave(&self, user: &str, connection: Uuid) {
        self.announcer.leave(&tenant(), &person(user), connection);
    }

    pub(crate) fn people(&self) -> usize {
        self.announcer.people()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.bus.is_connected()
    }

    /// Everything it was told so far.
    pub(crate) fn told(&self) -> Vec<(String, Change)> {
        self.told.0.lock().unwrap().clone()
    }

    /// Waits until exactly these are there.
    pub(crate) async fn sees(&self, users: &[&str]) {
        wait_for(DEADLINE, &format!("exactly {} are there", users.len()), async || {
            let online = self.announcer.watcher().online(&tenant());
            online.iter().map(|(_, who)| &*who.user_id).eq(users.iter().copied()).then_some(())
        })
        .await;
    }

    /// Waits until a person has so many connections.
    pub(crate) async fn sees_connections(&self, user: &str, count: usize) {
        wait_for(DEADLINE, &format!("{user} has {count} connections"), async || {
            let connections = self.announcer.watcher().connections(&tenant(), &person(user));
            (connections.len() == count).then_some(())
        })
        .await;
    }

    pub(crate) async fn stops(self) {
        self.announcer.farewell().await;
    }
}
