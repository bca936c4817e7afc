//! The connector of linked devices: it keeps the pairing of each number, tells the session's owner what becomes of it, and
//! does what the owner commands. It speaks only NATS; the HTTP routes are the hands on the phone.

mod account;
mod commands;
mod events;
mod receiving;
mod routes;
mod sending;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use chasqui_kit::{
    Bus, Code, Coded,
    clock::now_ms,
    publish::PublishError,
    serve::{Responder, ServeError},
};
use chasqui_proto::{
    Tenant,
    service::{LINKED, LINKS_START},
    subject::{self, NodeToken},
    v1,
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Config, world::World};
use account::Account;
pub(crate) use routes::routes;

/// The most sessions at a time.
const SESSIONS_MAX: usize = 10_000;
/// What the connector is called in logs.
const CONNECTOR: &str = "chasqui simulator";

/// Which number: the tenant that owns it, and its name there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    tenant: Tenant,
    session: NodeToken,
}

/// Why the connector does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    #[error("{0}")]
    Invalid(String),
    #[error("session {0} is not {1}")]
    WrongState(String, &'static str),
    #[error("there are {SESSIONS_MAX} sessions already")]
    Full,
    #[error("the session has an owner with a higher ownership than {0}")]
    Superseded(u64),
    #[error("NATS is away: {0}")]
    Away(String),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Coded for DeviceError {
    fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::InvalidInput,
            Self::WrongState(..) | Self::Superseded(_) => Code::Conflict,
            Self::Full | Self::Away(_) => Code::Unavailable,
            Self::Publish(error) => error.code(),
        }
    }
}

/// Every simulated number.
#[derive(Debug)]
pub(crate) struct Devices {
    bus: Bus,
    world: Arc<World>,
    /// Where the phone's pages are: what a QR leads to.
    base_url: String,
    qr_lifetime_ms: i64,
    known: Mutex<HashMap<Key, Device>>,
    /// Held while a session is started, so that two owners do not start it twice.
    starting: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
}

/// A number, and the tasks that serve it while an owner has it started.
#[derive(Debug, Default)]
struct Device {
    account: Account,
    running: Option<Running>,
}

#[derive(Clone, Debug)]
struct Running {
    /// Ends the tasks.
    stop: CancellationToken,
    /// Wakes who tells the owner.
    changed: watch::Sender<()>,
}

impl Devices {
    pub(crate) fn new(bus: Bus, config: &Config, world: Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            bus,
            world,
            base_url: format!("http://{}:{}", config.host, config.port),
            qr_lifetime_ms: i64::try_from(config.qr_lifetime_ms).expect("the configuration bounds it"),
            known: Mutex::default(),
            starting: tokio::sync::Mutex::default(),
            tasks: TaskTracker::new(),
        })
    }

    /// Takes sessions, as a micro service.
    pub(crate) async fn answer(self: &Arc<Self>) -> Result<Responder, ServeError> {
        let stop = self.world.stop.clone();
        let responder = Responder::start(&self.bus, LINKED, "Simulated linked devices", stop).await?;
        let devices = self.clone();
        let start = move |question: v1::StartLink, _| {
            let devices = devices.clone();
            async move { devices.start(&question).await }
        };
        responder.endpoint(LINKS_START, start).await?;
        Ok(responder)
    }

    /// Waits until nothing is told or sent any more.
    pub(crate) async fn stopped(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn start(self: &Arc<Self>, question: &v1::StartLink) -> Result<v1::LinkStarted, DeviceError> {
        let key = key(&question.tenant, &question.session)?;
        let starting = self.starting.lock().await;
        let running = {
            let mut devices = self.known();
            if devices.len() >= SESSIONS_MAX && !devices.contains_key(&key) {
                return Err(DeviceError::Full);
            }
            let device = devices.entry(key.clone()).or_default();
            if !device.account.obeys(question.ownership) {
                return Err(DeviceError::Superseded(question.ownership));
            }
            device.running.clone()
        };
        if running.is_none() {
            self.run(&key).await?;
        }
        drop(starting);
        self.change(&key, |account, now| account.start(&self.url(&key), self.qr_lifetime_ms, now));
        Ok(v1::LinkStarted { connector: CONNECTOR.to_owned() })
    }

    /// Listens for commands and starts telling what becomes of the session.
    async fn run(self: &Arc<Self>, key: &Key) -> Result<(), DeviceError> {
        let away = |error: &dyn std::fmt::Display| DeviceError::Away(error.to_string());
        let subject = subject::linked_commands(&key.tenant, &key.session);
        let commands =
            self.bus.client().subscribe(subject.as_str().to_owned()).await.map_err(|error| away(&error))?;
        // The owner's first command may come right after the answer.
        self.bus.barrier().await.map_err(|error| away(&error))?;
        let running = Running { stop: self.world.stop.child_token(), changed: watch::Sender::default() };
        self.known().entry(key.clone()).or_default().running = Some(running.clone());
        self.tasks.spawn(commands::obey(self.clone(), key.clone(), commands, running.stop.clone()));
        self.tasks.spawn(events::tell(self.clone(), key.clone(), running));
        Ok(())
    }

    /// Lets the tasks of a session end.
    fn rest(&self, key: &Key) {
        let running = self.known().get_mut(key).and_then(|device| device.running.take());
        if let Some(running) = running {
            running.stop.cancel();
        }
    }

    /// Changes an account that is known, and wakes who tells its owner when there is something to tell or to wait for.
    fn change<R>(&self, key: &Key, change: impl FnOnce(&mut Account, i64) -> R) -> Option<R> {
        let mut devices = self.known();
        let device = devices.get_mut(key)?;
        let agenda = |account: &Account| (account.news().map(|(event, _)| *event), account.deadline_ms());
        let before = agenda(&device.account);
        let changed = change(&mut device.account, now_ms());
        if let (Some(running), true) = (&device.running, before != agenda(&device.account)) {
            running.changed.send_replace(());
        }
        Some(changed)
    }

    fn url(&self, key: &Key) -> String {
        format!("{}/linked/{}/{}", self.base_url, key.tenant, key.session)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Device>> {
        self.known.lock().expect("no holder of this lock panics")
    }
}

impl Key {
    /// The number's name in the history.
    fn number(&self) -> String {
        format!("{}/{}", self.tenant, self.session)
    }
}

fn key(tenant: &str, session: &str) -> Result<Key, DeviceError> {
    let tenant = tenant.parse().map_err(|error| DeviceError::Invalid(format!("tenant: {error}")))?;
    if session.is_empty() || NodeToken::new(session).as_str() != session {
        return Err(DeviceError::Invalid("session: expected 1 to 64 letters, digits or `-`".to_owned()));
    }
    Ok(Key { tenant, session: NodeToken::new(session) })
}
