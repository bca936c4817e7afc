//! Keys, tenants and listeners, and whoever keeps them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use anyhow::Result;
use async_nats::jetstream::kv::Store;
use chasqui_directory::{NewKey, key_of};
use chasqui_kit::{Bus, Code, Coded, bus::NatsConfig, serve::Responder};
use chasqui_proto::{
    service, stream,
    v1::{
        ApiKeyEntry, DirectoryEntry, EntryPage, EntryRemoved, GetEntry, ListEntries, PutEntry, RemoveEntry,
        TenantEntry, directory_entry::Entry,
    },
};
use chasqui_testkit::wait_for;
use prost::Message;
use reqwest::RequestBuilder;
use tokio_util::sync::CancellationToken;

use crate::world::{SOON, World};

/// What another service refuses with.
#[derive(Debug, thiserror::Error)]
#[error("there is no such entry")]
pub(crate) struct NoEntry;

impl Coded for NoEntry {
    fn code(&self) -> Code {
        Code::NotFound
    }
}

/// A connection of another service.
pub(crate) async fn bus(world: &World) -> Result<Bus> {
    let config = NatsConfig { url: world.nats.url(), ..NatsConfig::default() };
    Ok(Bus::connect("persistence", &config).await?)
}

async fn bucket(world: &World) -> Result<Store> {
    Ok(bus(world).await?.jetstream().get_key_value(stream::DIRECTORY_BUCKET).await?)
}

/// Puts an entry where persistence would.
pub(crate) async fn tell(world: &World, entry: Entry) -> Result<()> {
    write(&bucket(world).await?, entry).await
}

async fn write(bucket: &Store, entry: Entry) -> Result<()> {
    let entry = DirectoryEntry { entry: Some(entry) };
    // What names nobody stands nowhere.
    if let Some(key) = key_of(&entry) {
        bucket.put(key, entry.encode_to_vec().into()).await?;
    }
    Ok(())
}

pub(crate) fn key(key: &NewKey, tenant: &str, scope: &str) -> Entry {
    let (tenant, id, sha256) = (tenant.into(), format!("{tenant}-{scope}"), key.sha256.clone());
    Entry::ApiKey(ApiKeyEntry { tenant, id, sha256, scopes: vec![scope.into()], ..ApiKeyEntry::default() })
}

pub(crate) fn tenant(name: &str, suspended: bool) -> Entry {
    Entry::Tenant(TenantEntry { tenant: name.into(), suspended, ..TenantEntry::default() })
}

pub(crate) async fn status(request: RequestBuilder) -> Option<u16> {
    Some(request.send().await.ok()?.status().as_u16())
}

/// Waits until a request is answered with a status.
pub(crate) async fn until(claim: &str, expected: u16, request: impl Fn() -> RequestBuilder) {
    wait_for(SOON, claim, async || (status(request()).await? == expected).then_some(())).await;
}

/// Kind, tenant and id of an entry.
type Name = (i32, String, String);
type Held = Arc<Mutex<BTreeMap<Name, Entry>>>;

/// Plays persistence with a memory of its own, which it tells the nodes of.
pub(crate) struct Persistence {
    held: Held,
    /// How often something was written over.
    replaced: Arc<Mutex<usize>>,
    stop: CancellationToken,
    responder: Responder,
}

impl Persistence {
    pub(crate) async fn start(world: &World) -> Result<Self> {
        let (bus, stop) = (bus(world).await?, CancellationToken::new());
        let (held, replaced) = (Held::default(), Arc::<Mutex<usize>>::default());
        let responder = Responder::start(&bus, service::PERSISTENCE, "a stand-in", stop.clone()).await?;
        let persistence = Self { held, replaced, stop, responder };
        persistence.take_entries(bucket(world).await?).await?;
        persistence.answer_questions().await?;
        bus.barrier().await?;
        Ok(persistence)
    }

    async fn take_entries(&self, bucket: Store) -> Result<()> {
        let (to, replaced, told) = (self.held.clone(), self.replaced.clone(), bucket.clone());
        let put = move |question: PutEntry, _| {
            let entry = question.entry.and_then(|entry| entry.entry).expect("an entry");
            let entry = {
                let mut held = to.lock().expect("no panic");
                let before = held.get(&name(&entry)).cloned();
                if before.is_some() && !question.if_absent {
                    *replaced.lock().expect("no panic") += 1;
                }
                let stored = before.filter(|_| question.if_absent).unwrap_or(entry);
                held.insert(name(&stored), stored.clone());
                stored
            };
            let told = told.clone();
            async move {
                write(&told, entry.clone()).await.expect("the bucket is there");
                Ok::<_, NoEntry>(DirectoryEntry { entry: Some(entry) })
            }
        };
        self.responder.endpoint(service::DIRECTORY_PUT, put).await?;
        let held = self.held.clone();
        let remove = move |question: RemoveEntry, _| {
            let name = (question.kind, question.tenant, question.id);
            let removed = held.lock().expect("no panic").remove(&name);
            let told = bucket.clone();
            async move {
                let was_there = removed.is_some();
                if let Some(key) = removed.and_then(|entry| key_of(&DirectoryEntry { entry: Some(entry) })) {
                    told.delete(key).await.expect("the bucket is there");
                }
                Ok::<_, NoEntry>(EntryRemoved { removed: was_there })
            }
        };
        Ok(self.responder.endpoint(service::DIRECTORY_REMOVE, remove).await?)
    }

    async fn answer_questions(&self) -> Result<()> {
        let of = self.held.clone();
        let get = move |question: GetEntry, _| {
            let found =
                of.lock().expect("no panic").get(&(question.kind, question.tenant, question.id)).cloned();
            async move { found.map(|entry| DirectoryEntry { entry: Some(entry) }).ok_or(NoEntry) }
        };
        self.responder.endpoint(service::DIRECTORY_GET, get).await?;
        let of = self.held.clone();
        let list = move |question: ListEntries, _| {
            let held = of.lock().expect("no panic");
            let is_asked = |name: &Name| name.0 == question.kind && name.1 == question.tenant;
            let entries = held.iter().filter(|(name, _)| is_asked(name)).map(|(_, entry)| entry.clone());
            let entries = entries.map(|entry| DirectoryEntry { entry: Some(entry) }).collect();
            async move { Ok::<_, NoEntry>(EntryPage { entries, next: "more".into() }) }
        };
        Ok(self.responder.endpoint(service::DIRECTORY_LIST, list).await?)
    }

    /// Everything that is stored.
    pub(crate) fn held(&self) -> MutexGuard<'_, BTreeMap<Name, Entry>> {
        self.held.lock().expect("no panic")
    }

    /// How often something was written over.
    pub(crate) fn replaced(&self) -> usize {
        *self.replaced.lock().expect("no panic")
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.responder.stopped().await;
    }
}

fn name(entry: &Entry) -> Name {
    match entry.clone() {
        Entry::Tenant(e) => (1, e.tenant.clone(), e.tenant),
        Entry::User(e) => (2, e.tenant, e.id),
        Entry::Agent(e) => (3, e.tenant, e.id),
        Entry::ApiKey(e) => (4, e.tenant, e.id),
        Entry::Number(e) => (5, e.tenant, e.id),
        Entry::Listener(e) => (6, e.tenant, e.id),
    }
}
