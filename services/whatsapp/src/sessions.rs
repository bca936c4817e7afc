//! Which sessions there are, and how each one stands, as every replica sees them.

mod follow;
mod key;
pub(crate) mod machine;
pub(crate) mod store;

use std::{
    collections::HashMap,
    sync::{Arc, RwLock, RwLockReadGuard},
};

use chasqui_directory::Directory;
use chasqui_proto::{
    Tenant,
    v1::{ChannelKind, Message, NumberEntry, Session, SessionStatus},
};
use tokio::sync::watch;

pub(crate) use key::{SessionKey, parse_tenant};

/// What a linked session is called where nobody said otherwise.
const MAIN: &str = "main";
/// The most sessions that are kept; whoever wants another one is refused.
pub(crate) const SESSIONS_MAX: usize = 10_000;

/// Every session of every tenant. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sessions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: Directory,
    /// The number of the configuration. The directory may know it as another tenant's.
    configured: Option<SessionKey>,
    /// The stored states, filled by `follow` and by owners; never shrinks, so it is bounded where sessions are made.
    states: RwLock<HashMap<SessionKey, Known>>,
    changed: watch::Sender<u64>,
}

/// A state with its position in the stream.
#[derive(Clone, Debug)]
struct Known {
    session: Session,
    seq: u64,
}

impl Sessions {
    pub(crate) fn new(directory: &Directory, configured: Option<SessionKey>) -> Self {
        let (states, changed) = (RwLock::default(), watch::Sender::new(0));
        Self(Arc::new(Inner { directory: directory.clone(), configured, states, changed }))
    }

    /// Grows with every change of a state.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Grows with every change of the directory.
    pub(crate) fn directory_changed(&self) -> watch::Receiver<u64> {
        self.0.directory.changed()
    }

    /// Whether a tenant is suspended: nothing of it is sent.
    pub(crate) fn is_suspended(&self, tenant: &Tenant) -> bool {
        self.0.directory.is_suspended(tenant)
    }

    /// How a session stands, where it ever stood.
    pub(crate) fn state(&self, key: &SessionKey) -> Option<Session> {
        self.states().get(key).map(|known| known.session.clone())
    }

    /// Whether there is no room for another session.
    pub(crate) fn is_full(&self) -> bool {
        self.states().len() >= SESSIONS_MAX
    }

    /// Takes over a state, unless a newer one is known.
    pub(crate) fn apply(&self, key: SessionKey, session: Session, seq: u64) {
        let mut states = self.0.states.write().expect("no holder of this lock panics");
        if states.get(&key).is_none_or(|known| known.seq < seq) {
            states.insert(key, Known { session, seq });
            drop(states);
            self.0.changed.send_modify(|count| *count += 1);
        }
    }

    /// The number of the Cloud API that a session is.
    pub(crate) fn number(&self, key: &SessionKey) -> Option<NumberEntry> {
        let id = key.session.as_str();
        match self.0.directory.number(id) {
            Some(number) => (number.tenant == key.tenant.as_str()).then_some(number),
            None if self.0.configured.as_ref() == Some(key) => Some(NumberEntry {
                tenant: key.tenant.to_string(),
                id: id.to_owned(),
                ..NumberEntry::default()
            }),
            None => None,
        }
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
        let is_wanted = match self.kind(key) {
            Some(ChannelKind::WhatsappCloud) => true,
            Some(_) => self.states().get(key).is_some_and(|known| lives(known.session.status())),
            None => false,
        };
        is_wanted && !self.is_suspended(&key.tenant)
    }

    /// Every session that is to have an owner.
    pub(crate) fn wanted(&self) -> Vec<SessionKey> {
        let mut wanted = self.numbers(|_| true);
        let linked: Vec<SessionKey> = self.states().keys().filter(|key| !key.is_numeric()).cloned().collect();
        wanted.extend(linked);
        wanted.retain(|key| self.wants_owner(key));
        wanted
    }

    /// The session of a tenant that speaks where nobody says which: its number with the lowest id, else its linked
    /// device that is connected (`main` before the others), else `main`.
    pub(crate) fn default_of(&self, tenant: &Tenant) -> SessionKey {
        let numbers = self.numbers(|number| number.tenant == *tenant);
        // By value: the ids differ in length.
        if let Some(first) = numbers.into_iter().min_by_key(|key| (key.session.as_str().len(), name_of(key)))
        {
            return first;
        }
        let states = self.states();
        let connected = states.iter().filter(|(key, known)| {
            key.tenant == *tenant && !key.is_numeric() && known.session.status() == SessionStatus::Connected
        });
        let first =
            connected.map(|(key, _)| key).min_by_key(|key| (key.session.as_str() != MAIN, name_of(key)));
        first.cloned().unwrap_or_else(|| SessionKey {
            tenant: tenant.clone(),
            session: chasqui_proto::subject::NodeToken::new(MAIN),
        })
    }

    /// The session that a message to a contact goes through; `None` when its tenant has no such one, or logged it out.
    pub(crate) fn of_message(&self, message: &Message) -> Option<(SessionKey, ChannelKind)> {
        let tenant: Tenant = message.tenant.parse().ok()?;
        let channel = message.channel.clone().unwrap_or_default();
        let key = match channel.kind() {
            ChannelKind::WhatsappCloud | ChannelKind::WhatsappLinked if !channel.id.is_empty() => {
                SessionKey::parse(&message.tenant, &channel.id).ok()?
            }
            _ => self.default_of(&tenant),
        };
        let kind = self.kind(&key).filter(|_| self.can_send(&key))?;
        Some((key, kind))
    }

    /// The sessions of a tenant that can send.
    pub(crate) fn of_tenant(&self, tenant: &Tenant) -> Vec<SessionKey> {
        let mut all = self.numbers(|number| number.tenant == *tenant);
        let linked = |key: &&SessionKey| key.tenant == *tenant && !key.is_numeric();
        all.extend(self.states().keys().filter(linked).cloned());
        all.retain(|key| self.can_send(key));
        all
    }

    fn can_send(&self, key: &SessionKey) -> bool {
        match self.kind(key) {
            Some(ChannelKind::WhatsappCloud) => true,
            Some(_) => self.states().get(key).is_some_and(|known| lives(known.session.status())),
            None => false,
        }
    }

    /// The numbers whose names match, each under the tenant it belongs to.
    fn numbers(&self, matches: impl Fn(&SessionKey) -> bool) -> Vec<SessionKey> {
        let registered = self.0.directory.numbers();
        let parsed =
            registered.iter().filter_map(|number| SessionKey::parse(&number.tenant, &number.id).ok());
        let mut numbers: Vec<SessionKey> = parsed.filter(SessionKey::is_numeric).collect();
        let configured = self.0.configured.iter();
        numbers.extend(
            configured.filter(|key| self.0.directory.number(name_of(key).as_str()).is_none()).cloned(),
        );
        numbers.retain(matches);
        numbers
    }

    fn states(&self) -> RwLockReadGuard<'_, HashMap<SessionKey, Known>> {
        self.0.states.read().expect("no holder of this lock panics")
    }
}

/// Whether a linked session in this state is somebody's business.
pub(crate) fn lives(status: SessionStatus) -> bool {
    !matches!(status, SessionStatus::Unspecified | SessionStatus::Stopped | SessionStatus::LoggedOut)
}

fn name_of(key: &SessionKey) -> String {
    key.session.to_string()
}
