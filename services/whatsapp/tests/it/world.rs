//! One or more replicas of the service, their broker, and everybody who asks.

use std::time::Duration;

use anyhow::Result;
use async_nats::jetstream::stream::DirectGetErrorKind;
use chasqui_kit::{
    Bus, Code, Platform, TraceContext,
    bus::NatsConfig,
    door::Door,
    health::Health,
    lease::{Held, Leases},
    publish::Fact,
    request::RequestError,
    telemetry::Metrics,
};
use chasqui_proto::{
    Tenant,
    service::{Endpoint, SESSIONS_CLOSE, SESSIONS_GET, SESSIONS_OPEN},
    stream::{DIRECTORY_BUCKET, LEASES, STATE, session_lease, tenant_key},
    subject::{self, NodeToken},
    v1::{
        CloseSession, DirectoryEntry, GetSession, OpenOwned, OpenSession, OwnerRequest, Session,
        SessionStatus, TenantEntry, directory_entry::Entry, owner_request::What,
    },
};
use chasqui_testkit::{NatsServer, wait_for};
use chasqui_whatsapp::{Config, Error};
use prost::Message;
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub(crate) const TENANT: &str = "default";
pub(crate) const SESSION: &str = "main";
pub(crate) const CONTACT: &str = "5491100000001";
pub(crate) const PHONE: &str = "5491100000090";
/// How long a fact may take to become true.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The broker and whoever asks.
pub(crate) struct World {
    pub(crate) nats: NatsServer,
    /// The test's own connection.
    pub(crate) bus: Bus,
    /// Where replicas keep files.
    media: tempfile::TempDir,
}

/// One replica, in a runtime of its own: it can be ended as `kill -9` ends a process.
pub(crate) struct Replica {
    pub(crate) node: NodeToken,
    runtime: Option<Runtime>,
    stop: CancellationToken,
    service: JoinHandle<Result<(), Error>>,
}

impl World {
    pub(crate) async fn start() -> Result<Self> {
        let nats = NatsServer::start().await?;
        let bus = Bus::connect("test", &nats_config(&nats)).await?;
        Ok(Self { nats, bus, media: tempfile::tempdir()? })
    }

    /// A replica that is ready.
    pub(crate) async fn replica(&self, node: &str, mut config: Config) -> Result<Replica> {
        config.media.store = self.media.path().display().to_string();
        let (nats, node) = (nats_config(&self.nats), NodeToken::new(node));
        let (health, stop) = (Health::default(), CancellationToken::new());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (board, until, name) = (health.clone(), stop.clone(), node.clone());
        let service = runtime.spawn(async move {
            let bus = Bus::connect("whatsapp", &nats).await.expect("the broker is there");
            let door = Door::new(&board, &Metrics::install());
            let tenant = TENANT.parse().expect("it is a tenant's name");
            let platform = Platform { bus, door, health: board, node: name, tenant };
            chasqui_whatsapp::run(config, platform, until).await
        });
        let mut replica = Replica { node, runtime: Some(runtime), stop, service };
        let settled = async || (health.is_ready() || replica.service.is_finished()).then_some(());
        wait_for(SOON, "the replica is ready", settled).await;
        if replica.service.is_finished() {
            (&mut replica.service).await??;
        }
        Ok(replica)
    }

    pub(crate) async fn open(&self, session: &str) -> Result<Session, RequestError> {
        let question = OpenSession { tenant: TENANT.to_owned(), session: session.to_owned() };
        self.ask(SESSIONS_OPEN, &question).await
    }

    pub(crate) async fn close(&self, session: &str) -> Result<Session, RequestError> {
        let question = CloseSession { tenant: TENANT.to_owned(), session: session.to_owned() };
        self.ask(SESSIONS_CLOSE, &question).await
    }

    pub(crate) async fn get(&self, session: &str) -> Result<Session, RequestError> {
        let question = GetSession { tenant: TENANT.to_owned(), session: session.to_owned() };
        self.ask(SESSIONS_GET, &question).await
    }

    pub(crate) async fn ask<Q: Message, A: Message + Default>(
        &self,
        endpoint: Endpoint<Q, A>,
        question: &Q,
    ) -> Result<A, RequestError> {
        self.bus.ask(endpoint, question, TraceContext::root()).await
    }

    /// The state of a session in the stream.
    pub(crate) async fn state(&self, session: &str) -> Option<Session> {
        let stream = self.bus.jetstream().get_stream_no_info(STATE.name).await.ok()?;
        let subject = subject::sessions_updated(&tenant(), &NodeToken::new(session));
        match stream.direct_get_last_for_subject(subject.as_str()).await {
            Ok(found) => Some(Session::decode(found.payload).expect("it is a session")),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => None,
            Err(error) => panic!("the stream cannot be read: {error}"),
        }
    }

    /// Waits until a session stands so.
    pub(crate) async fn becomes(&self, session: &str, status: SessionStatus) -> Session {
        let claim = format!("session {session} is {}", status.name());
        let stands = async || self.state(session).await.filter(|state| state.status() == status);
        wait_for(SOON, &claim, stands).await
    }

    /// Stores a fact, as another service does.
    pub(crate) async fn publish<P: prost::Name>(
        &self,
        subject: chasqui_proto::Subject<P>,
        payload: &P,
        id: &str,
    ) {
        let fact = Fact::new(subject, payload, id, TraceContext::root());
        self.bus.publish(fact).await.expect("the stream takes it");
    }

    /// Suspends the tenant, as persistence writes it into the directory.
    pub(crate) async fn suspend(&self, suspended: bool) {
        let entry = TenantEntry { tenant: TENANT.to_owned(), suspended, ..TenantEntry::default() };
        let entry = DirectoryEntry { entry: Some(Entry::Tenant(entry)) };
        let bucket = self.bus.jetstream().get_key_value(DIRECTORY_BUCKET).await.expect("it is there");
        let value = entry.encode_to_vec().into();
        bucket.put(tenant_key(&tenant()), value).await.expect("the bucket takes it");
    }

    /// Which replica holds a session's lease.
    pub(crate) async fn holder(&self, session: &str) -> Option<String> {
        let leases = Leases::open(&self.bus, &NodeToken::new("test")).await.expect("the bucket is there");
        let key = session_lease(&tenant(), &NodeToken::new(session));
        leases.holder(&key).await.expect("the bucket can be read")
    }

    /// Takes the lease of a session away from whoever holds it.
    pub(crate) async fn take_lease(&self, session: &str) -> Held {
        let leases = Leases::open(&self.bus, &NodeToken::new("test")).await.expect("the bucket is there");
        let key = session_lease(&tenant(), &NodeToken::new(session));
        let bucket = self.bus.jetstream().get_key_value(LEASES.name).await.expect("it is there");
        wait_for(SOON, "the lease is the test's", async || {
            bucket.delete(&key).await.expect("the bucket takes it");
            leases.take(&key).await.expect("the bucket can be read")
        })
        .await
    }

    /// Waits until somebody owns a session and answers for it.
    pub(crate) async fn owned(&self, session: &str) -> String {
        let subject = subject::whatsapp_owner(&tenant(), &NodeToken::new(session));
        let open = OwnerRequest { what: Some(What::Open(OpenOwned {})) };
        wait_for(SOON, "somebody owns the session", async || {
            let wait = Duration::from_secs(1);
            let trace = TraceContext::root();
            let asked = self.bus.ask_subject::<_, Session>(subject.as_str(), &open, trace, wait).await;
            asked.ok()?;
            self.holder(session).await
        })
        .await
    }
}

impl Replica {
    /// Ends it as `kill -9` does: nothing is finished, nothing is given back.
    pub(crate) fn kill(mut self) {
        self.runtime.take().expect("it runs").shutdown_background();
    }

    /// Stops it softly and waits for its end.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        let ended = tokio::time::timeout(SOON, &mut self.service).await??;
        self.runtime.take().expect("it runs").shutdown_background();
        Ok(ended?)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Limits that make a story of minutes one of seconds.
pub(crate) fn config() -> Config {
    Config { session_timeout_ms: 5_000, ..Config::default() }
}

pub(crate) fn tenant() -> Tenant {
    TENANT.parse().expect("it is a tenant's name")
}

/// A connection for somebody who is not the test.
pub(crate) async fn connect(nats: &NatsServer, name: &str) -> Bus {
    Bus::connect(name, &nats_config(nats)).await.expect("the broker is there")
}

fn nats_config(nats: &NatsServer) -> NatsConfig {
    NatsConfig { url: nats.url(), ..NatsConfig::default() }
}

/// Code and text of a refusal.
pub(crate) fn refusal<A: std::fmt::Debug>(answer: Result<A, RequestError>) -> (Code, String) {
    match answer.expect_err("it is refused") {
        RequestError::Refused { code, message } => (code, message),
        other => panic!("not refused but not answered: {other}"),
    }
}
