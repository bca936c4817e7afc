//! Operators who look after who gets no campaigns.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex},
};

use anyhow::Result;
use chasqui_directory::NewKey;
use chasqui_identity::TokenSettings;
use chasqui_ingest::Config;
use chasqui_kit::{Code, Coded, serve::Responder};
use chasqui_proto::{
    service,
    v1::{ListOptOuts, OptOut, OptOutPage, OptOutRemoved, PutOptOut, RemoveOptOut},
};
use chasqui_testkit::NatsOptions;
use jsonwebtoken::{EncodingKey, Header, encode};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    directory::{bus, key, status, tell, until},
    world::{API_KEY, CONTACT, World, answer, config},
};

const OPT_OUTS: &str = "/api/opt-outs";
const JWT_SECRET: &str = "an-hs256-secret-of-32-bytes-here";
/// 2025-10-09T08:53:20Z.
const SINCE_MS: i64 = 1_760_000_000_000;

/// What persistence refuses with.
#[derive(Debug, thiserror::Error)]
#[error("cursor: must be the `next` of an earlier page")]
struct Refused;

impl Coded for Refused {
    fn code(&self) -> Code {
        Code::InvalidInput
    }
}

/// Plays persistence, and remembers what it was asked.
struct Persistence {
    asked: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    responder: Responder,
}

impl Persistence {
    async fn start(world: &World) -> Result<Self> {
        let (bus, stop, asked) =
            (bus(world).await?, CancellationToken::new(), Arc::<Mutex<Vec<String>>>::default());
        let responder = Responder::start(&bus, service::PERSISTENCE, "a stand-in", stop.clone()).await?;
        let note = |asked: &Arc<Mutex<Vec<String>>>, line: String| asked.lock().expect("no panic").push(line);
        let to = asked.clone();
        let list = move |question: ListOptOuts, _| {
            note(&to, format!("list {} {:?} {}", question.tenant, question.cursor, question.limit));
            let listed = (question.cursor != "odd").then(|| OptOutPage {
                opt_outs: vec![opt_out(&question.tenant, CONTACT), opt_out(&question.tenant, "lid_123")],
                next: if question.cursor.is_empty() { "more".into() } else { String::new() },
            });
            async move { listed.ok_or(Refused) }
        };
        responder.endpoint(service::OPT_OUTS_LIST, list).await?;
        let to = asked.clone();
        let put = move |question: PutOptOut, _| {
            note(&to, format!("put {} {}", question.tenant, question.conversation));
            let opt_out = opt_out(&question.tenant, &question.conversation);
            async move { Ok::<_, Refused>(opt_out) }
        };
        responder.endpoint(service::OPT_OUTS_PUT, put).await?;
        let to = asked.clone();
        let remove = move |question: RemoveOptOut, _| {
            note(&to, format!("remove {} {}", question.tenant, question.conversation));
            async move { Ok::<_, Refused>(OptOutRemoved { removed: question.conversation == CONTACT }) }
        };
        responder.endpoint(service::OPT_OUTS_REMOVE, remove).await?;
        bus.barrier().await?;
        Ok(Self { asked, stop, responder })
    }

    /// What it was asked since it was asked this before.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("no panic"))
    }

    async fn stop(self) {
        self.stop.cancel();
        self.responder.stopped().await;
    }
}

fn opt_out(tenant: &str, conversation: &str) -> OptOut {
    OptOut {
        tenant: tenant.into(),
        conversation: conversation.into(),
        source: "keyword".into(),
        since_ms: SINCE_MS,
    }
}

fn request(world: &World, method: Method, path: &str) -> RequestBuilder {
    let url = world.get(path).build().expect("a request").url().clone();
    world.client.request(method, url)
}

fn ask(world: &World, method: Method, path: &str) -> RequestBuilder {
    request(world, method, path).header("x-api-key", API_KEY)
}

#[tokio::test]
async fn opt_outs_are_listed_put_and_removed_under_any_spelling_of_a_number() -> Result<()> {
    let world = World::start().await?;
    let persistence = Persistence::start(&world).await?;
    let shown = json!({ "contact": CONTACT, "source": "keyword", "since": "2025-10-09T08:53:20Z" });
    let (code, told) = answer(ask(&world, Method::GET, OPT_OUTS).send().await?).await?;
    assert_eq!((code, &told["success"], &told["opt_outs"][0]), (200, &json!(true), &shown), "{told}");
    assert_eq!(told["opt_outs"][1]["contact"], "123@lid");
    let next = told["next"].as_str().expect("another page");
    let (_, told) =
        answer(ask(&world, Method::GET, &format!("{OPT_OUTS}?limit=2&cursor={next}")).send().await?).await?;
    assert_eq!(told["next"], Value::Null);
    assert_eq!(persistence.asked(), ["list default \"\" 0", "list default \"more\" 2"]);

    for spelling in [CONTACT, "+54%20911%200000-0001", "5491100000001@s.whatsapp.net"] {
        let path = format!("{OPT_OUTS}/{spelling}");
        let put = answer(ask(&world, Method::PUT, &path).send().await?).await?;
        assert_eq!(put, (200, json!({ "success": true, "opt_out": shown })), "{spelling}");
        let removed = answer(ask(&world, Method::DELETE, &path).send().await?).await?;
        assert_eq!(removed, (200, json!({ "success": true, "removed": true })), "{spelling}");
        assert_eq!(
            persistence.asked(),
            [format!("put default {CONTACT}"), format!("remove default {CONTACT}")]
        );
    }
    let other = format!("{OPT_OUTS}/5491100000002");
    let (code, told) = answer(ask(&world, Method::DELETE, &other).send().await?).await?;
    assert_eq!((code, &told["removed"]), (200, &json!(false)), "what is not there need not go");
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn what_is_wrong_is_told_by_its_name() -> Result<()> {
    let world = World::start().await?;
    let persistence = Persistence::start(&world).await?;
    for (method, path, expected) in [
        (Method::PUT, "/visitor-7", "contact: must be a phone number"),
        (Method::DELETE, "/12345", "contact: must be a phone number"),
        (Method::GET, "?limit=many", "query: "),
        (Method::GET, "?page=2", "query: "),
        (Method::GET, "?cursor=odd", "cursor: must be"),
    ] {
        let (code, told) = answer(ask(&world, method, &format!("{OPT_OUTS}{path}")).send().await?).await?;
        assert_eq!((code, &told["success"]), (400, &json!(false)), "{path}: {told}");
        assert!(told["error"].as_str().is_some_and(|error| error.starts_with(expected)), "{path}: {told}");
    }
    assert_eq!(persistence.asked(), ["list default \"odd\" 0"], "what cannot be meant is asked nobody");
    persistence.stop().await;
    let (code, _) = answer(ask(&world, Method::GET, OPT_OUTS).send().await?).await?;
    assert_eq!(code, 503, "nobody answers");
    world.stop().await
}

#[tokio::test]
async fn who_may_send_looks_after_its_own_tenants_opt_outs() -> Result<()> {
    let tokens = TokenSettings { secret: Some(JWT_SECRET.into()), ..TokenSettings::default() };
    let world = World::start_with(Config { tokens, ..config() }, NatsOptions::default()).await?;
    let persistence = Persistence::start(&world).await?;
    let path = format!("{OPT_OUTS}/{CONTACT}");
    assert_eq!(status(request(&world, Method::PUT, &path)).await, Some(401));
    let (sends, listens) = (NewKey::generate(), NewKey::generate());
    tell(&world, key(&sends, "acme", "send")).await?;
    tell(&world, key(&listens, "acme", "listen")).await?;
    let by =
        |key: &NewKey| request(&world, Method::PUT, &path).header("x-api-key", key.secret.expose_secret());
    until("a key that may send", 200, || by(&sends)).await;
    until("a key for something else", 403, || by(&listens)).await;
    let jwt = |claims: &Value| {
        let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
        encode(&Header::default(), claims, &key).expect("claims are JSON")
    };
    let staff = jwt(&json!({ "id": "u1", "tenant": "other", "role": "staff" }));
    assert_eq!(status(request(&world, Method::DELETE, &path).bearer_auth(staff)).await, Some(200));
    let user = jwt(&json!({ "id": "u2", "tenant": "other" }));
    assert_eq!(status(request(&world, Method::DELETE, &path).bearer_auth(user)).await, Some(403));
    assert_eq!(persistence.asked(), [format!("put acme {CONTACT}"), format!("remove other {CONTACT}")]);
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn who_asks_too_fast_is_told_when_to_come_back() -> Result<()> {
    let requests_per_second_max = NonZeroU32::new(1).expect("it is not zero");
    let world =
        World::start_with(Config { requests_per_second_max, ..config() }, NatsOptions::default()).await?;
    let persistence = Persistence::start(&world).await?;
    let mut answers = Vec::new();
    for _ in 0..8 {
        let response = ask(&world, Method::GET, OPT_OUTS).send().await?;
        answers.push((response.status().as_u16(), response.headers().contains_key("retry-after")));
    }
    assert_eq!(answers[0], (200, false));
    assert!(answers.contains(&(429, true)), "{answers:?}");
    persistence.stop().await;
    world.stop().await
}
