use anyhow::Result;
use async_nats::jetstream;
use chasqui_ingest::Config;
use chasqui_proto::{
    ConversationToken, MessageId, header, stream,
    v1::{Alias, AliasKind, Message, MessageStatus, ProviderNotice, Status},
};
use chasqui_simulator::{payload, signature};
use chasqui_testkit::NatsOptions;
use serde_json::json;

use crate::world::{CONTACT, NUMBER, SOON, VERIFY_TOKEN, World, answer, config, text, wamid};

const BSUID: &str = "AR.13491208655302741918";

#[tokio::test]
async fn whatsapp_registers_the_webhook_with_the_verify_token_only() -> Result<()> {
    let world = World::start().await?;
    let register = async |token: &str, mode: &str| -> Result<(u16, String)> {
        let query = format!("hub.mode={mode}&hub.challenge=1158201444&hub.verify_token={token}");
        let response = world.get(&format!("/webhooks/whatsapp?{query}")).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    };
    assert_eq!(register(VERIFY_TOKEN, "subscribe").await?, (200, "1158201444".to_owned()));
    assert_eq!(register("another", "subscribe").await?.0, 403);
    assert_eq!(register(VERIFY_TOKEN, "unsubscribe").await?.0, 403);
    assert_eq!(world.get("/webhooks/whatsapp").send().await?.status(), 403);
    world.stop().await
}

#[tokio::test]
async fn an_acknowledged_webhook_is_in_the_stream() -> Result<()> {
    let world = World::start().await?;
    let wamid = wamid();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let response = world.webhook(text(&wamid, "hola")).header("traceparent", trace).send().await?;
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await?, "EVENT_RECEIVED");
    let stored = world.stored().await?;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].subject, format!("messages.in.default.{CONTACT}"));
    assert!(stored[0].header(header::TRACEPARENT)?.contains(&trace[3..35]));
    let message: Message = stored[0].decode()?;
    assert_eq!((message.text.as_str(), message.provider_id.as_str()), ("hola", wamid.as_str()));
    assert_eq!(message.id, MessageId::of_provider(&"default".parse()?, &wamid).to_string());
    assert_eq!(stored[0].header(header::ID)?, message.id);
    assert_eq!(message.contact.unwrap_or_default().name, "Contact 01");
    assert_eq!(message.channel.unwrap_or_default().id, NUMBER);
    world.stop().await
}

#[tokio::test]
async fn a_webhook_that_is_delivered_three_times_is_stored_once() -> Result<()> {
    let world = World::start().await?;
    let body = payload::status_webhook(NUMBER, &[payload::status("wamid.A", CONTACT, "read")]).to_string();
    let text = text(&wamid(), "hola");
    for _ in 0..3 {
        let (one, other) =
            tokio::join!(world.webhook(text.clone()).send(), world.webhook(body.clone()).send());
        assert_eq!((one?.status().as_u16(), other?.status().as_u16()), (200, 200));
    }
    assert_eq!(world.stored().await?.len(), 2);
    world.stop().await
}

#[tokio::test]
async fn every_type_arrives_as_its_type() -> Result<()> {
    let world = World::start().await?;
    let samples = payload::every_type(CONTACT);
    let messages: Vec<_> = samples.iter().map(|(_, sample)| sample.clone()).collect();
    let response = world.webhook(payload::webhook(NUMBER, &messages).to_string()).send().await?;
    assert_eq!(response.status(), 200);
    let stored = world.stored().await?;
    assert_eq!(stored.len(), samples.len());
    for ((name, sample), fact) in samples.iter().zip(&stored) {
        let message: Message = fact.decode()?;
        assert_eq!(
            message.r#type().as_str_name(),
            format!("MESSAGE_TYPE_{}", name.to_uppercase()),
            "{sample}"
        );
        assert_eq!(message.raw, sample.to_string());
    }
    world.stop().await
}

#[tokio::test]
async fn statuses_and_notices_have_their_own_subjects() -> Result<()> {
    let world = World::start().await?;
    let statuses: Vec<_> = ["sent", "delivered", "read", "played", "failed"]
        .map(|name| payload::status("wamid.A", CONTACT, name))
        .to_vec();
    world.webhook(payload::status_webhook(NUMBER, &statuses).to_string()).send().await?.error_for_status()?;
    let update = payload::change(NUMBER, "message_template_status_update", json!({ "event": "REJECTED" }));
    world.webhook(update.to_string()).send().await?.error_for_status()?;
    let stored = world.stored().await?;
    let expected = [Status::Sent, Status::Delivered, Status::Read, Status::Played, Status::Failed];
    for (fact, expected) in stored.iter().zip(expected) {
        assert_eq!(fact.subject, format!("messages.status.default.{CONTACT}"));
        assert_eq!(fact.decode::<MessageStatus>()?.status(), expected);
    }
    assert_eq!(stored[5].subject, format!("messages.notice.default.{NUMBER}"));
    assert_eq!(stored[5].decode::<ProviderNotice>()?.field, "message_template_status_update");
    world.stop().await
}

#[tokio::test]
async fn a_body_that_was_changed_on_the_way_is_refused() -> Result<()> {
    let world = World::start().await?;
    let body = text(&wamid(), "hola");
    let signed = |secret: &str| signature::sign(secret, body.as_bytes());
    let send = async |body: String, signature: Option<String>| -> Result<u16> {
        let request = world.post("/webhooks/whatsapp").body(body);
        let request = match signature {
            Some(signature) => request.header(signature::HEADER, signature),
            None => request,
        };
        Ok(request.send().await?.status().as_u16())
    };
    assert_eq!(send(body.replace("hola", "hole"), Some(signed("app-secret"))).await?, 401);
    assert_eq!(send(body.clone(), Some(signed("another"))).await?, 401);
    assert_eq!(send(body.clone(), None).await?, 401);
    assert!(world.stored().await?.is_empty());
    assert_eq!(send(body.clone(), Some(signed("next-secret"))).await?, 200, "a secret is being changed");
    world.stop().await
}

#[tokio::test]
async fn what_is_not_json_is_refused_and_strange_json_is_kept() -> Result<()> {
    let world = World::start().await?;
    let (status, body) = answer(world.webhook("hola").send().await?).await?;
    assert_eq!(status, 400);
    assert!(body["error"].as_str().unwrap_or_default().contains("JSON"), "{body}");
    assert_eq!(world.webhook("[1,2]").send().await?.status(), 200);
    let stored = world.stored().await?;
    assert_eq!(stored[0].decode::<ProviderNotice>()?.raw, "[1,2]");
    world.stop().await
}

#[tokio::test]
async fn three_megabytes_are_taken_and_not_a_byte_more() -> Result<()> {
    let world = World::start().await?;
    let mut body = text(&wamid(), "hola");
    body.push_str(&" ".repeat(3 * 1024 * 1024 - body.len()));
    assert_eq!(world.webhook(body.clone()).send().await?.status(), 200);
    body.push(' ');
    let (status, answered) = answer(world.webhook(body.clone()).send().await?).await?;
    assert_eq!(status, 413);
    assert!(answered["error"].as_str().unwrap_or_default().contains("3145728"), "{answered}");
    body.push_str(&" ".repeat(7 * 1024 * 1024));
    assert_eq!(world.webhook(body).send().await?.status(), 413);
    world.stop().await
}

#[tokio::test]
async fn a_message_larger_than_the_broker_accepts_arrives_without_its_json() -> Result<()> {
    let extra = "max_payload: 65536".to_owned();
    let world = World::start_with(config(), NatsOptions { extra, ..NatsOptions::default() }).await?;
    let mut long = payload::text(CONTACT, &wamid(), "hola");
    long["referral"] = json!({ "body": "x".repeat(100_000) });
    let huge = payload::text(CONTACT, &wamid(), &"y".repeat(100_000));
    let webhook = payload::webhook(NUMBER, &[long, huge]).to_string();
    assert_eq!(world.webhook(webhook).send().await?.status(), 200);
    let stored = world.stored().await?;
    assert_eq!(stored.len(), 2);
    let message: Message = stored[0].decode()?;
    assert_eq!((message.text.as_str(), message.raw.len()), ("hola", 0));
    assert_eq!(message.errors[0].title, "raw left out");
    assert_eq!(stored[1].decode::<ProviderNotice>()?.field, "too_large");
    world.stop().await
}

#[tokio::test]
async fn while_the_broker_is_away_whatsapp_keeps_the_webhook() -> Result<()> {
    let world = World::start().await?;
    let body = text(&wamid(), "hola");
    world.nats.kill();
    let response = world.webhook(body.clone()).send().await?;
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(response.status(), 503);
    world.is_ready(false).await;
    let hidden = payload::webhook(NUMBER, &[payload::text(BSUID, &wamid(), "hola")]).to_string();
    assert_eq!(world.webhook(hidden).send().await?.status(), 503, "the directory is away too");
    world.nats.restart().await?;
    chasqui_testkit::wait_for(SOON, "the webhook is taken again", async || {
        let response = world.webhook(body.clone()).send().await.ok()?;
        response.status().is_success().then_some(())
    })
    .await;
    assert_eq!(world.stored().await?.len(), 1);
    world.is_ready(true).await;
    world.stop().await
}

#[tokio::test]
async fn a_contact_without_a_number_writes_in_the_conversation_the_directory_names() -> Result<()> {
    let world = World::start().await?;
    let send = async || -> Result<()> {
        let message = payload::text(BSUID, &wamid(), "hola");
        world.webhook(payload::webhook(NUMBER, &[message]).to_string()).send().await?.error_for_status()?;
        Ok(())
    };
    send().await?;
    let alias = Alias { kind: AliasKind::Bsuid.into(), value: BSUID.to_owned() };
    let own = ConversationToken::of(&alias);
    let bucket = jetstream::new(world.nats_client().await?).get_key_value(stream::DIRECTORY_BUCKET).await?;
    bucket.put(stream::directory_key(&"default".parse()?, &own), CONTACT.into()).await?;
    send().await?;
    bucket.put(stream::directory_key(&"default".parse()?, &own), "5491100000002".into()).await?;
    send().await?;
    let subjects: Vec<String> = world.stored().await?.into_iter().map(|fact| fact.subject).collect();
    let expected = [own.as_str(), CONTACT, CONTACT].map(|token| format!("messages.in.default.{token}"));
    assert_eq!(subjects, expected, "what was found is remembered for a while");
    world.stop().await
}

#[tokio::test]
async fn kon_20_a_webhook_that_is_switched_off_is_an_unknown_path() -> Result<()> {
    let off = Config { whatsapp_webhook: false, ..config() };
    let world = World::start_with(off, NatsOptions::default()).await?;
    assert_eq!(world.webhook(text(&wamid(), "hola")).send().await?.status(), 404);
    assert_eq!(world.get("/api/users").send().await?.status(), 404);
    world.stop().await
}
