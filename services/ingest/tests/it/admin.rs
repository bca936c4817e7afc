//! Keys of machines, numbers of tenants, and who changes them.

use anyhow::Result;
use chasqui_directory::NewKey;
use chasqui_ingest::Config;
use chasqui_kit::clock;
use chasqui_proto::{
    stream, subject,
    v1::{Announcement, NumberEntry, directory_entry::Entry},
};
use chasqui_testkit::{NatsOptions, wait_for};
use futures::StreamExt;
use prost::Message;
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    directory::{Persistence, bus, key, status, tell, tenant, until},
    world::{CONTACT, NUMBER, SOON, World, answer, config, text, wamid},
};

const ADMIN_KEY: &str = "key-of-the-deployment";

async fn start() -> Result<World> {
    World::start_with(Config { admin_key: Some(ADMIN_KEY.into()), ..config() }, NatsOptions::default()).await
}

fn reply(world: &World, key: &NewKey) -> RequestBuilder {
    let body = json!({ "targetUserWhatsAppNumber": CONTACT, "messageText": "hola" });
    world.post("/api/bot-reply").header("x-api-key", key.secret.expose_secret()).json(&body)
}

/// An administrator's request.
fn ask(world: &World, method: Method, path: &str, key: &str, body: &Value) -> RequestBuilder {
    let base = world.get(path).build().expect("a request").url().clone();
    let request = world.client.request(method, base).header("x-api-key", key);
    if body.is_null() { request } else { request.json(body) }
}

#[tokio::test]
async fn kon_23_a_key_of_the_directory_sends_for_its_own_tenant() -> Result<()> {
    let world = start().await?;
    let (sender, listener) = (NewKey::generate(), NewKey::generate());
    assert_eq!(status(reply(&world, &sender)).await, Some(401));
    tell(&world, key(&sender, "acme", "send")).await?;
    tell(&world, key(&listener, "acme", "listen")).await?;
    until("the key sends", 404, || reply(&world, &sender)).await;
    let stored = world.stored().await?;
    let expected = subject::messages_out(&"acme".parse()?, &CONTACT.parse()?);
    assert_eq!(stored[0].subject, expected.as_str());
    until("the other key has no such scope", 403, || reply(&world, &listener)).await;
    let (_, told) = answer(reply(&world, &listener).send().await?).await?;
    assert_eq!(told, json!({ "error": "this key has no scope send" }));
    world.stop().await
}

#[tokio::test]
async fn a_suspended_tenants_keys_are_refused_and_so_are_removed_ones() -> Result<()> {
    let world = start().await?;
    let sender = NewKey::generate();
    tell(&world, key(&sender, "acme", "send")).await?;
    until("the key sends", 404, || reply(&world, &sender)).await;
    tell(&world, tenant("acme", true)).await?;
    until("the key is refused", 401, || reply(&world, &sender)).await;
    let told = answer(reply(&world, &sender).send().await?).await?;
    assert_eq!(told, (401, json!({ "error": "Unauthorized" })));
    tell(&world, tenant("acme", false)).await?;
    until("the key sends again", 404, || reply(&world, &sender)).await;
    let bucket = bus(&world).await?.jetstream().get_key_value(stream::DIRECTORY_BUCKET).await?;
    bucket.delete(stream::api_key_key(&sender.sha256)).await?;
    until("the key is gone", 401, || reply(&world, &sender)).await;
    world.stop().await
}

#[tokio::test]
async fn a_webhook_goes_to_the_tenant_of_its_number() -> Result<()> {
    let world = start().await?;
    assert_eq!(status(world.webhook(text(&wamid(), "hola"))).await, Some(200));
    let number = NumberEntry { tenant: "acme".into(), id: NUMBER.into(), ..NumberEntry::default() };
    tell(&world, Entry::Number(number)).await?;
    wait_for(SOON, "the number is known", async || {
        status(world.webhook(text(&wamid(), "hola"))).await.filter(|status| *status == 200)?;
        let stored = world.stored().await.ok()?;
        stored.iter().any(|fact| fact.subject == format!("messages.in.acme.{CONTACT}")).then_some(())
    })
    .await;
    let stored = world.stored().await?;
    assert_eq!(stored[0].subject, format!("messages.in.default.{CONTACT}"));
    let metrics = world.get("/metrics").send().await?.text().await?;
    assert!(metrics.contains("chasqui_ingest_unknown_numbers_total"), "{metrics}");
    world.stop().await
}

#[tokio::test]
async fn an_administrator_makes_changes_and_removes() -> Result<()> {
    let world = start().await?;
    let persistence = Persistence::start(&world).await?;
    let ask = async |method, path: &str, body: Value| {
        answer(ask(&world, method, path, ADMIN_KEY, &body).send().await?).await
    };
    let user = json!({ "tenant": "acme", "id": "u 1/ñ", "name": "Contact", "email": "",
        "suspended": false, "last_seen_at_ms": 0 });
    let path = "/api/admin/users/u%201%2F%C3%B1";
    let put = ask(Method::PUT, path, json!({ "tenant": "acme", "name": "Contact" })).await?;
    assert_eq!(put, (200, json!({ "success": true, "user": user })));
    assert_eq!(ask(Method::GET, &format!("{path}?tenant=acme"), Value::Null).await?, put);
    // What was read is what may be written.
    assert_eq!(ask(Method::PUT, path, user.clone()).await?, put);
    let list = ask(Method::GET, "/api/admin/users?tenant=acme&limit=5", Value::Null).await?;
    assert_eq!(list, (200, json!({ "success": true, "users": [user], "next": "more" })));
    let removed = ask(Method::DELETE, &format!("{path}?tenant=acme"), Value::Null).await?;
    assert_eq!(removed, (200, json!({ "success": true, "removed": true })));
    let gone = ask(Method::DELETE, &format!("{path}?tenant=acme"), Value::Null).await?;
    let told = json!({ "success": false, "message": "there is no such user", "code": "not_found" });
    assert_eq!(gone, (404, told));

    let (code, made) =
        ask(Method::POST, "/api/admin/keys", json!({ "name": "bot", "scopes": ["send"] })).await?;
    assert_eq!(code, 201, "{made}");
    let secret = made["secret"].as_str().expect("the secret");
    let path = format!("/api/admin/keys/{}", made["key"]["id"].as_str().expect("an id"));
    assert_eq!((&made["key"]["tenant"], secret.len()), (&json!("default"), 68));
    let (code, read) = ask(Method::GET, &path, Value::Null).await?;
    assert_eq!((code, &read["key"]), (200, &made["key"]));
    assert!(!read.to_string().contains(secret));
    let (code, changed) =
        ask(Method::PUT, &path, json!({ "name": "bot 2", "scopes": ["send", "listen"] })).await?;
    assert_eq!((code, &changed["key"]["scopes"]), (200, &json!(["send", "listen"])));
    persistence.stop().await;
    let (code, told) = ask(Method::GET, &path, Value::Null).await?;
    assert_eq!((code, &told["success"]), (503, &json!(false)), "{told}");
    world.stop().await
}

#[tokio::test]
async fn an_administrator_says_which_bot_answers_a_tenant() -> Result<()> {
    let world = start().await?;
    let persistence = Persistence::start(&world).await?;
    let put = async |body: Value| {
        answer(ask(&world, Method::PUT, "/api/admin/tenants/acme", ADMIN_KEY, &body).send().await?).await
    };
    for (body, expected) in [
        (json!({ "name": "Acme", "responder": "builtin" }), json!("builtin")),
        (json!({ "responder": "external" }), json!("external")),
        (json!({ "responder": null }), Value::Null),
        (json!({}), Value::Null),
    ] {
        let (code, told) = put(body.clone()).await?;
        assert_eq!((code, &told["tenant"]["responder"]), (200, &expected), "{body}: {told}");
        let get = ask(&world, Method::GET, "/api/admin/tenants/acme", ADMIN_KEY, &Value::Null);
        assert_eq!(answer(get.send().await?).await?, (200, told), "as it was stored");
    }
    let (code, told) = put(json!({ "responder": "person" })).await?;
    let expected = json!("responder: must be builtin, external or null");
    assert_eq!((code, &told["message"]), (400, &expected), "{told}");
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn a_tenants_administrator_sees_its_tenant_and_no_other() -> Result<()> {
    let world = start().await?;
    let persistence = Persistence::start(&world).await?;
    let (own, sender) = (NewKey::generate(), NewKey::generate());
    tell(&world, key(&own, "acme", "admin")).await?;
    tell(&world, key(&sender, "acme", "send")).await?;
    let (own, sender) = (own.secret.expose_secret(), sender.secret.expose_secret());
    let plain = |key: &str, path: &str| ask(&world, Method::GET, path, key, &Value::Null);
    until("the key is known", 200, || plain(own, "/api/admin/users")).await;
    until("the other is known", 403, || plain(sender, "/api/admin/users")).await;
    let bearer = world.get("/api/admin/users").bearer_auth(own);
    assert_eq!(status(bearer).await, Some(200));
    for (key, method, path, expected) in [
        ("", Method::GET, "/api/admin/users", 401),
        ("wrong", Method::GET, "/api/admin/users", 401),
        (own, Method::GET, "/api/admin/users?tenant=other", 403),
        (own, Method::PUT, "/api/admin/users/u1?tenant=other", 403),
        (own, Method::DELETE, "/api/admin/tenants/acme", 403),
        (own, Method::PUT, "/api/admin/tenants/acme", 403),
        (own, Method::GET, "/api/admin/tenants/other", 403),
        (own, Method::GET, "/api/admin/tenants/acme", 404),
        (own, Method::GET, "/api/admin/tenants", 200),
        (own, Method::GET, "/api/admin/planets", 404),
        (own, Method::GET, "/api/admin/users?limit=many", 400),
        (own, Method::GET, "/api/admin/users?lmit=1", 400),
        (ADMIN_KEY, Method::PUT, "/api/admin/tenants/acme", 200),
        (ADMIN_KEY, Method::PUT, "/api/admin/users/u1?tenant=A.b", 400),
        (ADMIN_KEY, Method::POST, "/api/admin/users", 400),
    ] {
        let body = if method == Method::PUT { json!({}) } else { Value::Null };
        let (code, told) = answer(ask(&world, method.clone(), path, key, &body).send().await?).await?;
        assert_eq!(code, expected, "{method} {path}: {told}");
        assert_eq!(told["success"], json!(code == 200), "{told}");
        assert!(code == 200 || (told["message"].is_string() && told["code"].is_string()), "{told}");
    }
    let too_large =
        ask(&world, Method::PUT, "/api/admin/users/u1", own, &json!({ "name": "x".repeat(20_000) }));
    assert_eq!(status(too_large).await, Some(413));
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn without_a_configured_key_no_empty_one_opens() -> Result<()> {
    let world =
        World::start_with(Config { admin_key: Some("".into()), ..config() }, NatsOptions::default()).await?;
    for key in ["", ADMIN_KEY] {
        let request = ask(&world, Method::GET, "/api/admin/tenants", key, &Value::Null);
        let (code, told) = answer(request.send().await?).await?;
        let expected = json!({ "success": false, "message": "Unauthorized", "code": "unauthorized" });
        assert_eq!((code, told), (401, expected));
    }
    world.stop().await
}

#[tokio::test]
async fn ben_42_an_announcement_reaches_who_listens_now() -> Result<()> {
    let world = start().await?;
    let client = world.nats_client().await?;
    let subject = subject::announcements_made(&"acme".parse()?);
    let mut heard = client.subscribe(subject.as_str().to_owned()).await?;
    let nobody = client.request(client.new_inbox(), bytes::Bytes::new()).await;
    assert!(nobody.is_err(), "nobody listens on a new inbox");
    let body = json!({ "tenant": "acme", "event": "maintenance_soon", "data": { "minutes": 5 } });
    let post = |key: &str| ask(&world, Method::POST, "/api/admin/announcements", key, &body);
    let before_ms = clock::now_ms();
    let (code, told) = answer(post(ADMIN_KEY).send().await?).await?;
    assert_eq!((code, &told["success"]), (202, &json!(true)), "{told}");
    assert!(told["message"].as_str().is_some_and(|text| text.contains("connected now")), "{told}");
    let message = tokio::time::timeout(SOON, heard.next()).await?.expect("an announcement");
    let announcement = Announcement::decode(message.payload)?;
    assert_eq!((announcement.tenant.as_str(), announcement.event.as_str()), ("acme", "maintenance_soon"));
    assert_eq!(
        (announcement.data.as_ref(), &announcement.id),
        (&br#"{"minutes":5}"#[..], &text_of(&told["id"]))
    );
    assert!(announcement.at_ms >= before_ms);
    assert_eq!(status(post("wrong")).await, Some(401));
    let own = NewKey::generate();
    tell(&world, key(&own, "other", "admin")).await?;
    until("a key administers only its own tenant", 403, || post(own.secret.expose_secret())).await;
    world.nats.kill();
    world.is_ready(false).await;
    assert_eq!(status(post(ADMIN_KEY)).await, Some(503));
    world.stop().await
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
