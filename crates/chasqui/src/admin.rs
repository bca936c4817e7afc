//! Who belongs to the tenants: persistence is asked over the bus, and the nodes hear of changes at once.

pub(crate) mod arguments;
mod change;
mod listener;
mod secret;

use anyhow::{Context, bail};
use chasqui_directory::{NewKey, shown};
use chasqui_kit::{Bus, Code, Coded, TraceContext, clock, request::RequestError};
use chasqui_proto::{
    Tenant,
    service::{self, Endpoint},
    v1::{DirectoryEntry, EntryKind, GetEntry, ListEntries, PutEntry, RemoveEntry, directory_entry::Entry},
};
use clap::Args;
use prost::Message;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{output, table};
use arguments::{Action, Admin, Collection, KeyAction, KeyScope};
use change::Fields;

/// How many entries are asked for at a time.
const PAGE_LENGTH: usize = 200;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Does what the command says. `sealing_key` is for the secrets of listeners.
pub(crate) async fn run(
    bus: &Bus,
    default_tenant: &Tenant,
    sealing_key: Option<&SecretString>,
    admin: &Admin,
) -> anyhow::Result<()> {
    let tenant = admin.tenant.as_deref().map_or_else(|| Ok(default_tenant.clone()), str::parse)?;
    let directory = Directory { bus, tenant, json: admin.json };
    match &admin.collection {
        Collection::Tenant { action } => directory.act(action).await,
        Collection::User { action } => directory.act(action).await,
        Collection::Agent { action } => directory.act(action).await,
        Collection::Number { action } => directory.act(action).await,
        Collection::Listener { action } => directory.act_on_listener(action, sealing_key).await,
        Collection::Key { action: KeyAction::Other(action) } => directory.act(action).await,
        Collection::Key { action: KeyAction::Create { name, scope, days } } => {
            directory.create_key(name, scope, *days).await
        }
    }
}

struct Directory<'a> {
    bus: &'a Bus,
    tenant: Tenant,
    json: bool,
}

impl Directory<'_> {
    async fn act<F: Args + Fields>(&self, action: &Action<F>) -> anyhow::Result<()> {
        match action {
            Action::Put { id, fields } => {
                let before = self.find(F::KIND, id).await?;
                let entry = fields.apply(self.tenant.to_string(), id, before);
                let stored = self.put(entry.with_context(|| missing(F::KIND, id))?).await?;
                self.show(&[stored])
            }
            Action::Get { id } => {
                let entry = self.find(F::KIND, id).await?.with_context(|| missing(F::KIND, id))?;
                self.show(&[entry])
            }
            Action::List { limit } => self.list(F::KIND, *limit).await,
            Action::Remove { id } => self.remove(F::KIND, id).await,
        }
    }

    async fn create_key(&self, name: &str, scope: &[KeyScope], days: Option<u32>) -> anyhow::Result<()> {
        let NewKey { secret, sha256 } = NewKey::generate();
        let mut key = change::new_key(self.tenant.to_string(), Uuid::now_v7().to_string(), sha256, scope);
        name.clone_into(&mut key.name);
        key.expires_at_ms = days.map_or(0, |days| clock::now_ms() + i64::from(days) * DAY_MS);
        let stored = self.put(Entry::ApiKey(key)).await?;
        self.show_with_secret(&stored, "key", &secret)
    }

    /// Shows an entry with a secret that was made for it. `called` is the entry's name in JSON.
    fn show_with_secret(&self, stored: &Entry, called: &str, secret: &SecretString) -> anyhow::Result<()> {
        if self.json {
            output::line(json!({ called: shown(stored), "secret": secret.expose_secret() }))?;
        } else {
            self.show(std::slice::from_ref(stored))?;
            output::line(secret.expose_secret())?;
            eprintln!("the last line is the secret; it is not shown again");
        }
        Ok(())
    }

    async fn list(&self, kind: EntryKind, limit: usize) -> anyhow::Result<()> {
        let (mut entries, mut cursor) = (Vec::new(), String::new());
        while entries.len() < limit {
            let length = PAGE_LENGTH.min(limit - entries.len());
            let (kind, tenant) = (kind.into(), self.tenant.to_string());
            let question = ListEntries { kind, tenant, cursor, limit: u32::try_from(length)? };
            let page = self.ask(service::DIRECTORY_LIST, &question).await?;
            entries.extend(page.entries.into_iter().filter_map(|entry| entry.entry));
            cursor = page.next;
            if cursor.is_empty() {
                break;
            }
        }
        self.show(&entries)?;
        if !cursor.is_empty() {
            eprintln!("there are more; --limit shows them");
        }
        Ok(())
    }

    async fn remove(&self, kind: EntryKind, id: &str) -> anyhow::Result<()> {
        let question = RemoveEntry { kind: kind.into(), tenant: self.tenant_of(kind, id), id: id.to_owned() };
        if !self.ask(service::DIRECTORY_REMOVE, &question).await?.removed {
            bail!(missing(kind, id));
        }
        if self.json {
            output::line(json!({ "removed": true }))?;
        } else {
            output::line(format!("{} {id} is removed", called(kind)))?;
        }
        Ok(())
    }

    async fn find(&self, kind: EntryKind, id: &str) -> anyhow::Result<Option<Entry>> {
        let question = GetEntry { kind: kind.into(), tenant: self.tenant_of(kind, id), id: id.to_owned() };
        match self.ask(service::DIRECTORY_GET, &question).await {
            Ok(found) => Ok(found.entry),
            Err(error) if error.code() == Code::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn put(&self, entry: Entry) -> anyhow::Result<Entry> {
        let question = PutEntry { entry: Some(DirectoryEntry { entry: Some(entry) }), ..PutEntry::default() };
        let stored = self.ask(service::DIRECTORY_PUT, &question).await?;
        stored.entry.context("the answer holds no entry")
    }

    fn show(&self, entries: &[Entry]) -> anyhow::Result<()> {
        self.show_all(&entries.iter().map(shown).collect::<Vec<_>>())
    }

    fn show_all(&self, entries: &[Value]) -> anyhow::Result<()> {
        let lines =
            if self.json { entries.iter().map(ToString::to_string).collect() } else { table::lines(entries) };
        for line in lines {
            if output::line(line)? == output::Reader::Left {
                break;
            }
        }
        Ok(())
    }

    /// A tenant is its own.
    fn tenant_of(&self, kind: EntryKind, id: &str) -> String {
        if kind == EntryKind::Tenant { id.to_owned() } else { self.tenant.to_string() }
    }

    async fn ask<Q: Message, A: Message + Default>(
        &self,
        endpoint: Endpoint<Q, A>,
        question: &Q,
    ) -> Result<A, RequestError> {
        self.bus.ask(endpoint, question, TraceContext::root()).await
    }
}

fn missing(kind: EntryKind, id: &str) -> String {
    format!("there is no {} {id}", called(kind))
}

/// A kind as the commands call it.
fn called(kind: EntryKind) -> &'static str {
    if kind == EntryKind::ApiKey { "key" } else { kind.name() }
}
