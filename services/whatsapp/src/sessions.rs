//! Which sessions there are, and how each one stands, as every replica sees them.

mod follow;
mod key;
pub(crate) mod machine;
mod numbers;
pub(crate) mod store;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, RwLock, RwLockReadGuard},
};

use chasqui_directory::Directory;
use chasqui_proto::{
    Tenant,
    subject::NodeToken,
    v1::{ChannelKind, Message, NumberEntry, Session, SessionStatus},
};
use tokio::sync::watch;

pub(crate) use key::{SessionKey, parse_tenant};
use numbers::Numbers;

/// What a linked session is called where nobody said otherwise.
const MAIN: &str = "main";
/// The most sessions that are kept; whoever wants another one is refused.
pub(crate) const SESSIONS_MAX: usize = 10_000;

/// Every session of every tenant. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sessions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    numbers: Numbers,
    /// The stored states, filled by `follow` and by owners; never shrinks, so it is bounded where sessions are made.
    states: RwLock<States>,
    changed: watch::Sender<u64>,
}

/// The states by tenant and name.
type States = HashMap<Tenant, BTreeMap<String, Known>>;

/// A state with its position in the stream.
#[derive(Clone, Debug)]
struct Known {
    session: Session,
    seq: u64,
}

impl Sessions {
    pub(crate) fn new(directory: &Directory, configured: Option<SessionKey>) -> Self {
        let (states, changed) = (RwLock::default(), watch::Sender::new(0));
        Self(Arc::new(Inner { numbers: Numbers::new(directory, configured), states, changed }))
    }

    /// Grows with every change of a state.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Grows with every change of the directory.
    pub(crate) fn directory_changed(&self) -> watch::Receiver<u64> {
        self.0.numbers.directory().changed()
    }

    /// Whether a tenant is suspended: nothing of it is sent.
    pub(crate) fn is_suspended(&self, tenant: &Tenant) -> bool {
        self.0.numbers.directory().is_suspended(tenant)
    }

    /// How a session stands, where it ever stood.
    pub(crate) fn state(&self, key: &SessionKey) -> Option<Session> {
        self.states().get(&key.tenant)?.get(key.session.as_str()).map(|known| known.session.clone())
    }

    /// Whether there is no room for another session.
    pub(crate) fn is_full(&self) -> bool {
        self.states().values().map(BTreeMap::len).sum::<usize>() >= SESSIONS_MAX
    }

    /// Takes over a state, unless a newer one is known.
    pub(crate) fn apply(&self, key: &SessionKey, session: Session, seq: u64) {
        let mut states = self.0.states.write().expect("no holder of this lock panics");
        let of_tenant = states.entry(key.tenant.clone()).or_default();
        if of_tenant.get(key.session.as_str()).is_none_or(|known| known.seq < seq) {
            of_tenant.insert(key.session.to_string(), Known { session, seq });
            drop(states);
            self.0.changed.send_modify(|count| *count += 1);
        }
    }

    /// The number of the Cloud API that a session is.
    pub(crate) fn number(&self, key: &SessionKey) -> Option<NumberEntry> {
        self.0.numbers.get(key)
    }

    /// What kind of session it is or would be; `None` for a number that is not the tenant's.
    pub(crate) fn kind(&self, key: &SessionKey) -> Option<ChannelKind> {
        if self.number(key).is_some() {
            Some(ChannelKind::WhatsappCloud)
        } else {
            (!key.is_numeric()).then_some(ChannelKind::WhatsappLinked)
        }
    }

    /// Whether a session is to have an owner: numbers always, linked devices until they are logged out.
    pub(crate) fn wants_owner(&self, key: &SessionKey) -> bool {
        self.can_send(key) && !self.is_suspended(&key.tenant)
    }

    /// Every session that is to have an owner.
    pub(crate) fn wanted(&self) -> Vec<SessionKey> {
        let mut wanted: Vec<SessionKey> = self.0.numbers.by_tenant().values().flatten().cloned().collect();
        let states = self.states();
        wanted.extend(
            states.iter().flat_map(|(tenant, sessions)| linked(tenant, sessions).map(|(key, _)| key)),
        );
        drop(states);
        wanted.retain(|key| self.wants_owner(key));
        wanted
    }

    /// The session of a tenant that speaks where nobody says which: its number with the lowest id, else its linked
    /// device that is connected (`main` before the others), else `main`.
    pub(crate) fn default_of(&self, tenant: &Tenant) -> SessionKey {
        if let Some(number) = self.0.numbers.by_tenant().get(tenant).and_then(|numbers| numbers.first()) {
            return number.clone();
        }
        let states = self.states();
        let all = states.get(tenant).into_iter().flat_map(|sessions| linked(tenant, sessions));
        let connected = all.filter(|(_, status)| *status == SessionStatus::Connected).map(|(key, _)| key);
        // They come by name.
        connected
            .min_by_key(|key| key.session.as_str() != MAIN)
            .unwrap_or_else(|| SessionKey { tenant: tenant.clone(), session: NodeToken::new(MAIN) })
    }

    /// The session that a message to a contact goes through; `None` when its tenant has no such one, or logged it out.
    pub(crate) fn of_message(&self, message: &Message) -> Option<(SessionKey, ChannelKind)> {
        let tenant: Tenant = message.tenant.parse().ok()?;
        let named = message.channel.as_ref().filter(|channel| {
            matches!(channel.kind(), ChannelKind::WhatsappCloud | ChannelKind::WhatsappLinked)
        });
        let key = match named.map(|channel| channel.id.as_str()).filter(|id| !id.is_empty()) {
            Some(id) => SessionKey::parse(&message.tenant, id).ok()?,
            None => self.default_of(&tenant),
        };
        let kind = self.kind(&key).filter(|_| self.can_send(&key))?;
        Some((key, kind))
    }

    /// The sessions of a tenant that can send.
    pub(crate) fn of_tenant(&self, tenant: &Tenant) -> Vec<SessionKey> {
        let mut all = self.0.numbers.by_tenant().get(tenant).cloned().unwrap_or_default();
        let states = self.states();
        let linked = states.get(tenant).into_iter().flat_map(|sessions| linked(tenant, sessions));
        all.extend(linked.filter(|(_, status)| lives(*status)).map(|(key, _)| key));
        all
    }

    fn can_send(&self, key: &SessionKey) -> bool {
        match self.kind(key) {
            Some(ChannelKind::WhatsappCloud) => true,
            Some(_) => self.state(key).is_some_and(|session| lives(session.status())),
            None => false,
        }
    }

    fn states(&self) -> RwLockReadGuard<'_, States> {
        self.0.states.read().expect("no holder of this lock panics")
    }
}

/// The linked sessions of a tenant, by name.
fn linked<'a>(
    tenant: &'a Tenant,
    sessions: &'a BTreeMap<String, Known>,
) -> impl Iterator<Item = (SessionKey, SessionStatus)> + 'a {
    let named = sessions.iter().map(|(name, known)| {
        let key = SessionKey { tenant: tenant.clone(), session: NodeToken::new(name) };
        (key, known.session.status())
    });
    named.filter(|(key, _)| !key.is_numeric())
}

/// Whether a linked session in this state is somebody's business.
pub(crate) fn lives(status: SessionStatus) -> bool {
    !matches!(status, SessionStatus::Unspecified | SessionStatus::Stopped | SessionStatus::LoggedOut)
}
