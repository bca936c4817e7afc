//! Bots that register where their messages are posted, and operators who look after them.

use anyhow::Result;
use chasqui_directory::NewKey;
use chasqui_ingest::Config;
use chasqui_kit::seal::Seal;
use chasqui_proto::{
    service,
    v1::{ListenerEntry, directory_entry::Entry},
};
use chasqui_testkit::{NatsOptions, wait_for};
use futures::StreamExt;
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    directory::{Persistence, key, status, tell, until},
    world::{API_KEY, SOON, World, answer, config},
};

const SEALING_KEY: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const URL: &str = "https://bot.example.org/api/message-received";
pub(crate) const LISTENERS: &str = "/api/whatsapp/listeners";

pub(crate) async fn start() -> Result<(World, Persistence)> {
    let world = World::start_with(sealing(), NatsOptions::default()).await?;
    let persistence = Persistence::start(&world).await?;
    Ok((world, persistence))
}

fn sealing() -> Config {
    Config { sealing_key: Some(SEALING_KEY.into()), ..config() }
}

pub(crate) fn ask(world: &World, method: Method, path: &str, body: &Value) -> RequestBuilder {
    let url = world.get(path).build().expect("a request").url().clone();
    let request = world.client.request(method, url).header("x-api-key", API_KEY);
    if body.is_null() { request } else { request.json(body) }
}

pub(crate) fn register(world: &World, body: &Value) -> RequestBuilder {
    ask(world, Method::POST, "/api/whatsapp/register-listener", body)
}

/// The only listener that is stored.
pub(crate) fn only(persistence: &Persistence) -> ListenerEntry {
    let held = persistence.held();
    let mut listeners = held.values().filter_map(|entry| match entry {
        Entry::Listener(listener) => Some(listener.clone()),
        _ => None,
    });
    let listener = listeners.next().expect("a listener");
    assert_eq!(listeners.next(), None, "one listener");
    listener
}

pub(crate) fn opened(sealed: &str) -> String {
    let seal = Seal::new(&SEALING_KEY.into()).expect("a key");
    seal.open(sealed).expect("it was sealed with this key").expose_secret().to_owned()
}

pub(crate) fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn shc_01_shc_12_shc_21_a_bot_registers_as_often_as_it_likes() -> Result<()> {
    let (world, persistence) = start().await?;
    let (code, told) = answer(register(&world, &json!({ "url": URL })).send().await?).await?;
    assert_eq!(
        (code, &told["success"], &told["listener"]["url"]),
        (200, &json!(true), &json!(URL)),
        "{told}"
    );
    assert_eq!(told["listener"]["events"], json!(["message.received"]));
    assert_eq!(told["listener"]["format"], "client");
    let (secret, first) = (text_of(&told["secret"]), only(&persistence));
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    assert_eq!(opened(&first.sealed_secrets[0]), secret);
    assert!(!told["listener"].to_string().contains(&secret), "it stands in one place: {told}");
    // With everything that the bot of the original may say besides; before and after this node has heard of it.
    for _ in 0..5 {
        let again = json!({ "url": URL, "name": "bot" });
        let (code, told) = answer(register(&world, &again).send().await?).await?;
        assert_eq!((code, &told["listener"]["id"]), (200, &json!(first.id)), "{told}");
        assert_eq!(told.get("secret"), None, "it was told once");
    }
    assert_eq!((only(&persistence), persistence.replaced()), (first, 0));
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_21_who_registers_again_changes_only_what_it_says_anew() -> Result<()> {
    let (world, persistence) = start().await?;
    let first =
        json!({ "url": URL, "events": ["message.status", "message.received"], "description": "bot 1" });
    assert_eq!(status(register(&world, &first)).await, Some(200));
    let before = only(&persistence);
    let again = json!({ "url": URL, "events": ["message.received"], "format": "chasqui" });
    let (_, told) = answer(register(&world, &again).send().await?).await?;
    assert_eq!(told["listener"]["format"], "chasqui", "{told}");
    let after = only(&persistence);
    assert_eq!(
        (after.events.as_slice(), after.description.as_str()),
        (&["message.received".to_owned()][..], "bot 1")
    );
    assert_eq!((&after.id, &after.sealed_secrets), (&before.id, &before.sealed_secrets));
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_01_shc_13_who_registers_answers_unless_it_says_that_it_only_records() -> Result<()> {
    let (world, persistence) = start().await?;
    for (body, answers) in [
        (json!({ "url": URL }), true),
        (json!({ "url": URL, "answers": false }), false),
        (json!({ "url": URL, "answers": false, "format": "chasqui" }), false),
        // What a bot does not say it has never heard of: it answers.
        (json!({ "url": URL }), true),
    ] {
        let (code, told) = answer(register(&world, &body).send().await?).await?;
        assert_eq!((code, &told["listener"]["answers"]), (200, &json!(answers)), "{told}");
        assert_eq!(only(&persistence).answers, answers, "{body}");
        let known = format!("{LISTENERS}/{}", only(&persistence).id);
        let (_, told) = answer(ask(&world, Method::GET, &known, &Value::Null).send().await?).await?;
        assert_eq!(told["listener"]["answers"], json!(answers), "{told}");
    }
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn a_bot_may_bring_its_own_secret_and_change_it() -> Result<()> {
    let (world, persistence) = start().await?;
    let secret = |byte: &str| format!("whsec_{}", byte.repeat(32));
    let with = async |secret: &str| {
        answer(register(&world, &json!({ "url": URL, "secret": secret })).send().await?).await
    };
    let (code, told) = with(&secret("a")).await?;
    assert_eq!((code, told.get("secret")), (200, None), "who brought it knows it: {told}");
    assert_eq!(opened(&only(&persistence).sealed_secrets[0]), secret("a"));
    let before = only(&persistence);
    assert_eq!(with(&secret("a")).await?.0, 200);
    assert_eq!(only(&persistence), before, "nothing is written for the same one");
    for byte in ["b", "c"] {
        assert_eq!(with(&secret(byte)).await?.0, 200);
    }
    let sealed: Vec<String> = only(&persistence).sealed_secrets.iter().map(|sealed| opened(sealed)).collect();
    assert_eq!(sealed, [secret("c"), secret("b")], "the one before signs as well");
    let (code, told) = with("short").await?;
    assert_eq!(code, 400);
    assert!(
        text_of(&told["error"]).starts_with("secret: must be whsec_") && !told.to_string().contains("short")
    );
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn no_secret_is_ever_on_the_bus_in_clear() -> Result<()> {
    let (world, persistence) = start().await?;
    let client = world.nats_client().await?;
    let mut heard = client.subscribe(">").await?;
    assert!(client.request(client.new_inbox(), bytes::Bytes::new()).await.is_err(), "nobody listens there");
    let own = format!("whsec_{}", "a".repeat(32));
    let (_, told) = answer(register(&world, &json!({ "url": URL })).send().await?).await?;
    let path = format!("{LISTENERS}/{}/rotate-secret", text_of(&told["listener"]["id"]));
    let (_, rotated) = answer(ask(&world, Method::POST, &path, &Value::Null).send().await?).await?;
    let other = json!({ "url": format!("{URL}/2"), "secret": own });
    assert_eq!(status(register(&world, &other)).await, Some(200));
    client.publish("end", bytes::Bytes::new()).await?;
    let secrets = [text_of(&told["secret"]), text_of(&rotated["secret"]), own];
    let (mut puts, text) = (0, |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned());
    while let Some(message) = tokio::time::timeout(SOON, heard.next()).await? {
        if message.subject.as_str() == "end" {
            break;
        }
        puts += usize::from(message.subject.as_str() == service::DIRECTORY_PUT.subject);
        let whole = format!("{} {:?} {}", message.subject, message.headers, text(&message.payload));
        for secret in &secrets {
            let bare = secret.trim_start_matches("whsec_");
            assert!(bare.len() >= 32 && !whole.contains(bare), "{} tells a secret", message.subject);
        }
    }
    assert_eq!(puts, 3, "everything was heard");
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_02_a_bot_that_leaves_is_forgotten() -> Result<()> {
    let (world, persistence) = start().await?;
    assert_eq!(status(register(&world, &json!({ "url": URL }))).await, Some(200));
    let leave = || ask(&world, Method::POST, "/api/whatsapp/unregister-listener", &json!({ "url": URL }));
    assert_eq!(answer(leave().send().await?).await?, (200, json!({ "success": true, "removed": true })));
    assert!(persistence.held().is_empty());
    assert_eq!(answer(leave().send().await?).await?, (200, json!({ "success": true, "removed": false })));
    let (code, told) =
        answer(ask(&world, Method::POST, "/api/whatsapp/unregister-listener", &json!({})).send().await?)
            .await?;
    assert_eq!(code, 400);
    assert!(text_of(&told["error"]).starts_with("url: is needed"), "{told}");
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_12_who_was_given_up_is_back_when_it_registers_unless_an_operator_said_no() -> Result<()> {
    let (world, persistence) = start().await?;
    assert_eq!(status(register(&world, &json!({ "url": URL }))).await, Some(200));
    for (reason, expected) in [("gone", false), ("failing", false), ("operator", true)] {
        let given_up = ListenerEntry { disabled: true, disabled_reason: reason.into(), ..only(&persistence) };
        persistence
            .held()
            .insert((6, "default".into(), given_up.id.clone()), Entry::Listener(given_up.clone()));
        tell(&world, Entry::Listener(given_up)).await?;
        wait_for(SOON, "the bot registers", async || {
            let (_, told) = answer(register(&world, &json!({ "url": URL })).send().await.ok()?).await.ok()?;
            (told["listener"]["disabled"] == json!(expected) && only(&persistence).disabled == expected)
                .then_some(())
        })
        .await;
        let reason = if expected { "operator" } else { "" };
        assert_eq!(only(&persistence).disabled_reason, reason);
    }
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_23_shc_24_only_who_may_hear_says_where() -> Result<()> {
    let (world, persistence) = start().await?;
    let sender = NewKey::generate();
    tell(&world, key(&sender, "acme", "send")).await?;
    let id = uuid::Uuid::nil();
    for (method, path) in [
        (Method::POST, "/api/whatsapp/register-listener".to_owned()),
        (Method::POST, "/api/whatsapp/unregister-listener".to_owned()),
        (Method::GET, LISTENERS.to_owned()),
        (Method::GET, format!("{LISTENERS}/{id}")),
        (Method::PATCH, format!("{LISTENERS}/{id}")),
        (Method::DELETE, format!("{LISTENERS}/{id}")),
        (Method::GET, format!("{LISTENERS}/{id}/deliveries")),
        (Method::POST, format!("{LISTENERS}/{id}/test")),
        (Method::POST, format!("{LISTENERS}/{id}/replay")),
        (Method::POST, format!("{LISTENERS}/{id}/rotate-secret")),
    ] {
        let url = world.get(&path).build()?.url().clone();
        let request = || world.client.request(method.clone(), url.clone()).json(&json!({ "url": URL }));
        for key in [None, Some(""), Some("another")] {
            let request = key.map_or_else(&request, |key| request().header("x-api-key", key));
            let expected = (401, json!({ "error": "Unauthorized" }));
            assert_eq!(answer(request.send().await?).await?, expected, "{method} {path} {key:?}");
        }
        let by_sender = || request().header("x-api-key", sender.secret.expose_secret());
        until(&format!("a key that only sends, at {method} {path}"), 403, by_sender).await;
    }
    assert!(persistence.held().is_empty());
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_25_a_callback_into_our_own_networks_is_refused_unless_it_is_allowed() -> Result<()> {
    let (world, persistence) = start().await?;
    for url in [
        "http://localhost:3013/api/message-received",
        "http://127.0.0.1:3013/api/message-received",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://10.0.0.7/",
        "http://2130706433/",
        "ftp://bot.example.org/",
        "http://user:password@bot.example.org/",
        "bot.example.org",
        "",
    ] {
        let (code, told) = answer(register(&world, &json!({ "url": url })).send().await?).await?;
        assert_eq!((code, &told["success"]), (400, &json!(false)), "{url}: {told}");
        assert!(text_of(&told["error"]).starts_with("url: "), "{url}: {told}");
    }
    assert!(persistence.held().is_empty());
    persistence.stop().await;
    world.stop().await?;
    let local = Config { private_networks_allowed: vec!["127.0.0.0/8".into()], ..sealing() };
    let world = World::start_with(local, NatsOptions::default()).await?;
    let persistence = Persistence::start(&world).await?;
    let at = |url: &str| register(&world, &json!({ "url": url }));
    assert_eq!(status(at("http://localhost:3013/api/message-received")).await, Some(200));
    assert_eq!(status(at("http://10.0.0.7/")).await, Some(400));
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn what_is_wrong_with_a_listener_is_named() -> Result<()> {
    let (world, persistence) = start().await?;
    for (body, field) in [
        (json!([]), "body"),
        (json!({}), "url"),
        (json!({ "url": 7 }), "url"),
        (json!({ "url": URL, "events": ["everything"] }), "events"),
        (json!({ "url": URL, "events": "message.received" }), "events"),
        (json!({ "url": URL, "format": "xml" }), "format"),
        (json!({ "url": URL, "format": "" }), "format"),
        (json!({ "url": URL, "secret": "" }), "secret"),
        (json!({ "url": URL, "description": "x".repeat(257) }), "description"),
        (json!({ "url": URL, "answers": "yes" }), "answers"),
    ] {
        let (code, told) = answer(register(&world, &body).send().await?).await?;
        assert_eq!(code, 400, "{body}: {told}");
        assert!(text_of(&told["error"]).starts_with(&format!("{field}: ")), "{body}: {told}");
    }
    assert!(persistence.held().is_empty());
    persistence.stop().await;
    let (code, told) = answer(register(&world, &json!({ "url": URL })).send().await?).await?;
    assert_eq!(
        (code, &told["error"]),
        (503, &json!("it could not be done now; try again")),
        "without persistence"
    );
    world.stop().await?;
    let world = World::start().await?;
    let (code, told) = answer(register(&world, &json!({ "url": URL })).send().await?).await?;
    assert_eq!(code, 503);
    assert!(text_of(&told["error"]).contains("SEALING_KEY"), "{told}");
    world.stop().await
}

#[tokio::test]
async fn of_two_that_register_one_url_at_once_one_is_told_the_secret() -> Result<()> {
    let (world, persistence) = start().await?;
    let requests =
        (0..8).map(|_| async { answer(register(&world, &json!({ "url": URL })).send().await?).await });
    let told: Vec<(u16, Value)> = futures::future::try_join_all(requests).await?;
    assert!(told.iter().all(|(code, _)| *code == 200), "{told:?}");
    let secrets: Vec<String> =
        told.iter().filter_map(|(_, told)| told["secret"].as_str()).map(str::to_owned).collect();
    assert_eq!(secrets.len(), 1, "{told:?}");
    assert_eq!(opened(&only(&persistence).sealed_secrets[0]), secrets[0]);
    persistence.stop().await;
    world.stop().await
}
