//! Tokens and the directory: who gets in, and how long one may stay.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, http::StatusCode, routing::get};
use chasqui_kit::{clock::now_ms, serve::Responder};
use chasqui_proto::{
    service::{DIRECTORY_PUT, PERSISTENCE},
    stream::DIRECTORY_BUCKET,
    v1::{self, directory_entry::Entry},
};
use chasqui_testkit::wait_for;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use prost::Message as _;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::world::{Client, DEADLINE, Node, World, jwt};

fn in_seconds(seconds: i64) -> i64 {
    now_ms() / 1_000 + seconds
}

fn refresh(claims: &Value) -> Value {
    json!({ "type": "refresh_token", "data": { "token": jwt(claims) } })
}

async fn open(node: &Node, token: &str) -> Client {
    Client::open(&format!("ws://{}/ws?token={token}", node.address)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_24_an_open_socket_ends_with_its_token_unless_it_brings_another_of_the_same_user() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("token_grace_ms", "500")]).await;
    let ending = json!({ "id": "u1", "exp": in_seconds(2) });
    let (mut renewed, mut forgetful) = (open(&node, &jwt(&ending)).await, open(&node, &jwt(&ending)).await);
    for client in [&mut renewed, &mut forgetful] {
        assert_eq!(client.frame().await["type"], "connected");
        let warning = client.frame().await;
        assert_eq!(warning["type"], "token_expiring", "{warning}");
        assert!(warning["data"]["expires_at"].as_str().unwrap().ends_with('Z'), "{warning}");
    }
    for (stranger, names) in [
        (json!({ "id": "u2" }), "same user"),
        (json!({ "id": "u1", "tenant": "acme" }), "same user"),
        (json!({ "id": "u1", "phone": "5491100000001" }), "same user"),
        (json!({ "id": "u1", "exp": 1_000_000_000 }), "expired"),
    ] {
        renewed.say(&refresh(&stranger)).await;
        let error = renewed.frame().await;
        assert!(error["data"]["message"].as_str().unwrap().contains(names), "{stranger}: {error}");
    }
    renewed.say(&refresh(&json!({ "id": "u1" }))).await;
    assert_eq!(renewed.frame().await, json!({ "type": "token_refreshed", "data": { "expires_at": null } }));
    assert_eq!(forgetful.close_code().await, 4501);
    renewed.say(&json!({ "type": "ping" })).await;
    assert_eq!(renewed.frame().await["type"], "pong", "it outlived the token it came with");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_widget_is_warned_and_closed_as_well() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("token_grace_ms", "100")]).await;
    let claims = json!({ "id": "c1", "phone": "5491100000001", "exp": in_seconds(2) });
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", node.address);
    let (mut renewed, mut forgetful) = (Client::open(&url).await, Client::open(&url).await);
    for client in [&mut renewed, &mut forgetful] {
        client.packet().await;
        client.say_text(&format!("40{}", json!({ "token": jwt(&claims) }))).await;
        let warning = loop {
            let packet = client.packet().await;
            if packet.contains("token_expiring") {
                break packet;
            }
        };
        assert!(warning.starts_with("42[\"token_expiring\",{\"expires_at\":\""), "{warning}");
    }
    let token = jwt(&json!({ "id": "c1", "phone": "5491100000001" }));
    renewed.say_text(&format!("421{}", json!(["refresh-token", { "token": token }]))).await;
    assert_eq!(renewed.packet().await, "42[\"token_refreshed\",{\"expires_at\":null}]");
    assert_eq!(renewed.packet().await, "431[{\"expires_at\":null,\"success\":true}]");
    assert_eq!(forgetful.close_code().await, 4501);
}

/// An issuer as the test plays it: it publishes one key, or nothing.
struct Issuer {
    url: String,
    key: Arc<Mutex<Option<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    async fn open() -> Self {
        let (key, asked) = (Arc::<Mutex<Option<Value>>>::default(), Arc::<AtomicUsize>::default());
        let answer = {
            let (key, asked) = (key.clone(), asked.clone());
            move || {
                asked.fetch_add(1, Ordering::Relaxed);
                let key = key.lock().unwrap().clone();
                std::future::ready(
                    key.map(|key| Json(json!({ "keys": [key] }))).ok_or(StatusCode::BAD_GATEWAY),
                )
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let routes = Router::new().route("/keys", get(answer));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, key, asked }
    }

    /// Publishes a new key under this name, and signs with it.
    fn rotate(&self, name: &str) -> impl Fn(&str) -> String + use<> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(name.to_owned());
        *self.key.lock().unwrap() = Some(serde_json::to_value(jwk).unwrap());
        let header = Header { kid: Some(name.to_owned()), ..Header::new(Algorithm::ES256) };
        move |user| encode(&header, &json!({ "id": user }), &key).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_s_keys_are_fetched_when_they_are_new_and_kept_when_it_is_away() {
    let world = World::start().await;
    let issuer = Issuer::open().await;
    let settings = [("jwks_url", issuer.url.as_str()), ("jwks_plain_hosts", "127.0.0.1")];
    let node = Node::start(&world, "one", &settings).await;
    let first = issuer.rotate("first");
    let refused = open(&node, &first("u1")).await.frame().await;
    assert_eq!(refused["data"]["code"], "unavailable", "its keys were away, which is no fault of the token");
    let admitted = async |token: &str| {
        let frame = open(&node, token).await.frame().await;
        (frame["type"] == "connected").then_some(())
    };
    wait_for(DEADLINE, "the first key is known", async || admitted(&first("u1")).await).await;
    let second = issuer.rotate("second");
    wait_for(DEADLINE, "the second key is known", async || admitted(&second("u2")).await).await;
    *issuer.key.lock().unwrap() = None;
    let asked = issuer.asked.load(Ordering::Relaxed);
    assert_eq!(admitted(&second("u3")).await, Some(()), "a known key needs no issuer");
    // A withdrawn key's name costs the issuer one question at most, however often it is tried.
    for _ in 0..20 {
        assert_eq!(admitted(&first("u1")).await, None);
    }
    assert!(issuer.asked.load(Ordering::Relaxed) <= asked + 1);
    assert_eq!(admitted(&second("u4")).await, Some(()), "what is known is kept");
    assert_eq!(admitted(&jwt(&json!({ "id": "u5" }))).await, Some(()), "and the shared secret goes on");
}

async fn put(world: &World, entry: Entry) {
    let entry = v1::DirectoryEntry { entry: Some(entry) };
    let key = chasqui_directory::key_of(&entry).unwrap();
    let bucket = world.bus.jetstream().get_key_value(DIRECTORY_BUCKET).await.unwrap();
    bucket.put(key, entry.encode_to_vec().into()).await.unwrap();
}

fn user(id: &str, suspended: bool) -> Entry {
    Entry::User(v1::UserEntry {
        tenant: "default".to_owned(),
        id: id.to_owned(),
        suspended,
        ..v1::UserEntry::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_06_whom_the_directory_does_not_know_is_refused_where_that_is_wanted() {
    let world = World::start().await;
    put(&world, user("u1", false)).await;
    let settings = [("unknown_users", "refuse"), ("users_are_staff", "false")];
    let node = Node::start(&world, "one", &settings).await;
    let refused = async |id: &str| {
        let mut client = open(&node, &jwt(&json!({ "id": id }))).await;
        let frame = client.frame().await;
        (frame["type"] == "error").then(|| frame["data"]["message"].as_str().unwrap().to_owned())
    };
    assert!(refused("u2").await.unwrap().contains("not in the directory"));
    assert!(refused("u1").await.unwrap().contains("not staff"));
    let with_role = jwt(&json!({ "id": "u1", "role": "staff" }));
    assert_eq!(open(&node, &with_role).await.frame().await["type"], "connected");
    let agent = v1::AgentEntry {
        tenant: "default".to_owned(),
        id: "a1".to_owned(),
        user_id: "u1".to_owned(),
        status: v1::AgentStatus::Active.into(),
        ..v1::AgentEntry::default()
    };
    put(&world, Entry::Agent(agent)).await;
    wait_for(DEADLINE, "the agent is let in", async || refused("u1").await.is_none().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_suspended_is_closed_where_it_is_and_not_let_in_again() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let token = |id: &str| jwt(&json!({ "id": id }));
    let (mut suspended, mut other) = (open(&node, &token("u1")).await, open(&node, &token("u2")).await);
    suspended.frame().await;
    other.frame().await;
    put(&world, user("u1", true)).await;
    assert_eq!(suspended.close_code().await, 4500);
    let refused = open(&node, &token("u1")).await.frame().await;
    assert_eq!(refused["data"]["message"], "the user is suspended");
    other.say(&json!({ "type": "ping" })).await;
    assert_eq!(other.frame().await["type"], "pong");
    let tenant =
        v1::TenantEntry { tenant: "default".to_owned(), suspended: true, ..v1::TenantEntry::default() };
    put(&world, Entry::Tenant(tenant)).await;
    assert_eq!(other.close_code().await, 4500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_user_is_entered_into_the_directory_and_let_in() {
    let world = World::start().await;
    let entered = Arc::<Mutex<Vec<v1::PutEntry>>>::default();
    let responder =
        Responder::start(&world.bus, PERSISTENCE, "the test", CancellationToken::new()).await.unwrap();
    let put = {
        let entered = entered.clone();
        move |put: v1::PutEntry, _| {
            entered.lock().unwrap().push(put.clone());
            std::future::ready(Ok::<_, chasqui_edge::Error>(put.entry.unwrap()))
        }
    };
    responder.endpoint(DIRECTORY_PUT, put).await.unwrap();
    world.bus.barrier().await.unwrap();
    let node = Node::start(&world, "one", &[]).await;
    let claims = json!({ "id": "u1", "tenant": "acme", "name": "Contact" });
    assert_eq!(open(&node, &jwt(&claims)).await.frame().await["type"], "connected");
    let entered = entered.lock().unwrap().clone();
    let [v1::PutEntry { entry: Some(entry), if_absent: true }] = &entered[..] else {
        panic!("one entry, and only if there was none: {entered:?}")
    };
    let Some(Entry::User(user)) = &entry.entry else { panic!("a user: {entry:?}") };
    assert_eq!((&*user.tenant, &*user.id, &*user.name), ("acme", "u1", "Contact"));
}
