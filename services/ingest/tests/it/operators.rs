//! Operators who look after listeners.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use chasqui_directory::NewKey;
use chasqui_kit::{Bus, serve::Responder};
use chasqui_proto::{
    Tenant, service,
    subject::{self, NodeToken},
    v1::{
        DeliveriesReplayed, DeliveryAttempt, DeliveryOutcome, DeliveryPage, ListDeliveries, ListenerState,
        LoggedDelivery, ReplayDeliveries, TestListener,
    },
};
use prost::Message;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    directory::{NoEntry, bus, key, tell, until},
    listeners::{LISTENERS, URL, ask, only, opened, register, start, text_of},
    world::{World, answer},
};

/// Plays the service that posts, and what persistence keeps of it.
struct Webhooks {
    asked: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    responders: [Responder; 2],
}

impl Webhooks {
    async fn start(bus: &Bus) -> Result<Self> {
        let (stop, asked) = (CancellationToken::new(), Arc::<Mutex<Vec<String>>>::default());
        let log = Responder::start(bus, "delivery-log", "a stand-in", stop.clone()).await?;
        let note = |asked: &Arc<Mutex<Vec<String>>>, line: String| asked.lock().expect("no panic").push(line);
        let to = asked.clone();
        let list = move |question: ListDeliveries, _| {
            note(&to, format!("list {} {} {}", question.tenant, question.outcome, question.limit));
            let last = attempt(&question.tenant, &question.listener, DeliveryOutcome::Failed);
            let deliveries = vec![LoggedDelivery { last: Some(last), first_attempted_at_ms: 1 }];
            async move { Ok::<_, NoEntry>(DeliveryPage { deliveries, next: "more".into() }) }
        };
        log.endpoint(service::DELIVERIES_LIST, list).await?;
        let webhooks = Responder::start(bus, service::WEBHOOKS, "a stand-in", stop.clone()).await?;
        let to = asked.clone();
        let replay = move |question: ReplayDeliveries, _| {
            note(&to, format!("replay {} {:?} {}", question.tenant, question.delivery_id, question.since_ms));
            async move { Ok::<_, NoEntry>(DeliveriesReplayed { count: 2 }) }
        };
        webhooks.endpoint(service::DELIVERIES_REPLAY, replay).await?;
        let to = asked.clone();
        let test = move |question: TestListener, _| {
            note(&to, format!("test {}", question.tenant));
            let tried = attempt(&question.tenant, &question.listener, DeliveryOutcome::Delivered);
            async move { Ok::<_, NoEntry>(tried) }
        };
        webhooks.endpoint(service::LISTENERS_TEST, test).await?;
        bus.barrier().await?;
        Ok(Self { asked, stop, responders: [log, webhooks] })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }

    async fn stop(self) {
        self.stop.cancel();
        for responder in self.responders {
            responder.stopped().await;
        }
    }
}

fn attempt(tenant: &str, listener: &str, outcome: DeliveryOutcome) -> DeliveryAttempt {
    DeliveryAttempt {
        delivery_id: uuid::Uuid::nil().to_string(),
        tenant: tenant.into(),
        listener: listener.into(),
        event: "message.received".into(),
        attempt: 3,
        outcome: outcome.into(),
        http_status: 500,
        ..DeliveryAttempt::default()
    }
}

/// Says how a listener is doing, as the service that posts does.
async fn tell_state(world: &World, listener: &str) -> Result<()> {
    let tenant: Tenant = "default".parse()?;
    let state =
        ListenerState { pending: 7, lag_ms: 1_500, last_error: "500".into(), ..ListenerState::default() };
    let subject = subject::listeners_updated(&tenant, &NodeToken::new(listener));
    let jetstream = async_nats::jetstream::new(world.nats_client().await?);
    jetstream.publish(subject.as_str().to_owned(), state.encode_to_vec().into()).await?.await?;
    Ok(())
}

#[tokio::test]
async fn shc_28_an_operator_sees_listeners_and_how_they_are_doing() -> Result<()> {
    let (world, persistence) = start().await?;
    let webhooks = Webhooks::start(&bus(&world).await?).await?;
    let (_, told) = answer(register(&world, &json!({ "url": URL })).send().await?).await?;
    let id = text_of(&told["listener"]["id"]);
    let own = format!("{LISTENERS}/{id}");
    let show = async |path: &str| answer(ask(&world, Method::GET, path, &Value::Null).send().await?).await;
    let (code, told) = show(&own).await?;
    assert_eq!((code, &told["listener"]["state"]), (200, &Value::Null), "nothing was posted yet: {told}");
    tell_state(&world, &id).await?;
    let (code, told) = show(LISTENERS).await?;
    assert_eq!(
        (code, &told["next"], told["listeners"].as_array().map(Vec::len)),
        (200, &json!("more"), Some(1))
    );
    let state = &told["listeners"][0]["state"];
    assert_eq!(
        (&state["pending"], &state["lag_ms"], &state["last_error"]),
        (&json!(7), &json!(1_500), &json!("500"))
    );
    let (_, told) = show(&format!("{own}/deliveries?outcome=failed&limit=5")).await?;
    let delivery = &told["deliveries"][0];
    assert_eq!((&delivery["outcome"], &delivery["http_status"]), (&json!("failed"), &json!(500)), "{told}");
    let (code, told) =
        answer(ask(&world, Method::POST, &format!("{own}/test"), &Value::Null).send().await?).await?;
    assert_eq!(
        (code, &told["success"], &told["attempt"]["attempt"]),
        (200, &json!(true), &json!(3)),
        "{told}"
    );
    let replay = json!({ "since_ms": 5 });
    let replayed = ask(&world, Method::POST, &format!("{own}/replay"), &replay).send().await?;
    assert_eq!(answer(replayed).await?, (200, json!({ "success": true, "count": 2 })));
    let failed = i32::from(DeliveryOutcome::Failed);
    assert_eq!(
        webhooks.asked(),
        [format!("list default {failed} 5"), "test default".into(), "replay default \"\" 5".into()]
    );
    webhooks.stop().await;
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn shc_28_an_operator_changes_disables_and_removes_a_listener() -> Result<()> {
    let (world, persistence) = start().await?;
    let (_, told) = answer(register(&world, &json!({ "url": URL })).send().await?).await?;
    let own = format!("{LISTENERS}/{}", text_of(&told["listener"]["id"]));
    let change = async |body: Value| answer(ask(&world, Method::PATCH, &own, &body).send().await?).await;
    let (code, told) = change(json!({ "disabled": true, "events": ["message.status"] })).await?;
    assert_eq!((code, &told["listener"]["disabled_reason"]), (200, &json!("operator")), "{told}");
    assert_eq!(only(&persistence).events, ["message.status"]);
    let (_, told) = change(json!({ "disabled": false })).await?;
    assert_eq!(
        (&told["listener"]["disabled"], &told["listener"]["disabled_reason"]),
        (&json!(false), &json!(""))
    );
    let stored = only(&persistence);
    assert_eq!(
        (stored.events.as_slice(), stored.answers),
        (&["message.status".to_owned()][..], true),
        "what is left out stays"
    );
    let (_, told) = change(json!({ "answers": false })).await?;
    assert_eq!((&told["listener"]["answers"], only(&persistence).answers), (&json!(false), false), "{told}");
    for (body, field) in [
        (json!({ "url": "https://other.example.org/" }), "url"),
        (json!({ "secret": "whsec_" }), "secret"),
        (json!({ "disabled": "yes" }), "disabled"),
        (json!({ "answers": "yes" }), "answers"),
        (json!({ "events": ["x"] }), "events"),
        (json!([]), "body"),
    ] {
        let (code, told) = change(body.clone()).await?;
        assert_eq!(code, 400, "{body}: {told}");
        assert!(text_of(&told["error"]).starts_with(&format!("{field}: ")), "{body}: {told}");
    }
    let (code, told) = answer(
        ask(&world, Method::GET, &format!("{own}/deliveries?outcome=lost"), &Value::Null).send().await?,
    )
    .await?;
    assert!(code == 400 && text_of(&told["error"]).starts_with("outcome: "), "{told}");
    let (code, told) =
        answer(ask(&world, Method::GET, &format!("{LISTENERS}?lmit=1"), &Value::Null).send().await?).await?;
    assert!(code == 400 && text_of(&told["error"]).starts_with("query: "), "{told}");
    let remove = || ask(&world, Method::DELETE, &own, &Value::Null);
    assert_eq!(answer(remove().send().await?).await?, (200, json!({ "success": true, "removed": true })));
    let gone = (404, json!({ "success": false, "error": "there is no such listener" }));
    assert_eq!(answer(remove().send().await?).await?, gone);
    let no_id = ask(&world, Method::GET, &format!("{LISTENERS}/seven"), &Value::Null);
    assert_eq!(answer(no_id.send().await?).await?, gone);
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn a_new_secret_signs_beside_the_one_before_until_that_is_withdrawn() -> Result<()> {
    let (world, persistence) = start().await?;
    let (_, told) = answer(register(&world, &json!({ "url": URL })).send().await?).await?;
    let path = format!("{LISTENERS}/{}/rotate-secret", text_of(&told["listener"]["id"]));
    let rotate = async |body: Value| answer(ask(&world, Method::POST, &path, &body).send().await?).await;
    let (code, rotated) = rotate(Value::Null).await?;
    assert_eq!(code, 200, "{rotated}");
    let secrets =
        || only(&persistence).sealed_secrets.iter().map(|sealed| opened(sealed)).collect::<Vec<_>>();
    assert_eq!(secrets(), [text_of(&rotated["secret"]), text_of(&told["secret"])]);
    let (_, again) = rotate(json!({ "withdraw": true })).await?;
    assert_eq!(secrets(), [text_of(&again["secret"])]);
    let own = format!("whsec_{}", "a".repeat(32));
    assert_eq!(rotate(json!({ "secret": own })).await?.1.get("secret"), None);
    assert_eq!(secrets(), [own, text_of(&again["secret"])]);
    let (code, told) = rotate(json!({ "secret": "plain" })).await?;
    assert!(code == 400 && text_of(&told["error"]).starts_with("secret: "), "{told}");
    persistence.stop().await;
    world.stop().await
}

#[tokio::test]
async fn a_tenant_neither_sees_nor_touches_listeners_of_another() -> Result<()> {
    let (world, persistence) = start().await?;
    let (_, told) = answer(register(&world, &json!({ "url": URL })).send().await?).await?;
    let (id, before) = (text_of(&told["listener"]["id"]), only(&persistence));
    let acme = NewKey::generate();
    tell(&world, key(&acme, "acme", "listen")).await?;
    let by_acme = |method: Method, path: &str, body: &Value| {
        let url = world.get(path).build().expect("a request").url().clone();
        let request = world.client.request(method, url).bearer_auth(acme.secret.expose_secret());
        if body.is_null() { request } else { request.json(body) }
    };
    until("the key is known", 200, || by_acme(Method::GET, LISTENERS, &Value::Null)).await;
    let (_, told) = answer(by_acme(Method::GET, LISTENERS, &Value::Null).send().await?).await?;
    assert_eq!(told["listeners"], json!([]));
    for (method, path, body) in [
        (Method::GET, format!("{LISTENERS}/{id}"), Value::Null),
        (Method::PATCH, format!("{LISTENERS}/{id}"), json!({ "disabled": true })),
        (Method::DELETE, format!("{LISTENERS}/{id}"), Value::Null),
        (Method::GET, format!("{LISTENERS}/{id}/deliveries"), Value::Null),
        (Method::POST, format!("{LISTENERS}/{id}/test"), Value::Null),
        (Method::POST, format!("{LISTENERS}/{id}/replay"), json!({ "since_ms": 1 })),
        (Method::POST, format!("{LISTENERS}/{id}/rotate-secret"), Value::Null),
    ] {
        let (code, told) = answer(by_acme(method.clone(), &path, &body).send().await?).await?;
        assert_eq!((code, &told["error"]), (404, &json!("there is no such listener")), "{method} {path}");
    }
    let leave = by_acme(Method::POST, "/api/whatsapp/unregister-listener", &json!({ "url": URL }));
    assert_eq!(answer(leave.send().await?).await?.1["removed"], false);
    assert_eq!(only(&persistence), before);
    let same = by_acme(Method::POST, "/api/whatsapp/register-listener", &json!({ "url": URL }));
    let (code, told) = answer(same.send().await?).await?;
    assert_eq!(code, 200);
    assert!(
        told["listener"]["id"] != json!(id) && told["secret"].is_string(),
        "a listener of its own: {told}"
    );
    persistence.stop().await;
    world.stop().await
}
