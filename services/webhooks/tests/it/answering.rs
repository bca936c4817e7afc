//! Bots outside are told only what they are to answer.

use anyhow::Result;
use async_nats::jetstream;
use chasqui_kit::{TraceContext, publish::Fact};
use chasqui_proto::{
    ConversationToken, MessageId, stream, subject,
    v1::{Chat, ChatStatus, Conversation, ListenerEntry, Message, Responder},
};
use chasqui_testkit::wait_for;
use chasqui_webhooks::Config;

use crate::{
    receiver::{Received, Receiver},
    world::{SOON, World, config, listener, message, metrics, tenant},
};

const CONTACT: &str = "5491100000001";

fn conversation() -> ConversationToken {
    CONTACT.parse().expect("it is a token")
}

/// A bot that answers, and somebody who records everything.
async fn registered(world: &World, bots: &Receiver) -> Result<()> {
    let events = ["message.received", "message.sent"].map(str::to_owned).to_vec();
    let bot = ListenerEntry { answers: true, events: events.clone(), ..listener("bot", &bots.url) };
    world.put(bot).await?;
    world.put(ListenerEntry { events, ..listener("recorder", &bots.url) }).await
}

/// Persistence tells of the contact's chat.
async fn chat(world: &World, status: ChatStatus) -> Result<()> {
    let chat = Chat { status: status.into(), ..Chat::default() };
    let subject = subject::chats_updated(&tenant(), &conversation());
    let fact = Fact::new(subject, &chat, MessageId::now().to_string(), TraceContext::root());
    world.bus.publish(fact).await?;
    Ok(())
}

/// Persistence tells of the contact's conversation.
async fn ai_active(world: &World, ai_active: bool) -> Result<()> {
    let conversation_now = Conversation { ai_active, ..Conversation::default() };
    let subject = subject::conversations_updated(&tenant(), &conversation());
    let fact = Fact::new(subject, &conversation_now, MessageId::now().to_string(), TraceContext::root());
    world.bus.publish(fact).await?;
    Ok(())
}

/// The contact writes, or is written to; returns once whoever records everything has it.
async fn happens(
    world: &World,
    bots: &Receiver,
    text: &str,
    change: impl FnOnce(&mut Message),
) -> Result<()> {
    let mut message = message(CONTACT, text);
    change(&mut message);
    let subject = if message.direction() == chasqui_proto::v1::Direction::Out {
        subject::messages_out(&tenant(), &conversation())
    } else {
        subject::messages_in(&tenant(), &conversation())
    };
    world.bus.publish(Fact::new(subject, &message, &message.id, TraceContext::root())).await?;
    wait_for(SOON, "the recorder hears everything", async || {
        texts(bots, "recorder").contains(&text.to_owned()).then_some(())
    })
    .await;
    Ok(())
}

async fn writes(world: &World, bots: &Receiver, text: &str) -> Result<()> {
    happens(world, bots, text, |_| {}).await
}

fn texts(bots: &Receiver, listener: &str) -> Vec<String> {
    bots.of(listener).iter().map(Received::text).collect()
}

/// What the bot heard, once nothing waits any more.
async fn heard(world: &World, bots: &Receiver) -> Vec<String> {
    wait_for(SOON, "nothing waits", async || (world.queued().await.ok()? == 0).then_some(())).await;
    texts(bots, "bot")
}

#[tokio::test]
async fn shc_13_kon_10_a_bot_hears_a_contact_only_while_nobody_else_answers_it() -> Result<()> {
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    registered(&world, &bots).await?;
    let replica = world.replica("webhooks-1").await?;
    writes(&world, &bots, "nobody has it").await?;
    for status in [ChatStatus::Waiting, ChatStatus::Assigned] {
        chat(&world, status).await?;
        writes(&world, &bots, &format!("people have it: {}", status.name())).await?;
    }
    let out = |message: &mut Message| message.set_direction(chasqui_proto::v1::Direction::Out);
    happens(&world, &bots, "what an agent answers is told", out).await?;
    chat(&world, ChatStatus::Closed).await?;
    writes(&world, &bots, "people are done").await?;
    ai_active(&world, true).await?;
    writes(&world, &bots, "the bot of the pipeline has it").await?;
    ai_active(&world, false).await?;
    writes(&world, &bots, "and it has it back").await?;
    let expected =
        ["nobody has it", "what an agent answers is told", "people are done", "and it has it back"];
    assert_eq!(heard(&world, &bots).await, expected);
    assert_eq!(texts(&bots, "recorder").len(), 7, "SHC-09: who does not answer hears everything");
    let shown = metrics().render();
    for responder in ["person", "builtin"] {
        let expected = format!("chasqui_webhooks_withheld_total{{responder=\"{responder}\"}}");
        assert!(shown.contains(&expected), "{expected} is missing in {shown}");
    }
    replica.stop().await
}

#[tokio::test]
async fn shc_09_where_the_deployments_bot_answers_those_outside_hear_what_was_given_to_them() -> Result<()> {
    let builtin = Config { responder: Responder::Builtin, ..config() };
    let (world, bots) = (World::start(builtin).await?, Receiver::start().await?);
    registered(&world, &bots).await?;
    let replica = world.replica("webhooks-1").await?;
    writes(&world, &bots, "the bot of the pipeline answers").await?;
    assert_eq!(heard(&world, &bots).await, [""; 0]);
    world.tenant_is(Responder::External).await?;
    wait_for(SOON, "the tenant's own choice counts", async || {
        writes(&world, &bots, &MessageId::now().to_string()).await.ok()?;
        (!texts(&bots, "bot").is_empty()).then_some(())
    })
    .await;
    replica.stop().await
}

#[tokio::test]
async fn ben_17_what_is_for_the_flow_is_told_to_no_bot_outside() -> Result<()> {
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    registered(&world, &bots).await?;
    let replica = world.replica("webhooks-1").await?;
    for (text, mark) in [("start", "chatbot_init"), ("12345", "chatbot"), ("hola", "")] {
        happens(&world, &bots, text, |message| mark.clone_into(&mut message.provider_type)).await?;
    }
    assert_eq!(heard(&world, &bots).await, ["hola"]);
    replica.stop().await
}

#[tokio::test]
async fn what_a_contact_writes_waits_while_nobody_can_say_who_answers() -> Result<()> {
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    registered(&world, &bots).await?;
    let replica = world.replica("webhooks-1").await?;
    direct_gets(&world, false).await?;
    let waiting = world.writes(CONTACT, "who answers?").await?;
    wait_for(SOON, "the router has it in hand", async || {
        let stream = world.bus.jetstream().get_stream(stream::MESSAGES.name).await.ok()?;
        let router = stream.consumer_info(stream::DELIVERY_ROUTER_CONSUMER).await.ok()?;
        (router.num_ack_pending == 1 && router.delivered.consumer_sequence >= 1).then_some(())
    })
    .await;
    assert_eq!(world.queued().await?, 0, "{waiting} is for nobody yet");
    direct_gets(&world, true).await?;
    wait_for(SOON, "both have heard it", async || {
        let heard = |listener| texts(&bots, listener) == ["who answers?"];
        (heard("bot") && heard("recorder")).then_some(())
    })
    .await;
    replica.stop().await
}

/// Whether the stream of states answers.
async fn direct_gets(world: &World, allow_direct: bool) -> Result<()> {
    let states = world.bus.jetstream().get_stream(stream::STATE.name).await?;
    let config = jetstream::stream::Config { allow_direct, ..states.cached_info().config.clone() };
    world.bus.jetstream().update_stream(config).await?;
    Ok(())
}
