//! Bots that share one WhatsApp client.

use anyhow::Result;
use chasqui_directory::NewKey;
use chasqui_identity::TokenSettings;
use chasqui_ingest::Config;
use chasqui_proto::v1::{
    AgentEntry, AgentStatus, ChannelKind, Direction, ListenerEntry, Message, MessageType, Priority,
    SenderType, SessionStatus, UserEntry, directory_entry::Entry,
};
use chasqui_testkit::{NatsOptions, wait_for};
use jsonwebtoken::{EncodingKey, Header, encode};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    directory::{key, status, tell, tenant, until},
    whatsapp::{QR, Whatsapp},
    world::{API_KEY, CONTACT, NUMBER, SOON, World, answer, config},
};

const JWT_SECRET: &str = "an-hs256-secret-of-32-bytes-here";

/// A client that is connected through a number of the Cloud API.
async fn connected() -> Result<(World, Whatsapp)> {
    let world = World::start().await?;
    let whatsapp = Whatsapp::start(&world).await?;
    whatsapp.stands("default", "", NUMBER, SessionStatus::Connected);
    Ok((world, whatsapp))
}

/// What a bot sends, as the original does.
fn send(world: &World, body: &Value) -> RequestBuilder {
    world.post("/api/whatsapp/send").header("x-api-key", API_KEY).json(body)
}

fn hola() -> Value {
    json!({ "to": CONTACT, "message": "hola" })
}

fn not_connected() -> (u16, Value) {
    (503, json!({ "success": false, "error": "Cliente de WhatsApp no está conectado" }))
}

async fn newest(world: &World) -> Result<Message> {
    world.stored().await?.last().expect("something is stored").decode()
}

#[tokio::test]
async fn shc_03_a_message_is_stored_before_it_is_answered() -> Result<()> {
    let (world, whatsapp) = connected().await?;
    let (code, told) = answer(send(&world, &hola()).send().await?).await?;
    let stored = world.stored().await?;
    assert_eq!(stored[0].subject, format!("messages.out.default.{CONTACT}"));
    let message: Message = stored[0].decode()?;
    let expected = json!({
        "success": true, "messageId": message.id, "to": CONTACT, "status": "queued", "session": NUMBER,
    });
    assert_eq!((code, told), (200, expected));
    assert_eq!((message.text.as_str(), message.r#type()), ("hola", MessageType::Text));
    assert_eq!((message.direction(), message.sender_type()), (Direction::Out, SenderType::Ai));
    assert_eq!(message.priority(), Priority::Transactional);
    let channel = message.channel.unwrap_or_default();
    assert_eq!((channel.kind(), channel.id.as_str()), (ChannelKind::WhatsappCloud, NUMBER));
    whatsapp.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_07_every_spelling_of_a_number_reaches_the_same_contact() -> Result<()> {
    let (world, whatsapp) = connected().await?;
    for to in [CONTACT, "5491100000001@c.us", "+54 911 0000-0001"] {
        let (code, told) =
            answer(send(&world, &json!({ "to": to, "message": "hola" })).send().await?).await?;
        assert_eq!((code, &told["to"]), (200, &json!(CONTACT)), "{to}: {told}");
    }
    let subjects: Vec<_> = world.stored().await?.into_iter().map(|stored| stored.subject).collect();
    assert_eq!(subjects, vec![format!("messages.out.default.{CONTACT}"); 3]);
    let (code, told) =
        answer(send(&world, &json!({ "to": "visitor-7", "message": "hola" })).send().await?).await?;
    assert_eq!((code, &told["success"]), (400, &json!(false)));
    assert!(
        told["error"].as_str().is_some_and(|error| error.starts_with("to: must be a phone number")),
        "{told}"
    );
    whatsapp.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_08_without_a_connection_nothing_is_taken() -> Result<()> {
    let world = World::start().await?;
    assert_eq!(answer(send(&world, &hola()).send().await?).await?, not_connected(), "nobody owns a number");
    let whatsapp = Whatsapp::start(&world).await?;
    for status in [
        SessionStatus::Stopped,
        SessionStatus::Starting,
        SessionStatus::ScanQr,
        SessionStatus::LoggedOut,
        SessionStatus::Failed,
    ] {
        let name = format!("s{}", i32::from(status));
        whatsapp.stands("default", &name, &name, status);
        let body = json!({ "to": CONTACT, "message": "hola", "session": name });
        let response = send(&world, &body).send().await?;
        assert!(response.headers().contains_key("retry-after"), "{status:?}");
        assert_eq!(answer(response).await?, not_connected(), "{status:?}");
    }
    assert!(world.stored().await?.is_empty());
    // What was connected is being connected again: the message waits for it.
    whatsapp.stands("default", "haby", "haby", SessionStatus::Reconnecting);
    let body = json!({ "to": CONTACT, "message": "hola", "session": "haby" });
    assert_eq!(answer(send(&world, &body).send().await?).await?.1["session"], "haby");
    assert_eq!(newest(&world).await?.channel.unwrap_or_default().kind(), ChannelKind::WhatsappLinked);
    let unknown = json!({ "to": CONTACT, "message": "hola", "session": "unknown" });
    let (code, told) = answer(send(&world, &unknown).send().await?).await?;
    assert_eq!((code, &told["error"]), (400, &json!("session: there is no such session")));
    whatsapp.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_08_a_connection_that_is_lost_is_noticed_within_a_second() -> Result<()> {
    let (world, whatsapp) = connected().await?;
    assert_eq!(status(send(&world, &hola())).await, Some(200));
    whatsapp.stands("default", "", NUMBER, SessionStatus::Failed);
    let noticed = until("the lost connection is noticed", 503, || send(&world, &hola()));
    tokio::time::timeout(std::time::Duration::from_secs(1), noticed).await?;
    whatsapp.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_14_an_answer_of_any_type_goes_out_with_what_belongs_to_it() -> Result<()> {
    let (world, whatsapp) = connected().await?;
    let template = json!({ "name": "hello", "language": { "code": "es" } });
    let body = json!({
        "to": CONTACT, "type": "template", "template": template, "context": { "message_id": "wamid.A" },
        "fallback_template": template, "callback_data": "order 7", "expires_in_s": 60,
    });
    let (code, told) = answer(send(&world, &body).send().await?).await?;
    assert_eq!(code, 200, "{told}");
    let message = newest(&world).await?;
    assert_eq!((message.r#type(), message.priority()), (MessageType::Template, Priority::Reply));
    let raw: Value = serde_json::from_slice(&message.raw)?;
    assert_eq!(raw["template"]["name"], "hello");
    assert_eq!(serde_json::from_slice::<Value>(&message.fallback)?, template);
    assert_eq!(message.context.unwrap_or_default().provider_message_id, "wamid.A");
    assert_eq!(message.callback_data, "order 7");
    assert_eq!(message.expires_at_ms, message.received_at_ms + 60_000);
    whatsapp.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_19_a_message_repeated_under_its_key_is_stored_once() -> Result<()> {
    let (world, whatsapp) = connected().await?;
    let with_key = async |key: &str, text: &str| {
        let body = json!({ "to": CONTACT, "message": text });
        answer(send(&world, &body).header("Idempotency-Key", key).send().await?).await
    };
    let (code, first) = with_key("one", "hola").await?;
    assert_eq!(code, 200, "{first}");
    // It may go through another session when it is repeated: it is the same message.
    whatsapp.stands("default", "", "haby", SessionStatus::Connected);
    assert_eq!(with_key("one", "hola").await?.1["messageId"], first["messageId"]);
    assert_ne!(with_key("two", "hola").await?.1["messageId"], first["messageId"]);
    assert_eq!(world.stored().await?.len(), 2);
    let (code, told) = with_key("one", "adiós").await?;
    let expected = json!({ "success": false, "error": "Idempotency-Key: it was used for another message" });
    assert_eq!((code, told), (409, expected));
    assert_eq!(with_key(&"k".repeat(256), "hola").await?.0, 400);
    assert_eq!(world.stored().await?.len(), 2);
    whatsapp.stop().await;
    world.stop().await
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_named_and_nothing_is_stored() -> Result<()> {
    let (world, whatsapp) = connected().await?;
    for (body, field) in [
        ("", "body"),
        ("[]", "body"),
        ("{", "body"),
        (r#"{"message":"hola"}"#, "to"),
        (r#"{"to":"5491100000001"}"#, "message"),
        (r#"{"to":"5491100000001","message":""}"#, "message"),
        (r#"{"to":"5491100000001","message":"hola","priority":"now"}"#, "priority"),
        (r#"{"to":"5491100000001","message":"hola","session":"a.b"}"#, "session"),
        (r#"{"to":"5491100000001","message":"hola","expires_in_s":0}"#, "expires_in_s"),
        (r#"{"to":"5491100000001","type":"template","template":{}}"#, "template"),
    ] {
        let request = world.post("/api/whatsapp/send").header("x-api-key", API_KEY).body(body);
        let (code, told) = answer(request.send().await?).await?;
        assert_eq!((code, &told["success"]), (400, &json!(false)), "{body}: {told}");
        assert!(told["error"].as_str().is_some_and(|error| error.starts_with(field)), "{body}: {told}");
    }
    let too_large = json!({ "to": CONTACT, "message": "x".repeat(65_536) });
    assert_eq!(status(send(&world, &too_large)).await, Some(413));
    assert!(world.stored().await?.is_empty());
    whatsapp.stop().await;
    world.stop().await
}

#[tokio::test]
async fn a_message_that_could_not_be_stored_says_so() -> Result<()> {
    let (world, whatsapp) = connected().await?;
    assert_eq!(status(send(&world, &hola())).await, Some(200));
    world.nats.kill();
    world.is_ready(false).await;
    let (code, told) = answer(send(&world, &hola()).send().await?).await?;
    assert_eq!((code, &told["success"]), (503, &json!(false)), "{told}");
    drop(whatsapp);
    world.stop().await
}

#[tokio::test]
async fn shc_04_shc_15_the_status_is_told_in_exactly_these_words() -> Result<()> {
    let world = World::start().await?;
    let key = |request: RequestBuilder| request.header("x-api-key", API_KEY);
    let show = async |path: &str| answer(key(world.get(path)).send().await?).await;
    let away = json!({ "connected": false, "state": "DISCONNECTED", "listeners": 0 });
    assert_eq!(show("/api/whatsapp/status").await?, (200, away));
    let whatsapp = Whatsapp::start(&world).await?;
    whatsapp.stands("default", "", NUMBER, SessionStatus::Connected);
    for (id, disabled, tenant) in [(1, false, "default"), (2, true, "default"), (3, false, "acme")] {
        let id = uuid::Uuid::from_u128(id).to_string();
        let listener = ListenerEntry { tenant: tenant.into(), id, disabled, ..ListenerEntry::default() };
        tell(&world, Entry::Listener(listener)).await?;
    }
    let connected = json!({ "connected": true, "state": "CONNECTED", "listeners": 1 });
    wait_for(SOON, "the client is connected, with one listener that is enabled", async || {
        let (_, told) = show("/api/whatsapp/status").await.ok()?;
        (told == connected).then_some(())
    })
    .await;
    let text = key(world.get("/api/whatsapp/status")).send().await?.text().await?;
    assert_eq!(text.matches(':').count(), 3, "{text}");
    let bot = json!({ "bot": "WhatsApp Bot Responder", "status": "running", "whatsapp": connected });
    assert_eq!(show("/api/status").await?, (200, bot.clone()));
    assert_eq!(
        answer(world.get("/api/status").send().await?).await?,
        (200, bot),
        "as bots asked, without a key"
    );
    whatsapp.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_05_a_name_under_which_no_device_was_linked_is_the_number_of_the_cloud_api() -> Result<()> {
    let world = World::start().await?;
    let key = |request: RequestBuilder| request.header("x-api-key", API_KEY);
    let whatsapp = Whatsapp::start(&world).await?;
    whatsapp.stands("default", "", NUMBER, SessionStatus::Connected);
    let connected = json!({ "status": "CONNECTED", "connected": true, "qr": null });
    let told = answer(key(world.get("/haby/api/wapp-session/status")).send().await?).await?;
    assert_eq!(told, (200, connected));
    let (code, _) = answer(key(world.post("/haby/api/wapp-session/init")).send().await?).await?;
    assert_eq!((code, whatsapp.opened()), (200, vec![NUMBER.to_owned()]), "no device is linked beside it");
    whatsapp.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_05_shc_06_an_older_client_starts_its_session_and_shows_the_qr() -> Result<()> {
    let world = World::start().await?;
    let key = |request: RequestBuilder| request.header("x-api-key", API_KEY);
    let show = async || answer(key(world.get("/haby/api/wapp-session/status")).send().await?).await;
    let init = || key(world.post("/haby/api/wapp-session/init"));
    let unknown = (200, json!({ "status": "DISCONNECTED", "connected": false, "qr": null }));
    assert_eq!(show().await?, unknown, "nobody owns the sessions");
    assert_eq!(answer(init().send().await?).await?, not_connected());
    let whatsapp = Whatsapp::start(&world).await?;
    assert_eq!(show().await?, unknown, "there is none of this name");
    let (code, told) = answer(key(world.get("/a*b/api/wapp-session/status")).send().await?).await?;
    assert_eq!(code, 400, "{told}");
    assert!(told["error"].as_str().is_some_and(|error| error.starts_with("session: must have")), "{told}");
    let started = init().send().await?;
    let scan = json!({ "status": "SCAN_QR", "connected": false, "qr": QR });
    assert_eq!(answer(started).await?, (200, scan.clone()));
    assert_eq!(show().await?, (200, scan));
    whatsapp.stands("default", "haby", "haby", SessionStatus::Connected);
    let connected = json!({ "status": "CONNECTED", "connected": true, "qr": null });
    wait_for(SOON, "the session is connected", async || (show().await.ok()?.1 == connected).then_some(()))
        .await;
    whatsapp.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_23_shc_24_without_the_key_nothing_is_told_or_taken() -> Result<()> {
    let (world, whatsapp) = connected().await?;
    let listener = NewKey::generate();
    tell(&world, key(&listener, "acme", "listen")).await?;
    for (method, path) in [
        (Method::POST, "/api/whatsapp/send"),
        (Method::GET, "/api/whatsapp/status"),
        (Method::GET, "/haby/api/wapp-session/status"),
        (Method::POST, "/haby/api/wapp-session/init"),
    ] {
        let request = || {
            let url = world.get(path).build().expect("a request").url().clone();
            world.client.request(method.clone(), url).json(&hola())
        };
        for key in [None, Some(""), Some("another"), Some("key-of-the-bo")] {
            let request = key.map_or_else(&request, |key| request().header("x-api-key", key));
            let expected = (401, json!({ "error": "Unauthorized" }));
            assert_eq!(answer(request.send().await?).await?, expected, "{method} {path} {key:?}");
        }
        let expected = if path == "/api/whatsapp/status" { 200 } else { 403 };
        let by_listener = || request().header("x-api-key", listener.secret.expose_secret());
        until(&format!("a key that only listens, at {path}"), expected, by_listener).await;
    }
    assert!(world.stored().await?.is_empty());
    whatsapp.stop().await;
    world.stop().await
}

#[tokio::test]
async fn a_key_sends_for_its_own_tenant_through_its_own_sessions() -> Result<()> {
    let (world, whatsapp) = connected().await?;
    let acme = NewKey::generate();
    tell(&world, key(&acme, "acme", "send")).await?;
    let by_acme =
        |body: &Value| world.post("/api/whatsapp/send").bearer_auth(acme.secret.expose_secret()).json(body);
    until("the key is known, and its tenant has no session", 503, || by_acme(&hola())).await;
    whatsapp.stands("default", "haby", "haby", SessionStatus::Connected);
    let others = json!({ "to": CONTACT, "message": "hola", "session": "haby" });
    assert_eq!(status(by_acme(&others)).await, Some(400), "another tenant's session");
    whatsapp.stands("acme", "", "main", SessionStatus::Connected);
    until("its own session takes it", 200, || by_acme(&hola())).await;
    let stored = world.stored().await?;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].subject, format!("messages.out.acme.{CONTACT}"));
    let message: Message = stored[0].decode()?;
    assert_eq!((message.tenant.as_str(), message.sender_id.as_str()), ("acme", "acme-send"));
    whatsapp.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_30_who_sends_too_fast_is_told_when_to_try_again() -> Result<()> {
    let few = std::num::NonZeroU32::new(1).expect("it is not zero");
    let slow = Config { sends_per_second_max: few, requests_per_second_max: few, ..config() };
    let world = World::start_with(slow, NatsOptions::default()).await?;
    let whatsapp = Whatsapp::start(&world).await?;
    whatsapp.stands("default", "", NUMBER, SessionStatus::Connected);
    let refused = |request: fn(&World) -> RequestBuilder| {
        let world = &world;
        wait_for(SOON, "a request is one too many", async move || {
            let response = request(world).send().await.ok()?;
            (response.status().as_u16() == 429).then_some(response)
        })
    };
    for request in [
        |world: &World| send(world, &hola()),
        |world: &World| world.get("/api/whatsapp/status").header("x-api-key", API_KEY),
    ] {
        let response = refused(request).await;
        assert_eq!(response.headers()["retry-after"], "1");
        let (_, told) = answer(response).await?;
        assert_eq!(told, json!({ "success": false, "error": "too many requests; try again in 1 s" }));
    }
    let other = NewKey::generate();
    tell(&world, key(&other, "acme", "listen")).await?;
    let by_other = || world.get("/api/whatsapp/status").header("x-api-key", other.secret.expose_secret());
    until("another caller is not slowed", 200, by_other).await;
    let metrics = world.get("/metrics").send().await?.text().await?;
    assert!(metrics.contains("chasqui_ingest_rate_limited_total{of=\"sends\"}"), "{metrics}");
    whatsapp.stop().await;
    world.stop().await
}

fn jwt(claims: &Value) -> String {
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    encode(&Header::default(), claims, &key).expect("claims are JSON")
}

#[tokio::test]
async fn shc_31_staff_sends_with_the_token_it_signed_in_with() -> Result<()> {
    let tokens = TokenSettings { secret: Some(JWT_SECRET.into()), ..TokenSettings::default() };
    let world = World::start_with(Config { tokens, ..config() }, NatsOptions::default()).await?;
    let whatsapp = Whatsapp::start(&world).await?;
    whatsapp.stands("acme", "", NUMBER, SessionStatus::Connected);
    let by = |claims: &Value| world.post("/api/whatsapp/send").bearer_auth(jwt(claims)).json(&hola());
    let staff = json!({ "id": "u1", "tenant": "acme", "role": "staff" });
    assert_eq!(answer(by(&staff).send().await?).await?.0, 200);
    let message = newest(&world).await?;
    assert_eq!((message.tenant.as_str(), message.sender_id.as_str()), ("acme", "u1"));
    assert_eq!((message.sender_type(), message.priority()), (SenderType::Agent, Priority::Reply));
    for (claims, expected) in [
        (json!({ "id": "u2", "tenant": "acme" }), 403),
        (json!({ "id": "u1", "tenant": "acme", "role": "staff", "phone": CONTACT }), 403),
        (json!({ "id": "u1", "tenant": "acme", "role": "staff", "exp": 1_000_000_000 }), 401),
        (json!({ "role": "staff" }), 401),
    ] {
        assert_eq!(status(by(&claims)).await, Some(expected), "{claims}");
    }
    let forged = world.post("/api/whatsapp/send").bearer_auth("a.b.c").json(&hola());
    assert_eq!(answer(forged.send().await?).await?, (401, json!({ "error": "Unauthorized" })));
    let agent = AgentEntry {
        tenant: "acme".into(),
        id: "a2".into(),
        user_id: "u2".into(),
        status: AgentStatus::Active.into(),
        ..AgentEntry::default()
    };
    tell(&world, Entry::Agent(agent)).await?;
    let u2 = json!({ "id": "u2", "tenant": "acme" });
    until("an active agent is staff", 200, || by(&u2)).await;
    let user = UserEntry { tenant: "acme".into(), id: "u2".into(), suspended: true, ..UserEntry::default() };
    tell(&world, Entry::User(user)).await?;
    until("a suspended user is not", 403, || by(&u2)).await;
    tell(&world, tenant("acme", true)).await?;
    until("nor is anybody of a suspended tenant", 403, || by(&staff)).await;
    whatsapp.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_31_without_a_key_to_check_tokens_none_lets_anybody_in() -> Result<()> {
    let (world, whatsapp) = connected().await?;
    let staff = jwt(&json!({ "id": "u1", "role": "staff" }));
    let request = world.post("/api/whatsapp/send").bearer_auth(staff).json(&hola());
    assert_eq!(answer(request.send().await?).await?, (401, json!({ "error": "Unauthorized" })));
    whatsapp.stop().await;
    world.stop().await
}
