//! Who belongs to the tenants: stored, and told to the bucket whatever happens.

use std::collections::HashMap;

use anyhow::Result;
use chasqui_directory::{NewKey, read_all};
use chasqui_kit::{Code, request::RequestError, stream};
use chasqui_proto::{
    id::listener_id,
    service,
    stream::DIRECTORY_BUCKET,
    v1::{
        AgentEntry, AgentStatus, ApiKeyEntry, DirectoryEntry, EntryKind, GetEntry, ListEntries,
        ListenerEntry, ListenerFormat, NumberEntry, PutEntry, RemoveEntry, Responder, TenantEntry, UserEntry,
        directory_entry::Entry,
    },
};
use chasqui_testkit::wait_for;
use futures::{StreamExt, stream as futures_stream};
use prost::Message;

use crate::world::{SOON, World, refusal};

const KINDS: [EntryKind; 6] = [
    EntryKind::Tenant,
    EntryKind::User,
    EntryKind::Agent,
    EntryKind::ApiKey,
    EntryKind::Number,
    EntryKind::Listener,
];

fn user(id: &str) -> UserEntry {
    UserEntry { tenant: "acme".into(), id: id.into(), ..UserEntry::default() }
}

fn agent(id: &str, user_id: &str) -> AgentEntry {
    let (tenant, id, user_id) = ("acme".into(), id.into(), user_id.into());
    AgentEntry {
        tenant,
        id,
        user_id,
        status: AgentStatus::Active.into(),
        chats_max: 3,
        ..AgentEntry::default()
    }
}

fn number(tenant: &str) -> NumberEntry {
    NumberEntry {
        tenant: tenant.into(),
        id: "102290129340398".into(),
        messages_per_second_max: 20,
        ..NumberEntry::default()
    }
}

fn listener(tenant: &str) -> ListenerEntry {
    let url = "http://127.0.0.1:3013/api/message-received";
    ListenerEntry {
        tenant: tenant.into(),
        id: listener_id(&tenant.parse().expect("a tenant"), url).to_string(),
        url: url.into(),
        events: vec!["message.received".into(), "message.status".into()],
        format: ListenerFormat::Client.into(),
        sealed_secrets: vec!["sealed2".into(), "sealed1".into()],
        ..ListenerEntry::default()
    }
}

impl World {
    async fn put(&self, entry: Entry) -> Result<Entry, RequestError> {
        self.put_where(entry, false).await
    }

    async fn put_where(&self, entry: Entry, if_absent: bool) -> Result<Entry, RequestError> {
        let question = PutEntry { entry: Some(DirectoryEntry { entry: Some(entry) }), if_absent };
        let stored = self.ask(service::DIRECTORY_PUT, question).await?;
        Ok(stored.entry.expect("an answer is an entry"))
    }

    async fn get(&self, kind: EntryKind, tenant: &str, id: &str) -> Result<Entry, RequestError> {
        let question = GetEntry { kind: kind.into(), tenant: tenant.into(), id: id.into() };
        Ok(self.ask(service::DIRECTORY_GET, question).await?.entry.expect("an answer is an entry"))
    }

    async fn remove(&self, kind: EntryKind, tenant: &str, id: &str) -> Result<bool, RequestError> {
        let question = RemoveEntry { kind: kind.into(), tenant: tenant.into(), id: id.into() };
        Ok(self.ask(service::DIRECTORY_REMOVE, question).await?.removed)
    }

    /// What the bucket holds.
    async fn told(&self) -> HashMap<String, Entry> {
        let values = read_all(&self.bus, &KINDS).await.expect("the bucket is read");
        let entry = |value: &[u8]| DirectoryEntry::decode(value).ok()?.entry;
        let read = |(key, value): (Box<str>, Box<[u8]>)| (key.into(), entry(&value).expect("an entry"));
        values.into_iter().map(read).collect()
    }
}

#[tokio::test]
async fn what_is_put_is_told_and_what_is_removed_is_gone() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let named = UserEntry { name: "Contact".into(), email: "contact@example.org".into(), ..user("u1") };
    assert_eq!(world.put(Entry::User(named.clone())).await?, Entry::User(named.clone()));
    world.put(Entry::Agent(agent("a1", "u1"))).await?;
    world.put(Entry::Number(number("acme"))).await?;
    let tenant = TenantEntry {
        tenant: "acme".into(),
        name: "Acme".into(),
        suspended: true,
        responder: Responder::Builtin.into(),
    };
    world.put(Entry::Tenant(tenant.clone())).await?;
    let told = world.told().await;
    assert_eq!(told.len(), 4);
    assert!(told.values().any(|entry| *entry == Entry::Tenant(tenant.clone())), "who answers is told too");
    assert_eq!(told["user.acme.web_u1"], Entry::User(named));
    assert_eq!(told["agent.acme.web_u1"], Entry::Agent(agent("a1", "u1")));
    assert_eq!(told["number.102290129340398"], Entry::Number(number("acme")));
    assert_eq!(world.get(EntryKind::Tenant, "acme", "").await?, Entry::Tenant(tenant));

    let (code, told) = refusal(world.remove(EntryKind::Tenant, "acme", "acme").await);
    assert_eq!(code, Code::Conflict, "{told}");
    assert!(world.remove(EntryKind::User, "acme", "u1").await?);
    assert!(!world.remove(EntryKind::User, "acme", "u1").await?);
    assert_eq!(refusal(world.get(EntryKind::Agent, "acme", "a1").await).0, Code::NotFound);
    assert!(world.remove(EntryKind::Number, "acme", "102290129340398").await?);
    assert!(world.remove(EntryKind::Tenant, "acme", "acme").await?);
    assert!(world.told().await.is_empty());
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_contradicts_is_refused_by_name() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let check = async |entry: Entry, code: Code, field: &str| {
        let (refused, told) = refusal(world.put(entry).await);
        assert_eq!(refused, code, "{told}");
        assert!(told.starts_with(&format!("{field}: ")), "{told}");
    };
    check(Entry::Agent(agent("a1", "nobody")), Code::InvalidInput, "user_id").await;
    check(Entry::User(user("")), Code::InvalidInput, "id").await;
    for responder in [Responder::Person.into(), 9] {
        let tenant = TenantEntry { tenant: "acme".into(), responder, ..TenantEntry::default() };
        check(Entry::Tenant(tenant), Code::InvalidInput, "responder").await;
    }
    world.put(Entry::User(user("5491100000001"))).await?;
    check(Entry::User(user("+54 911 0000-0001")), Code::Conflict, "id").await;
    world.put(Entry::Agent(agent("a1", "5491100000001"))).await?;
    check(Entry::Agent(agent("a2", "5491100000001")), Code::Conflict, "user_id").await;
    world.put(Entry::Number(number("acme"))).await?;
    check(Entry::Number(number("other")), Code::Conflict, "id").await;
    let sha256 = NewKey::generate().sha256;
    let key = |id: &str| ApiKeyEntry {
        tenant: "acme".into(),
        id: id.into(),
        sha256: sha256.clone(),
        scopes: vec!["send".into()],
        ..ApiKeyEntry::default()
    };
    world.put(Entry::ApiKey(key("k1"))).await?;
    check(Entry::ApiKey(key("k2")), Code::Conflict, "sha256").await;
    let nobody = GetEntry { tenant: "acme".into(), id: "x".into(), ..GetEntry::default() };
    assert!(refusal(world.ask(service::DIRECTORY_GET, nobody).await).1.starts_with("kind: "));
    assert!(refusal(world.get(EntryKind::User, "acme", "u\0").await).1.starts_with("id: "));
    assert!(refusal(world.remove(EntryKind::User, "*", "u1").await).1.starts_with("tenant: "));
    // Another tenant sees nothing of it.
    assert_eq!(refusal(world.get(EntryKind::ApiKey, "other", "k1").await).0, Code::NotFound);
    assert!(!world.remove(EntryKind::ApiKey, "other", "k1").await?);
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_key_with_a_new_secret_forgets_the_old_one() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let (old, new) = (NewKey::generate().sha256, NewKey::generate().sha256);
    for sha256 in [&old, &new] {
        let scopes = vec!["listen".into()];
        let (tenant, id, sha256) = ("acme".into(), "k1".into(), sha256.clone());
        world.put(Entry::ApiKey(ApiKeyEntry { tenant, id, sha256, scopes, ..Default::default() })).await?;
    }
    let told = world.told().await;
    assert!(told.contains_key(&format!("key.{new}")) && !told.contains_key(&format!("key.{old}")));
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn who_is_there_already_stays_as_it_is() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let suspended = UserEntry { suspended: true, ..user("u1") };
    world.put(Entry::User(suspended.clone())).await?;
    assert_eq!(world.put_where(Entry::User(user("u1")), true).await?, Entry::User(suspended));
    assert_eq!(world.put_where(Entry::User(user("u2")), true).await?, Entry::User(user("u2")));
    replica.stop().await;
    Ok(())
}

/// SHC-21: who registers again is the same listener, and no restart forgets it.
#[tokio::test]
async fn shc_21_a_listener_that_is_put_again_stays_the_one_it_was() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let put = async |listener: ListenerEntry| match world.put(Entry::Listener(listener)).await {
        Ok(Entry::Listener(stored)) => stored,
        other => panic!("{other:?}"),
    };
    let first = put(listener("acme")).await;
    assert!(first.created_at_ms > 0);
    let unstamped = ListenerEntry { created_at_ms: 0, updated_at_ms: 0, ..first.clone() };
    assert_eq!(unstamped, listener("acme"));
    replica.stop().await;
    let replica = world.replica().await?;
    let failing =
        ListenerEntry { disabled: true, disabled_reason: "gone".into(), answers: true, ..listener("acme") };
    let second = put(ListenerEntry { created_at_ms: 7, ..failing }).await;
    assert_eq!((second.created_at_ms, &second.id), (first.created_at_ms, &first.id));
    assert!(second.disabled && second.answers && second.updated_at_ms > first.updated_at_ms);
    // The same URL of another tenant is another listener.
    let other = put(listener("other")).await;
    assert_ne!(other.id, first.id);
    let key = |listener: &ListenerEntry| format!("listener.{}.{}", listener.tenant, listener.id);
    let told = world.told().await;
    assert_eq!(told.len(), 2);
    assert_eq!(told[&key(&first)], Entry::Listener(second.clone()));

    let refused =
        refusal(world.put(Entry::Listener(ListenerEntry { url: "x".into(), ..first.clone() })).await);
    assert!(refused.1.starts_with("url: must be "), "{refused:?}");
    let question =
        ListEntries { kind: EntryKind::Listener.into(), tenant: "acme".into(), ..ListEntries::default() };
    let page = world.ask(service::DIRECTORY_LIST, question).await?;
    assert_eq!(page.entries, [DirectoryEntry { entry: Some(Entry::Listener(second)) }]);
    assert_eq!(refusal(world.get(EntryKind::Listener, "acme", "x").await).0, Code::NotFound);
    let tenant = TenantEntry { tenant: "acme".into(), ..TenantEntry::default() };
    world.put(Entry::Tenant(tenant)).await?;
    assert_eq!(refusal(world.remove(EntryKind::Tenant, "acme", "").await).0, Code::Conflict);
    assert!(!world.remove(EntryKind::Listener, "other", &first.id).await?);
    assert!(world.remove(EntryKind::Listener, "acme", &first.id).await?);
    assert!(world.remove(EntryKind::Tenant, "acme", "").await?);
    assert_eq!(world.told().await.into_keys().collect::<Vec<_>>(), [key(&other)]);
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_list_goes_on_where_its_last_page_ended() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    for n in 0..7 {
        world.put(Entry::User(user(&format!("u{n}")))).await?;
    }
    world.put(Entry::User(UserEntry { tenant: "other".into(), ..user("u9") })).await?;
    let (mut cursor, mut ids) = (String::new(), Vec::new());
    loop {
        let (kind, tenant) = (EntryKind::User.into(), "acme".into());
        let page = world.ask(service::DIRECTORY_LIST, ListEntries { kind, tenant, cursor, limit: 3 }).await?;
        assert!(page.entries.len() <= 3);
        ids.extend(page.entries.into_iter().filter_map(|entry| match entry.entry {
            Some(Entry::User(user)) => Some(user.id),
            _ => None,
        }));
        if page.next.is_empty() {
            break;
        }
        cursor = page.next;
    }
    assert_eq!(ids, ["u0", "u1", "u2", "u3", "u4", "u5", "u6"]);
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_is_stored_while_the_broker_is_away_is_told_when_it_is_back() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    world.put(Entry::User(user("u1"))).await?;
    // The put is held up in the database until the broker is gone.
    let mut held = world.pool.begin().await?;
    sqlx::query("lock table users in share mode").execute(&mut *held).await?;
    let suspended = UserEntry { suspended: true, ..user("u1") };
    let putting = world.put(Entry::User(suspended.clone()));
    let killing = async {
        wait_for(SOON, "the put waits for the table", async || {
            let waits = "select count(*) from pg_locks where not granted and relation = 'users'::regclass";
            let count: i64 = sqlx::query_scalar(waits).fetch_one(&world.pool).await.ok()?;
            (count > 0).then_some(())
        })
        .await;
        world.nats.kill();
        held.rollback().await
    };
    let (asked, released) = tokio::join!(putting, killing);
    assert!(asked.is_err(), "nobody can answer without a broker");
    released?;
    wait_for(SOON, "it is stored", async || {
        let suspended: bool = sqlx::query_scalar("select suspended from users where id = 'u1'")
            .fetch_one(&world.pool)
            .await
            .ok()?;
        suspended.then_some(())
    })
    .await;
    world.nats.restart().await?;
    wait_for(SOON, "the bucket has it", async || {
        let values = read_all(&world.bus, &KINDS).await.ok()?;
        let value = values.get("user.acme.web_u1")?;
        let told = DirectoryEntry::decode(&value[..]).ok()?.entry?;
        (told == Entry::User(suspended.clone())).then_some(())
    })
    .await;
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_differs_becomes_what_the_tables_say() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    world.put(Entry::User(user("u1"))).await?;
    world.put(Entry::User(user("u2"))).await?;
    replica.stop().await;
    let bucket = world.bus.jetstream().get_key_value(DIRECTORY_BUCKET).await?;
    bucket.put("user.acme.web_u1", "other".into()).await?;
    bucket.put("user.acme.web_u3", "stray".into()).await?;
    bucket.put("alias.acme.web_u4", "5491100000001".into()).await?;
    bucket.delete("user.acme.web_u2").await?;
    let replica = world.replica().await?;
    let is_equal = async || {
        let values = read_all(&world.bus, &KINDS).await.ok()?;
        let is_user = |key: &str| DirectoryEntry::decode(&values.get(key)?[..]).ok()?.entry;
        (values.len() == 2 && is_user("user.acme.web_u1").is_some() && is_user("user.acme.web_u2").is_some())
            .then_some(())
    };
    wait_for(SOON, "the bucket is as the tables", is_equal).await;
    assert!(bucket.get("alias.acme.web_u4").await?.is_some(), "addresses are not touched");
    // The same for one that was lost.
    world.bus.jetstream().delete_key_value(DIRECTORY_BUCKET).await?;
    stream::ensure_all(&world.bus).await?;
    wait_for(SOON, "the new bucket is as the tables", is_equal).await;
    replica.stop().await;
    Ok(())
}

/// Both replicas put the same entry at once, one entry after the other: the last of each must be the one that is told.
#[tokio::test]
async fn two_replicas_tell_the_same_as_the_tables() -> Result<()> {
    const USERS: usize = 100;
    const ROUNDS: usize = 8;
    let world = World::new().await?;
    let (one, other) = (world.replica().await?, world.replica().await?);
    let puts = (0..USERS * ROUNDS).map(|n| {
        let name = format!("name {n}");
        world.put(Entry::User(UserEntry { name, ..user(&format!("u{}", n / ROUNDS)) }))
    });
    let stored: Vec<_> = futures_stream::iter(puts).buffer_unordered(16).collect().await;
    assert!(stored.iter().all(Result::is_ok));
    wait_for(SOON, "nothing is left to tell", async || {
        let left = sqlx::query_scalar("select count(*) from directory_pending");
        let left: i64 = left.fetch_one(&world.pool).await.ok()?;
        (left == 0).then_some(())
    })
    .await;
    let told = world.told().await;
    assert_eq!(told.len(), USERS);
    for n in 0..USERS {
        let stored = world.get(EntryKind::User, "acme", &format!("u{n}")).await?;
        assert_eq!(told[&format!("user.acme.web_u{n}")], stored);
    }
    one.stop().await;
    other.stop().await;
    Ok(())
}
