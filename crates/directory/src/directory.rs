//! The questions.

use std::sync::{Arc, RwLock};

use chasqui_kit::{Bus, clock};
use chasqui_proto::{
    ConversationToken, Tenant, stream,
    v1::{
        AgentEntry, ApiKeyEntry, EntryKind, ListenerEntry, NumberEntry, TenantEntry, UserEntry,
        directory_entry::Entry,
    },
};
use subtle::ConstantTimeEq;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    api_key,
    entries::{Change, Entries},
    place,
    watch::keep_watching,
};

/// Who belongs to the tenants, as last heard. Cheap to clone; it is kept up to date until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Directory {
    held: Arc<Held>,
    /// Ends the reading with the last clone.
    _watching: Arc<AbortOnDropHandle<()>>,
}

/// What the reader fills and the questions read.
#[derive(Debug)]
pub(crate) struct Held {
    entries: RwLock<Entries>,
    ready: watch::Sender<bool>,
    changed: watch::Sender<u64>,
}

impl Directory {
    /// Begins to read entries of these kinds. It never fails: until the bucket is there it knows nobody and is not
    /// ready. Who asks for keys also gets tenants, whose suspension ends their keys.
    pub fn open(bus: &Bus, kinds: &[EntryKind]) -> Self {
        let mut kinds = kinds.to_vec();
        if kinds.contains(&EntryKind::ApiKey) && !kinds.contains(&EntryKind::Tenant) {
            kinds.push(EntryKind::Tenant);
        }
        let held = Arc::new(Held {
            entries: RwLock::default(),
            ready: watch::Sender::new(false),
            changed: watch::Sender::new(0),
        });
        let watching = tokio::spawn(keep_watching(bus.clone(), kinds, held.clone()));
        Self { held, _watching: Arc::new(AbortOnDropHandle::new(watching)) }
    }

    /// Whether the first state was complete. It stays so while the broker is away.
    pub fn is_ready(&self) -> bool {
        *self.held.ready.borrow()
    }

    /// Returns once the first state is complete.
    pub async fn ready(&self) {
        let mut ready = self.held.ready.subscribe();
        ready.wait_for(|ready| *ready).await.expect("the sender lives as long as this handle");
    }

    /// Grows with every change; several that come together are told once. Look again at whomever you hold.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.held.changed.subscribe()
    }

    /// A tenant. Not every tenant has an entry; who has none is not suspended.
    pub fn tenant(&self, tenant: &Tenant) -> Option<TenantEntry> {
        match self.get(&stream::tenant_key(tenant))? {
            Entry::Tenant(entry) => Some(entry),
            _ => None,
        }
    }

    /// Whether a tenant is known and suspended.
    pub fn is_suspended(&self, tenant: &Tenant) -> bool {
        self.tenant(tenant).is_some_and(|entry| entry.suspended)
    }

    /// The user who is this person; see [`person`](crate::person).
    pub fn user(&self, tenant: &Tenant, person: &ConversationToken) -> Option<UserEntry> {
        match self.get(&stream::user_key(tenant, person))? {
            Entry::User(entry) => Some(entry),
            _ => None,
        }
    }

    /// The agent that this person is.
    pub fn agent_of_user(&self, tenant: &Tenant, person: &ConversationToken) -> Option<AgentEntry> {
        match self.get(&stream::agent_key(tenant, person))? {
            Entry::Agent(entry) => Some(entry),
            _ => None,
        }
    }

    /// An agent by its own id.
    pub fn agent(&self, tenant: &Tenant, id: &str) -> Option<AgentEntry> {
        self.held.read().agent(tenant, id)
    }

    /// The entry of a machine's key, by the lower-case hexadecimal SHA-256 of it, expired or not.
    pub fn api_key(&self, sha256: &str) -> Option<ApiKeyEntry> {
        match self.get(&stream::api_key_key(sha256))? {
            Entry::ApiKey(entry) => Some(entry),
            _ => None,
        }
    }

    /// Whose key was presented: none when nobody's, when it has expired, or when its tenant is suspended. How long it
    /// takes tells nothing about keys that are nearly right: what is looked up and compared is the hash.
    pub fn check_key(&self, presented: &str) -> Option<ApiKeyEntry> {
        if !api_key::is_shaped(presented) {
            return None;
        }
        let sha256 = api_key::sha256_of(presented);
        let entry = self.api_key(&sha256)?;
        let is_same = bool::from(entry.sha256.as_bytes().ct_eq(sha256.as_bytes()));
        let is_expired = entry.expires_at_ms != 0 && entry.expires_at_ms <= clock::now_ms();
        let tenant: Tenant = entry.tenant.parse().ok()?;
        (is_same && !is_expired && !self.is_suspended(&tenant)).then_some(entry)
    }

    /// The tenant that a provider's number belongs to (WhatsApp: the phone number id of the Graph API).
    pub fn tenant_of_number(&self, id: &str) -> Option<Tenant> {
        self.number(id)?.tenant.parse().ok()
    }

    /// A provider's number.
    pub fn number(&self, id: &str) -> Option<NumberEntry> {
        match self.get(&stream::number_key(&place::number(id)))? {
            Entry::Number(entry) => Some(entry),
            _ => None,
        }
    }

    /// Every number of every tenant.
    pub fn numbers(&self) -> Vec<NumberEntry> {
        let number = |entry| if let Entry::Number(number) = entry { Some(number) } else { None };
        self.held.read().below(stream::NUMBERS_PREFIX).filter_map(number).collect()
    }

    /// A listener of a tenant.
    pub fn listener(&self, tenant: &Tenant, id: &str) -> Option<ListenerEntry> {
        match self.get(&stream::listener_key(tenant, id))? {
            Entry::Listener(entry) => Some(entry),
            _ => None,
        }
    }

    /// Every listener of a tenant, disabled ones too.
    pub fn listeners(&self, tenant: &Tenant) -> Vec<ListenerEntry> {
        let listener = |entry| if let Entry::Listener(listener) = entry { Some(listener) } else { None };
        self.held.read().below(&stream::listeners_prefix(tenant)).filter_map(listener).collect()
    }

    fn get(&self, key: &str) -> Option<Entry> {
        self.held.read().get(key)
    }
}

impl Held {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Entries> {
        self.entries.read().expect("no holder of this lock panics")
    }

    /// A whole state takes the place of what was known.
    pub(crate) fn replace(&self, entries: Entries) {
        *self.entries.write().expect("no holder of this lock panics") = entries;
        self.ready.send_replace(true);
        self.tell();
    }

    pub(crate) fn apply(&self, changes: Vec<Change>) {
        let mut entries = self.entries.write().expect("no holder of this lock panics");
        for change in changes {
            entries.apply(change);
        }
        drop(entries);
        self.tell();
    }

    fn tell(&self) {
        let count = u32::try_from(self.read().len()).unwrap_or(u32::MAX);
        metrics::gauge!("chasqui_directory_entries").set(f64::from(count));
        self.changed.send_modify(|count| *count += 1);
    }
}
