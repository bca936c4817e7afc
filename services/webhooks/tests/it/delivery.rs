//! What listeners that work get.

use anyhow::Result;
use chasqui_kit::{TraceContext, clock, publish::Fact};
use chasqui_proto::{
    subject::{self, NodeToken},
    v1::{DeliveryOutcome, ListenerEntry, ListenerFormat, Session, SessionStatus},
};
use chasqui_testkit::wait_for;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::{
    receiver::{Answer, Receiver},
    world::{SECRET, SOON, World, config, listener, sealed, tenant},
};

#[tokio::test]
async fn shc_09_every_message_reaches_every_listener_once_signed_and_in_order() -> Result<()> {
    const MESSAGES: usize = 40;
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    for id in ["one", "two", "three"] {
        world.register(id, &bots.url).await?;
    }
    let replica = world.replica("webhooks-1").await?;
    for number in 0..MESSAGES {
        world.writes(&format!("549110000000{}", number % 4), &format!("{number:02}")).await?;
    }
    let all = 3 * MESSAGES;
    wait_for(SOON, "everything has come", async || (bots.all().len() >= all).then_some(())).await;
    wait_for(SOON, "nothing waits", async || (world.queued().await.ok()? == 0).then_some(())).await;
    assert_eq!(bots.all().len(), all, "each of them once");
    for id in ["one", "two", "three"] {
        let received = bots.of(id);
        assert!(received.iter().all(|received| received.signed_by(SECRET) == Some(0)));
        for contact in 0..4 {
            let from = format!("549110000000{contact}@c.us");
            let of_contact = received.iter().filter(|received| received.json()["from"] == json!(from));
            let texts: Vec<String> = of_contact.map(super::receiver::Received::text).collect();
            assert_eq!(texts.len(), MESSAGES / 4);
            assert!(texts.is_sorted(), "{texts:?}");
        }
    }
    let logged = wait_for(SOON, "every attempt is logged", async || {
        Some(world.logged("two").await.ok()?).filter(|logged| logged.len() >= MESSAGES)
    })
    .await;
    let is_delivered = |outcome| outcome == DeliveryOutcome::Delivered;
    assert!(logged.iter().all(|it| is_delivered(it.outcome()) && it.http_status == 200 && it.attempt == 1));
    let state = wait_for(SOON, "the listener's state is told", async || {
        world.state("two").await.filter(|state| state.delivered == MESSAGES as u64 && state.pending == 0)
    })
    .await;
    assert_eq!((state.failed, state.failures_in_a_row), (0, 0));
    replica.stop().await
}

#[tokio::test]
async fn shc_32_while_a_secret_is_changed_events_are_signed_with_both() -> Result<()> {
    const NEW: &str = "whsec_bmV3IHNlY3JldCBvZiB0aGUgbGlzdGVuZXI=";
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    let sealed_secrets = vec![sealed(NEW), sealed(SECRET)];
    world.put(ListenerEntry { sealed_secrets, ..listener("bot", &bots.url) }).await?;
    let replica = world.replica("webhooks-1").await?;
    world.writes("5491100000001", "hola").await?;
    let received = wait_for(SOON, "it has come", async || bots.of("bot").pop()).await;
    assert_eq!((received.signed_by(NEW), received.signed_by(SECRET)), (Some(0), Some(1)));
    replica.stop().await
}

#[tokio::test]
async fn a_bot_of_the_cloud_api_gets_its_own_shape_and_signature() -> Result<()> {
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    let format = ListenerFormat::CloudApi.into();
    let sealed_secrets = vec![sealed("app-secret")];
    world.put(ListenerEntry { format, sealed_secrets, ..listener("bot", &bots.url) }).await?;
    let replica = world.replica("webhooks-1").await?;
    world.writes("5491100000001", "hola").await?;
    let received = wait_for(SOON, "it has come", async || bots.of("bot").pop()).await;
    let value = received.json()["entry"][0]["changes"][0]["value"].clone();
    assert_eq!(value["messages"][0]["text"]["body"], "hola");
    assert_eq!(value["metadata"]["phone_number_id"], "100000000000001");
    let mut mac = Hmac::<Sha256>::new_from_slice(b"app-secret")?;
    mac.update(&received.body);
    let expected = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    assert_eq!(received.header("x-hub-signature-256"), expected);
    replica.stop().await
}

#[tokio::test]
async fn a_listener_hears_what_becomes_of_a_session() -> Result<()> {
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    let events = vec!["session.status".to_owned()];
    world.put(ListenerEntry { events, ..listener("bot", &bots.url) }).await?;
    let replica = world.replica("webhooks-1").await?;
    for (version, status) in [(1, SessionStatus::Starting), (2, SessionStatus::Connected)] {
        let session = Session {
            tenant: tenant().to_string(),
            id: "main".to_owned(),
            status: status.into(),
            version,
            updated_at_ms: clock::now_ms(),
            ..Session::default()
        };
        let subject = subject::sessions_updated(&tenant(), &NodeToken::new("main"));
        let fact = Fact::new(subject, &session, format!("main {version}"), TraceContext::root());
        world.bus.publish(fact).await?;
        let name = status.name();
        wait_for(SOON, "each state has come", async || {
            bots.of("bot").into_iter().find(|received| received.json()["status"] == json!(name))
        })
        .await;
    }
    replica.stop().await
}

#[tokio::test]
async fn a_listener_whose_answer_never_ends_has_taken_the_event() -> Result<()> {
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    world.register("bot", &bots.url).await?;
    bots.answers("bot", Answer::Endless);
    let replica = world.replica("webhooks-1").await?;
    world.writes("5491100000001", "hola").await?;
    let logged = wait_for(SOON, "the log tells it", async || world.logged("bot").await.ok()?.pop()).await;
    assert_eq!((logged.outcome(), logged.http_status), (DeliveryOutcome::Delivered, 200));
    assert!(logged.duration_ms < 5_000, "its status was all that counts: {} ms", logged.duration_ms);
    replica.stop().await
}
