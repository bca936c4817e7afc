//! The listener as it is registered, and its end.

use chasqui_directory::Directory;
use chasqui_kit::{Bus, TraceContext, clock, request::RequestError};
use chasqui_proto::{
    Tenant, service,
    v1::{DirectoryEntry, ListenerEntry, PutEntry, directory_entry},
};
use tokio::sync::watch;

/// A listener's entry, as far as its lane is concerned.
#[derive(Debug)]
pub(crate) struct Registered {
    directory: Directory,
    tenant: Tenant,
    id: String,
    disabling: Option<Disabling>,
    /// When the entry was changed last, as far as was looked.
    updated_at_ms: i64,
}

/// A listener that is to be disabled, until the directory says so.
#[derive(Debug)]
struct Disabling {
    reason: &'static str,
    /// The entry that was found wanting. A newer one is somebody's decision, and is judged anew.
    updated_at_ms: i64,
    is_stored: bool,
}

/// Why nothing is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Removed,
    Disabled,
    Suspended,
}

impl Ended {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "the listener was removed",
            Self::Disabled => "the listener is disabled",
            Self::Suspended => "the tenant is suspended",
        }
    }
}

impl Registered {
    pub(crate) fn new(directory: Directory, tenant: Tenant, id: &str) -> Self {
        let mut registered = Self { directory, tenant, id: id.to_owned(), disabling: None, updated_at_ms: 0 };
        registered.is_renewed();
        registered
    }

    /// The entry, if events are to be posted to it.
    pub(crate) fn entry(&self) -> Result<ListenerEntry, Ended> {
        if self.directory.is_suspended(&self.tenant) {
            return Err(Ended::Suspended);
        }
        let entry = self.directory.listener(&self.tenant, &self.id).ok_or(Ended::Removed)?;
        let is_ending = self.disabling.as_ref().is_some_and(|it| entry.updated_at_ms <= it.updated_at_ms);
        if entry.disabled || is_ending { Err(Ended::Disabled) } else { Ok(entry) }
    }

    /// Whether it was registered anew, or changed, since this was asked last.
    pub(crate) fn is_renewed(&mut self) -> bool {
        let entry = self.directory.listener(&self.tenant, &self.id);
        let updated_at_ms = entry.map_or(0, |entry| entry.updated_at_ms);
        updated_at_ms > std::mem::replace(&mut self.updated_at_ms, updated_at_ms)
    }

    /// Grows when entries of the directory change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.directory.changed()
    }

    /// Nothing is posted to it from now on.
    pub(crate) fn disable(&mut self, entry: &ListenerEntry, reason: &'static str) {
        tracing::warn!(tenant = %self.tenant, listener = self.id, reason, "a listener is disabled");
        self.disabling = Some(Disabling { reason, updated_at_ms: entry.updated_at_ms, is_stored: false });
    }

    /// Whether its end is still to be stored.
    pub(crate) fn must_store(&self) -> bool {
        self.disabling.as_ref().is_some_and(|disabling| !disabling.is_stored)
    }

    /// Stores its end in the directory. Failing, it is to be tried again.
    pub(crate) async fn store(&mut self, bus: &Bus) -> Result<(), RequestError> {
        let Some(disabling) = &mut self.disabling else { return Ok(()) };
        let current = self.directory.listener(&self.tenant, &self.id);
        if let Some(entry) = current.filter(|entry| !entry.disabled) {
            let now_ms = clock::now_ms();
            let entry = ListenerEntry {
                disabled: true,
                disabled_reason: disabling.reason.to_owned(),
                updated_at_ms: now_ms,
                ..entry
            };
            let entry = Some(DirectoryEntry { entry: Some(directory_entry::Entry::Listener(entry)) });
            let question = PutEntry { entry, if_absent: false };
            bus.ask(service::DIRECTORY_PUT, &question, TraceContext::root()).await?;
        }
        disabling.is_stored = true;
        Ok(())
    }
}
