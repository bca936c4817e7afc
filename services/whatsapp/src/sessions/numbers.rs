//! The numbers of the Cloud API, and whose they are.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use chasqui_directory::Directory;
use chasqui_proto::{Tenant, v1::NumberEntry};
use tokio::sync::watch;

use super::SessionKey;

/// The numbers of the directory and of the configuration.
#[derive(Debug)]
pub(super) struct Numbers {
    directory: Directory,
    /// The number of the configuration. The directory may know it as another tenant's.
    configured: Option<SessionKey>,
    /// Counts the changes of the directory.
    version: watch::Receiver<u64>,
    /// What was read when, since every message asks.
    read: RwLock<(Option<u64>, Arc<ByTenant>)>,
}

/// The numbers of each tenant, the lowest id first.
pub(super) type ByTenant = HashMap<Tenant, Vec<SessionKey>>;

impl Numbers {
    pub(super) fn new(directory: &Directory, configured: Option<SessionKey>) -> Self {
        let version = directory.changed();
        Self { directory: directory.clone(), configured, version, read: RwLock::default() }
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The number that a session is, if it is its tenant's.
    pub(super) fn get(&self, key: &SessionKey) -> Option<NumberEntry> {
        let id = key.session.as_str();
        match self.directory.number(id) {
            Some(number) => (number.tenant == key.tenant.as_str()).then_some(number),
            None if self.configured.as_ref() == Some(key) => Some(NumberEntry {
                tenant: key.tenant.to_string(),
                id: id.to_owned(),
                ..NumberEntry::default()
            }),
            None => None,
        }
    }

    /// All of them.
    pub(super) fn by_tenant(&self) -> Arc<ByTenant> {
        // Before it is read: what changes meanwhile is read again.
        let version = *self.version.borrow();
        let (read_at, read) = self.read.read().expect("no holder of this lock panics").clone();
        if read_at == Some(version) {
            return read;
        }
        let read = Arc::new(self.read());
        *self.read.write().expect("no holder of this lock panics") = (Some(version), read.clone());
        read
    }

    fn read(&self) -> ByTenant {
        let registered = self.directory.numbers();
        let parsed =
            registered.iter().filter_map(|number| SessionKey::parse(&number.tenant, &number.id).ok());
        let configured =
            self.configured.iter().filter(|key| self.directory.number(key.session.as_str()).is_none());
        let mut numbers = ByTenant::new();
        for key in parsed.filter(SessionKey::is_numeric).chain(configured.cloned()) {
            numbers.entry(key.tenant.clone()).or_default().push(key);
        }
        for keys in numbers.values_mut() {
            // By value: the ids differ in length.
            keys.sort_by_key(|key| (key.session.as_str().len(), key.session.to_string()));
        }
        numbers
    }
}
