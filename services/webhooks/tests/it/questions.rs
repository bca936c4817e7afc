//! What operators ask for, and what nobody should send.

use anyhow::{Context, Result};
use chasqui_kit::{Code, Coded, TraceContext};
use chasqui_proto::{
    header, service, stream,
    subject::{self, NodeToken},
    v1::{DeliveryOutcome, DeliveryPage, ListDeliveries, LoggedDelivery, ReplayDeliveries, TestListener},
};
use chasqui_testkit::wait_for;
use futures::StreamExt;
use prost::Message;

use crate::{
    receiver::{Answer, Receiver},
    world::{SOON, World, config, tenant},
};

fn replay(delivery_id: &str) -> ReplayDeliveries {
    ReplayDeliveries {
        tenant: tenant().to_string(),
        listener: "bot".to_owned(),
        delivery_id: delivery_id.to_owned(),
        ..ReplayDeliveries::default()
    }
}

/// Answers with the log of the stream, as persistence does with its own, one delivery a page.
async fn answer_from_log(world: &World) -> Result<()> {
    let mut questions = world.bus.client().subscribe(service::DELIVERIES_LIST.subject).await?;
    while let Some(question) = questions.next().await {
        let asked = ListDeliveries::decode(question.payload)?;
        let mut logged = world.logged(&asked.listener).await?;
        logged.retain(|it| asked.outcome() == DeliveryOutcome::Unspecified || it.outcome == asked.outcome);
        logged.reverse();
        let at: usize = asked.cursor.parse().unwrap_or(0);
        let deliveries =
            logged.get(at).cloned().map(|last| LoggedDelivery { last: Some(last), ..Default::default() });
        let next = if at + 1 < logged.len() { (at + 1).to_string() } else { String::new() };
        let page = DeliveryPage { deliveries: deliveries.into_iter().collect(), next };
        let reply = question.reply.context("it wants an answer")?;
        world.bus.client().publish(reply, page.encode_to_vec().into()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_delivery_comes_once_more_under_its_old_id() -> Result<()> {
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    world.register("bot", &bots.url).await?;
    let replica = world.replica("webhooks-1").await?;
    for text in ["first", "second"] {
        world.writes("5491100000001", text).await?;
    }
    wait_for(SOON, "both are logged", async || (world.logged("bot").await.ok()?.len() == 2).then_some(()))
        .await;
    let first = bots.of("bot").swap_remove(0);
    let asked = async {
        let ask = async |id: &str| {
            world.bus.ask(service::DELIVERIES_REPLAY, &replay(id), TraceContext::root()).await
        };
        assert_eq!(ask(first.header("webhook-id")).await?.count, 1);
        assert_eq!(ask("unknown").await.unwrap_err().code(), Code::NotFound);
        anyhow::Ok(())
    };
    tokio::select! {
        ended = answer_from_log(&world) => ended?,
        asked = asked => asked?,
    }
    let again = wait_for(SOON, "it comes again", async || bots.of("bot").into_iter().nth(2)).await;
    assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
    assert_eq!(again.body, first.body);
    replica.stop().await
}

#[tokio::test]
async fn what_was_given_up_comes_once_more_in_its_order() -> Result<()> {
    let config = chasqui_webhooks::Config { retry_schedule_secs: vec![0], ..config() };
    let (world, bots) = (World::start(config).await?, Receiver::start().await?);
    world.register("bot", &bots.url).await?;
    bots.answers("bot", Answer::With(500));
    let replica = world.replica("webhooks-1").await?;
    for text in ["first", "second"] {
        world.writes("5491100000001", text).await?;
    }
    wait_for(SOON, "both are logged", async || (world.logged("bot").await.ok()?.len() == 2).then_some(()))
        .await;
    bots.answers("bot", Answer::With(200));
    let question = replay("");
    let asked = world.bus.ask(service::DELIVERIES_REPLAY, &question, TraceContext::root());
    tokio::select! {
        ended = answer_from_log(&world) => ended?,
        answer = asked => assert_eq!(answer?.count, 2),
    }
    wait_for(SOON, "they come again", async || (bots.of("bot").len() == 4).then_some(())).await;
    let texts: Vec<String> = bots.of("bot")[2..].iter().map(super::receiver::Received::text).collect();
    assert_eq!(texts, ["first", "second"]);
    replica.stop().await
}

#[tokio::test]
async fn a_listener_is_tried_out() -> Result<()> {
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    world.register("bot", &bots.url).await?;
    let replica = world.replica("webhooks-1").await?;
    let ask = async |listener: &str| {
        let question = TestListener { tenant: tenant().to_string(), listener: listener.to_owned() };
        world.bus.ask(service::LISTENERS_TEST, &question, TraceContext::root()).await
    };
    let attempt = ask("bot").await?;
    assert_eq!((attempt.outcome(), attempt.http_status), (DeliveryOutcome::Delivered, 200));
    assert_eq!(bots.of("bot")[0].json()["event"], "test");
    bots.answers("bot", Answer::With(404));
    let attempt = ask("bot").await?;
    assert_eq!((attempt.outcome(), attempt.http_status), (DeliveryOutcome::Failed, 404));
    assert_eq!(ask("nobody").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(ask("").await.unwrap_err().code(), Code::InvalidInput);
    replica.stop().await
}

#[tokio::test]
async fn garbage_goes_to_the_dead_letters_and_holds_nobody_up() -> Result<()> {
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    world.register("bot", &bots.url).await?;
    let replica = world.replica("webhooks-1").await?;
    let due = subject::deliveries_due(3, &tenant(), &NodeToken::new("bot"));
    let garbage = ["messages.in.default.5491100000001", due.as_str(), "messages.status.default.1"];
    for name in garbage {
        let published = world.bus.jetstream().publish(name.to_owned(), "\u{ff}garbage".into()).await?;
        published.await?;
    }
    world.writes("5491100000001", "hola").await?;
    wait_for(SOON, "what follows comes through", async || bots.of("bot").pop()).await;
    wait_for(SOON, "each is a dead letter", async || {
        let letters = world.stored(stream::DLQ.name).await.ok()?;
        let has = |name: &str| {
            letters.iter().any(|letter| letter.subject.as_str() == format!("dlq.webhooks.{name}"))
        };
        let reason = |letter: &async_nats::jetstream::message::StreamMessage| {
            letter.headers.get(header::DEAD_REASON).is_some_and(|reason| reason.as_str() == "undecodable")
        };
        (garbage.iter().all(|name| has(name)) && letters.iter().all(reason)).then_some(())
    })
    .await;
    replica.stop().await
}
