//! The reader over a real bucket, whatever happens to it.

use std::time::Duration;

use anyhow::Result;
use async_nats::jetstream::kv::Store;
use chasqui_directory::{Directory, NewKey, key_of, person, read_all};
use chasqui_kit::{Bus, bus::NatsConfig, clock, stream};
use chasqui_proto::{
    Tenant,
    id::listener_id,
    stream::DIRECTORY_BUCKET,
    v1::{
        AgentEntry, AgentStatus, ApiKeyEntry, DirectoryEntry, EntryKind, ListenerEntry, NumberEntry,
        TenantEntry, UserEntry, directory_entry::Entry,
    },
};
use chasqui_testkit::{NatsServer, wait_for};
use prost::Message;
use secrecy::ExposeSecret;

const SOON: Duration = Duration::from_secs(30);
const ALL: [EntryKind; 6] = [
    EntryKind::Tenant,
    EntryKind::User,
    EntryKind::Agent,
    EntryKind::ApiKey,
    EntryKind::Number,
    EntryKind::Listener,
];

struct World {
    nats: NatsServer,
    bus: Bus,
    bucket: Store,
}

impl World {
    async fn new() -> Result<Self> {
        let nats = NatsServer::start().await?;
        let bus = Bus::connect("test", &NatsConfig { url: nats.url(), ..NatsConfig::default() }).await?;
        stream::ensure_all(&bus).await?;
        let bucket = bus.jetstream().get_key_value(DIRECTORY_BUCKET).await?;
        Ok(Self { nats, bus, bucket })
    }

    async fn put(&self, entry: Entry) -> Result<()> {
        let entry = DirectoryEntry { entry: Some(entry) };
        let key = key_of(&entry).expect("a whole entry");
        self.bucket.put(key, entry.encode_to_vec().into()).await?;
        Ok(())
    }
}

fn acme() -> Tenant {
    "acme".parse().expect("a tenant")
}

fn user(id: &str, suspended: bool) -> Entry {
    Entry::User(UserEntry { tenant: "acme".into(), id: id.into(), suspended, ..UserEntry::default() })
}

fn tenant(suspended: bool) -> Entry {
    Entry::Tenant(TenantEntry {
        tenant: "acme".into(),
        name: "Acme".into(),
        suspended,
        ..TenantEntry::default()
    })
}

fn api_key(key: &NewKey, expires_at_ms: i64) -> Entry {
    let (tenant, sha256) = ("acme".into(), key.sha256.clone());
    let scopes = vec!["send".into()];
    Entry::ApiKey(ApiKeyEntry {
        tenant,
        id: "k1".into(),
        sha256,
        scopes,
        expires_at_ms,
        ..Default::default()
    })
}

#[tokio::test]
async fn everyone_is_found_by_the_name_they_come_under() -> Result<()> {
    let world = World::new().await?;
    world.put(user("u.1", false)).await?;
    let agent = AgentEntry {
        tenant: "acme".into(),
        id: "a1".into(),
        user_id: "u.1".into(),
        status: AgentStatus::Active.into(),
        ..AgentEntry::default()
    };
    world.put(Entry::Agent(agent.clone())).await?;
    let number =
        NumberEntry { tenant: "acme".into(), id: "102290129340398".into(), ..NumberEntry::default() };
    world.put(Entry::Number(number)).await?;
    let directory = Directory::open(&world.bus, &ALL);
    tokio::time::timeout(SOON, directory.ready()).await?;
    let person = person("u.1")?;
    assert_eq!(directory.user(&acme(), &person).expect("the user").id, "u.1");
    assert_eq!(directory.agent_of_user(&acme(), &person), Some(agent.clone()));
    assert_eq!(directory.agent(&acme(), "a1"), Some(agent));
    assert_eq!(directory.tenant_of_number("102290129340398"), Some(acme()));
    assert_eq!(directory.tenant_of_number("7"), None);
    let other: Tenant = "other".parse()?;
    assert_eq!((directory.user(&other, &person), directory.agent(&other, "a1")), (None, None));
    assert_eq!(read_all(&world.bus, &[EntryKind::User]).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn numbers_are_known_of_all_tenants_and_listeners_of_one() -> Result<()> {
    let world = World::new().await?;
    let number = |tenant: &str, id: &str| NumberEntry {
        tenant: tenant.into(),
        id: id.into(),
        messages_per_second_max: 20,
        ..NumberEntry::default()
    };
    let (one, other) = (number("other", "102290129340398"), number("acme", "102290129340399"));
    let listener = |tenant: &Tenant, url: &str| ListenerEntry {
        tenant: tenant.to_string(),
        id: listener_id(tenant, url).to_string(),
        url: url.into(),
        disabled: url.ends_with('b'),
        ..ListenerEntry::default()
    };
    // A tenant whose name begins like the other's.
    let acmes: Tenant = "acme-s".parse()?;
    let (a, b) = (listener(&acme(), "http://bot/a"), listener(&acme(), "http://bot/b"));
    for entry in [one.clone(), other.clone()] {
        world.put(Entry::Number(entry)).await?;
    }
    for entry in [a.clone(), b.clone(), listener(&acmes, "http://bot/a")] {
        world.put(Entry::Listener(entry)).await?;
    }
    let directory = Directory::open(&world.bus, &[EntryKind::Number, EntryKind::Listener]);
    tokio::time::timeout(SOON, directory.ready()).await?;
    assert_eq!(directory.numbers(), [one, other]);
    let mut listeners = directory.listeners(&acme());
    listeners.sort_by(|one, other| one.url.cmp(&other.url));
    assert_eq!(listeners, [a.clone(), b]);
    assert_eq!(directory.listener(&acme(), &a.id), Some(a.clone()));
    assert_eq!(directory.listener(&acmes, &a.id), None);
    assert_eq!(directory.listeners(&"nobody".parse()?), []);
    Ok(())
}

#[tokio::test]
async fn an_empty_directory_is_ready_at_once() -> Result<()> {
    let world = World::new().await?;
    let directory = Directory::open(&world.bus, &ALL);
    // Well under the time after which silence counts as the end.
    tokio::time::timeout(Duration::from_secs(2), directory.ready()).await?;
    Ok(())
}

#[tokio::test]
async fn a_suspension_and_a_removal_are_heard() -> Result<()> {
    let world = World::new().await?;
    world.put(user("u1", false)).await?;
    let directory = Directory::open(&world.bus, &[EntryKind::User]);
    directory.ready().await;
    let person = person("u1")?;
    let mut changed = directory.changed();
    changed.borrow_and_update();
    world.put(user("u1", true)).await?;
    tokio::time::timeout(SOON, changed.changed()).await??;
    assert!(directory.user(&acme(), &person).expect("the user").suspended);
    changed.borrow_and_update();
    world.bucket.delete("user.acme.web_u1").await?;
    tokio::time::timeout(SOON, changed.changed()).await??;
    assert_eq!(directory.user(&acme(), &person), None);
    Ok(())
}

#[tokio::test]
async fn a_key_opens_until_it_expires_or_its_tenant_is_suspended() -> Result<()> {
    let world = World::new().await?;
    let directory = Directory::open(&world.bus, &[EntryKind::ApiKey]);
    directory.ready().await;
    let (key, expired) = (NewKey::generate(), NewKey::generate());
    world.put(api_key(&expired, clock::now_ms() - 1)).await?;
    world.put(api_key(&key, clock::now_ms() + 3_600_000)).await?;
    let opens = |key: &NewKey| directory.check_key(key.secret.expose_secret());
    let entry = wait_for(SOON, "the key opens", async || opens(&key)).await;
    assert_eq!(entry.scopes, ["send"]);
    assert_eq!(opens(&expired), None);
    for wrong in ["", "chq_", &key.sha256, &format!("chq_{}", "0".repeat(64)), &"x".repeat(100_000)] {
        assert_eq!(directory.check_key(wrong), None);
    }
    world.put(tenant(true)).await?;
    wait_for(SOON, "the key of a suspended tenant opens nothing", async || {
        opens(&key).is_none().then_some(())
    })
    .await;
    world.put(tenant(false)).await?;
    wait_for(SOON, "it opens again", async || opens(&key)).await;
    Ok(())
}

#[tokio::test]
async fn while_the_broker_is_away_what_is_known_counts_and_then_it_catches_up() -> Result<()> {
    let world = World::new().await?;
    world.put(user("u1", false)).await?;
    let directory = Directory::open(&world.bus, &ALL);
    directory.ready().await;
    world.nats.kill();
    wait_for(SOON, "the connection is lost", async || (!world.bus.is_connected()).then_some(())).await;
    assert!(directory.is_ready() && directory.user(&acme(), &person("u1")?).is_some());
    world.nats.restart().await?;
    wait_for(SOON, "an entry can be written", async || world.put(user("u2", false)).await.ok()).await;
    let second = person("u2")?;
    wait_for(SOON, "the second user is known", async || directory.user(&acme(), &second)).await;
    assert!(directory.user(&acme(), &person("u1")?).is_some());
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_was_made_anew_is_read_anew() -> Result<()> {
    let world = World::new().await?;
    for id in ["u1", "u2", "u3"] {
        world.put(user(id, false)).await?;
    }
    let directory = Directory::open(&world.bus, &ALL);
    directory.ready().await;
    world.bus.jetstream().delete_key_value(DIRECTORY_BUCKET).await?;
    stream::ensure_all(&world.bus).await?;
    world.put(user("u9", false)).await?;
    let (gone, new) = (person("u1")?, person("u9")?);
    wait_for(SOON, "the new bucket counts", async || directory.user(&acme(), &new)).await;
    assert_eq!(directory.user(&acme(), &gone), None);
    Ok(())
}
