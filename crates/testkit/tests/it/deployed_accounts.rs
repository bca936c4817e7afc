//! `deploy/nats/accounts.conf`, as the cluster runs with it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::jetstream::{self, consumer, kv, stream};
use async_nats::service::ServiceExt;
use async_nats::{Client, ConnectOptions, Event};
use chasqui_testkit::{NatsOptions, NatsServer, wait_for};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;

const SOON: Duration = Duration::from_secs(10);

/// The tables name every user's password by a variable; here each password is the name of the user.
async fn deployed() -> Result<NatsServer> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/nats/accounts.conf");
    let mut extra = std::fs::read_to_string(file)?;
    for user in [
        "SYSTEM",
        "OPERATOR",
        "INGEST",
        "EDGE",
        "PERSISTENCE",
        "WHATSAPP",
        "LINKED",
        "WEBHOOKS",
        "BOT",
        "BULK",
    ] {
        extra = extra.replace(&format!("$NATS_{user}_PASSWORD"), &format!("\"{}\"", user.to_lowercase()));
    }
    Ok(NatsServer::start_with(NatsOptions { extra, ..NatsOptions::default() }).await?)
}

/// Connects as `user`, with the inbox the services use; what the server refuses arrives in the channel.
async fn connect(nats: &NatsServer, user: &str) -> Result<(Client, mpsc::UnboundedReceiver<String>)> {
    let (sender, refused) = mpsc::unbounded_channel();
    let client = ConnectOptions::with_user_and_password(user.to_owned(), user.to_owned())
        .custom_inbox_prefix(format!("_INBOX_{user}"))
        .request_timeout(Some(Duration::from_secs(2)))
        .event_callback(move |event| {
            if let Event::ServerError(error) = event {
                let _ = sender.send(error.to_string());
            }
            std::future::ready(())
        })
        .connect(nats.url())
        .await?;
    Ok((client, refused))
}

async fn make_streams(client: &Client) -> Result<kv::Store> {
    let jetstream = jetstream::new(client.clone());
    for (name, subjects) in
        [("MESSAGES", "messages.>"), ("STATE", "conversations.updated.>"), ("DLQ", "dlq.>")]
    {
        let config = stream::Config {
            name: name.to_owned(),
            subjects: vec![subjects.to_owned()],
            allow_direct: true,
            republish: Some(stream::Republish {
                source: subjects.to_owned(),
                destination: format!("live.{subjects}"),
                headers_only: false,
            }),
            ..Default::default()
        };
        jetstream.get_or_create_stream(config).await?;
    }
    let bucket = kv::Config { bucket: "directory".to_owned(), ..Default::default() };
    Ok(jetstream.create_or_update_key_value(bucket).await?)
}

#[tokio::test]
async fn services_may_do_their_work() -> Result<()> {
    let nats = deployed().await?;
    let (ingest, _) = connect(&nats, "ingest").await?;
    let (edge, _) = connect(&nats, "edge").await?;
    let (persistence, _) = connect(&nats, "persistence").await?;

    make_streams(&ingest).await?;
    let mut live = edge.subscribe("live.messages.in.default.>").await?;
    edge.request("edge.contacts.default.nobody", "".into()).await.expect_err("nobody, but the edge is heard");
    let published = jetstream::new(ingest.clone()).publish("messages.in.default.1", "hello".into()).await?;
    published.await?;
    let seen = tokio::time::timeout(SOON, live.next()).await?.context("the edge hears it")?;
    assert_eq!(seen.payload, "hello");

    let messages = jetstream::new(persistence.clone()).get_stream("MESSAGES").await?;
    let durable =
        consumer::pull::Config { durable_name: Some("persistence".to_owned()), ..Default::default() };
    let mut batch = messages.create_consumer(durable).await?.fetch().max_messages(1).messages().await?;
    let message = batch.next().await.context("persistence reads it")?.map_err(anyhow::Error::from_boxed)?;
    message.double_ack().await.map_err(anyhow::Error::from_boxed)?;

    let directory = make_streams(&persistence).await?;
    directory.put("alias.default.1", "2".into()).await?;
    let seen = make_streams(&ingest).await?.watch_with_history("alias.>").await?.try_next().await?;
    assert_eq!(seen.context("ingest watches the directory")?.value, "2");

    let service = persistence.service_builder().start("persistence", "1.0.0").await;
    let service = service.map_err(anyhow::Error::from_boxed)?;
    let mut questions = service.endpoint("persistence.chats.get").await.map_err(anyhow::Error::from_boxed)?;
    let answering = tokio::spawn(async move {
        let question = questions.next().await.expect("the edge asks");
        question.respond(Ok("42".into())).await
    });
    let answer = wait_for(SOON, "persistence answers the edge", async || {
        edge.request("persistence.chats.get", "".into()).await.ok()
    })
    .await;
    assert_eq!(answer.payload, "42");
    answering.await??;

    let (whatsapp, mut refused) = connect(&nats, "whatsapp").await?;
    let mut opened = whatsapp.subscribe("whatsapp.sessions.open").await?;
    // A flush is no barrier; an answer on the same connection is one.
    jetstream::new(whatsapp.clone()).get_stream("MESSAGES").await?;
    let answering = async {
        let question = opened.next().await.context("the edge asks")?;
        anyhow::Ok(whatsapp.publish(question.reply.context("it wants an answer")?, "opened".into()).await?)
    };
    let (answer, answered) = tokio::join!(edge.request("whatsapp.sessions.open", "".into()), answering);
    answered?;
    assert_eq!(answer?.payload, "opened");
    for told in [
        "sessions.updated.u1.main",
        "messages.status.u1.5491100000001",
        "sends.due.u1.main.reply.5491100000001",
        "$KV.sends.u1.main.1",
        "$KV.leases.session.u1.main",
        "linked.commands.u1.main",
        "whatsapp.owners.u1.main",
    ] {
        whatsapp.publish(told, "".into()).await?;
    }
    jetstream::new(whatsapp.clone()).get_stream("MESSAGES").await?;
    assert_eq!(refused.try_recv().ok(), None, "it may tell all of this");

    let (linked, mut refused) = connect(&nats, "linked").await?;
    for told in
        ["messages.in.u1.5491100000001", "messages.status.u1.5491100000001", "whatsapp.owners.u1.main"]
    {
        linked.publish(told, "".into()).await?;
    }
    let _commands = linked.subscribe("linked.commands.u1.main").await?;
    let (webhooks, mut refused_too) = connect(&nats, "webhooks").await?;
    for told in [
        "deliveries.due.1.u1.x",
        "deliveries.later.u1.x",
        "deliveries.parked.1.u1.x",
        "deliveries.attempted.u1.x",
        "listeners.updated.u1.x",
        "persistence.directory.put",
        "$KV.leases.deliveries.1",
        "$JS.API.STREAM.MSG.DELETE.DELIVERIES",
        "$SRV.PING.webhooks",
    ] {
        webhooks.publish(told, "".into()).await?;
    }
    jetstream::new(linked.clone()).get_stream("MESSAGES").await?;
    jetstream::new(webhooks.clone()).get_stream("MESSAGES").await?;
    assert_eq!((refused.try_recv().ok(), refused_too.try_recv().ok()), (None, None));

    let (operator, _) = connect(&nats, "operator").await?;
    let ping = operator.request("$SRV.PING.persistence", "".into()).await?;
    assert!(String::from_utf8_lossy(&ping.payload).contains("persistence"), "an operator sees the service");
    Ok(())
}

#[tokio::test]
async fn the_bot_may_do_its_work() -> Result<()> {
    let nats = deployed().await?;
    let (operator, _) = connect(&nats, "operator").await?;
    make_streams(&operator).await?;
    let (bot, mut refused) = connect(&nats, "bot").await?;
    for told in [
        "messages.out.u1.1",
        "typing.changed.u1.1",
        "bot.updated.u1",
        "bot.worked.u1.bot-1",
        "dlq.bot.messages.in.u1.1",
        "flows.patients.find",
        "flows.of-somebody-else.ask",
        "persistence.chats.open",
        "persistence.messages.list",
        "$KV.bot.conversation.u1.1",
        "$KV.leases.bot.status",
    ] {
        bot.publish(told, "".into()).await?;
    }
    let _works = bot.subscribe("bot.worked.*.*").await?;
    jetstream::new(bot.clone()).get_stream("MESSAGES").await?;
    assert_eq!(refused.try_recv().ok(), None);
    Ok(())
}

#[tokio::test]
async fn bulk_may_do_its_work() -> Result<()> {
    let nats = deployed().await?;
    let (operator, _) = connect(&nats, "operator").await?;
    make_streams(&operator).await?;
    let (bulk, mut refused) = connect(&nats, "bulk").await?;
    for told in [
        "messages.out.u1.1",
        "messages.status.u1.1",
        "bulk.progress.u1.x",
        "persistence.campaigns.due",
        "persistence.campaigns.advance",
        "persistence.campaigns.unsettled",
        "persistence.campaigns.change",
        "whatsapp.sessions.get",
        "$KV.leases.campaign.u1.x",
    ] {
        bulk.publish(told, "".into()).await?;
    }
    jetstream::new(bulk.clone()).get_stream("MESSAGES").await?;
    assert_eq!(refused.try_recv().ok(), None);
    Ok(())
}

#[tokio::test]
async fn services_may_not_do_each_others_work() -> Result<()> {
    let nats = deployed().await?;
    let (operator, _) = connect(&nats, "operator").await?;
    make_streams(&operator).await?;
    let check = async |user: &str, publish: &'static str| -> Result<()> {
        let (client, mut refused) = connect(&nats, user).await?;
        client.publish(publish, "".into()).await?;
        let reason =
            tokio::time::timeout(SOON, refused.recv()).await.with_context(|| format!("{user} {publish}"))?;
        assert!(reason.unwrap_or_default().to_lowercase().contains("permissions violation"));
        Ok(())
    };
    check("ingest", "conversations.updated.default.1").await?;
    check("ingest", "presence.changed.default.web_u1").await?;
    check("ingest", "persistence.conversations.list").await?;
    check("ingest", "edge.engineio.n").await?;
    check("ingest", "live.messages.in.default.1").await?;
    check("ingest", "$JS.API.STREAM.DELETE.MESSAGES").await?;
    check("edge", "$JS.API.STREAM.PURGE.MESSAGES").await?;
    check("edge", "$KV.directory.alias.default.1").await?;
    check("edge", "$KV.directory.user.default.web_u1").await?;
    check("edge", "conversations.updated.default.1").await?;
    check("edge", "chats.updated.default.1").await?;
    check("edge", "sessions.updated.default.main").await?;
    check("edge", "announcements.made.default").await?;
    check("edge", "persistence.directory.remove").await?;
    check("edge", "_INBOX_ingest.x").await?;
    check("persistence", "messages.out.default.1").await?;
    check("persistence", "presence.changed.default.web_u1").await?;
    check("persistence", "$JS.API.STREAM.MSG.DELETE.MESSAGES").await?;
    check("whatsapp", "messages.out.default.1").await?;
    check("whatsapp", "persistence.directory.list").await?;
    check("whatsapp", "$KV.directory.key.1").await?;
    check("whatsapp", "$JS.API.STREAM.PURGE.MESSAGES").await?;
    check("whatsapp", "messages.in.default.1").await?;
    check("whatsapp", "$KV.leases.deliveries.1").await?;
    check("linked", "messages.out.default.1").await?;
    check("linked", "sessions.updated.default.main").await?;
    check("linked", "linked.commands.default.main").await?;
    check("linked", "$JS.API.CONSUMER.CREATE.MESSAGES").await?;
    check("webhooks", "messages.in.default.1").await?;
    check("webhooks", "persistence.directory.remove").await?;
    check("webhooks", "$KV.leases.session.default.main").await?;
    check("webhooks", "$JS.API.STREAM.MSG.DELETE.MESSAGES").await?;
    check("webhooks", "$JS.API.STREAM.PURGE.DELIVERIES").await?;
    check("webhooks", "$JS.API.STREAM.DELETE.DELIVERIES").await?;
    check("ingest", "sends.due.default.main.reply.1").await?;
    check("ingest", "whatsapp.owners.default.main").await?;
    check("edge", "deliveries.due.1.default.x").await?;
    check("edge", "flows.appointments.book").await?;
    check("bot", "messages.in.default.1").await?;
    check("bot", "persistence.chats.close").await?;
    check("bot", "persistence.appointments.change").await?;
    check("bot", "persistence.directory.put").await?;
    check("bot", "$KV.sends.x").await?;
    check("bot", "$KV.leases.session.default.main").await?;
    check("bulk", "messages.in.default.1").await?;
    check("bulk", "persistence.campaigns.create").await?;
    check("bulk", "persistence.opt-outs.remove").await?;
    check("bulk", "persistence.chats.close").await?;
    check("bulk", "$KV.leases.session.default.main").await?;
    check("bulk", "sends.due.default.main.reply.1").await?;
    check("ingest", "persistence.campaigns.advance").await?;
    check("ingest", "bulk.progress.default.x").await?;
    check("edge", "bulk.progress.default.x").await?;

    for (user, overheard) in [
        ("edge", "_INBOX_persistence.>"),
        ("edge", "persistence.>"),
        ("edge", "$KV.directory.>"),
        ("ingest", "presence.>"),
        ("ingest", "live.>"),
        ("persistence", "typing.>"),
        ("whatsapp", "live.>"),
        ("linked", "whatsapp.>"),
        ("linked", "live.>"),
        ("webhooks", "messages.>"),
        ("whatsapp", "edge.>"),
        ("bot", "messages.>"),
        ("bot", "flows.>"),
        ("bulk", "messages.>"),
        ("bulk", "live.>"),
        ("persistence", "flows.of-somebody-else.ask"),
    ] {
        let (client, mut refused) = connect(&nats, user).await?;
        let _subscription = client.subscribe(overheard).await?;
        let reason = tokio::time::timeout(SOON, refused.recv())
            .await
            .with_context(|| format!("{user} {overheard}"))?;
        let reason = reason.unwrap_or_default().to_lowercase();
        assert!(reason.contains("permissions violation"), "{user} {overheard}: {reason}");
    }
    Ok(())
}

#[tokio::test]
async fn every_session_there_may_be_has_room_for_its_consumers() -> Result<()> {
    let nats = deployed().await?;
    let (whatsapp, _) = connect(&nats, "whatsapp").await?;
    let account = jetstream::new(whatsapp).query_account().await?;
    // 10,000 sessions of three, on one stream.
    assert!(account.limits.max_consumers.is_some_and(|most| most > 30_000), "{account:?}");
    Ok(())
}
