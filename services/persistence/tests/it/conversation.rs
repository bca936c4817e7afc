//! What a conversation looks like after what was said.

use anyhow::Result;
use chasqui_proto::{service, subject, v1};
use chasqui_testkit::wait_for;
use uuid::Uuid;

use crate::world::{SOON, World, inbound, outbound, phone, refusal, tenant, texts};

#[tokio::test]
async fn a_message_delivered_twice_is_stored_once() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let message = inbound(1, 0, "hola");
    world.publish_message(&message).await?;
    let other_words = v1::Message { id: Uuid::now_v7().to_string(), ..message.clone() };
    world.publish_message(&other_words).await?;
    let last = world.publish_message(&message).await?;
    world.stored(last).await;
    assert_eq!(texts(&world.messages(&phone(1)).await?), ["hola"]);
    let conversation = world.conversation(&phone(1)).await?;
    assert_eq!((conversation.unread_count, conversation.version), (1, 1));
    let stats = world.stats().await?;
    assert_eq!((stats.messages_in, stats.unread, stats.conversations), (1, 1, 1));
    assert!(world.dead_letters().await?.is_empty(), "a repetition is nothing wrong");
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_state_that_is_told_is_the_one_that_is_stored() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    world.publish_message(&inbound(1, 0, "hola")).await?;
    world.publish_message(&inbound(1, 1_000, "¿están?")).await?;
    let last = world.publish_message(&outbound(1, 5_000, "sí")).await?;
    world.stored(last).await;
    let stored = world.conversation(&phone(1)).await?;
    let name = subject::conversations_updated(&tenant(), &phone(1).parse()?);
    let told = wait_for(SOON, "the newest state is told", async || {
        let told: v1::Conversation = world.last_state(name.as_str()).await?;
        (told.version == stored.version).then_some(told)
    })
    .await;
    assert_eq!(told, stored);
    let last = stored.last_message.unwrap();
    assert_eq!((stored.unread_count, last.text.as_str(), last.raw.is_empty()), (2, "sí", true));
    assert_eq!(stored.contact.unwrap().name, "Contact");
    assert_eq!(stored.channel.unwrap().kind(), v1::ChannelKind::Widget);
    let stats = wait_for(SOON, "the counters are told", async || {
        let told: v1::Stats = world.last_state(subject::stats_updated(&tenant()).as_str()).await?;
        (told.messages_out == 1).then_some(told)
    })
    .await;
    assert_eq!((stats.responses, stats.response_time_mean_ms, stats.response_time_max_ms), (1, 5_000, 5_000));
    let by_sender: Vec<_> = stats.by_sender_type.iter().map(|c| (c.name.as_str(), c.count)).collect();
    assert_eq!(by_sender, [("user", 2), ("ai", 1)]);
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_agent_who_looks_makes_everything_read() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    world.publish_message(&inbound(1, 0, "uno")).await?;
    world.publish_message(&inbound(2, 0, "dos")).await?;
    let last = world.publish_message(&inbound(1, 1, "tres")).await?;
    world.stored(last).await;
    let before = world.conversation(&phone(1)).await?;
    let question = v1::MarkRead { tenant: "default".to_owned(), conversation: before.number.to_string() };
    let after = world.ask(service::CONVERSATIONS_MARK_READ, question.clone()).await?;
    assert_eq!((after.unread_count, after.version), (0, before.version + 1));
    assert_eq!(world.ask(service::CONVERSATIONS_MARK_READ, question).await?, after, "twice is once");
    assert_eq!(world.stats().await?.unread, 1);
    let name = subject::conversations_updated(&tenant(), &phone(1).parse()?);
    assert_eq!(world.last_state(name.as_str()).await, Some(after));
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn nobody_sees_another_tenants_conversations() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let last = world.publish_message(&inbound(1, 0, "hola")).await?;
    world.stored(last).await;
    let mine = world.conversation(&phone(1)).await?;
    let other = || "other".to_owned();
    for name in [phone(1), mine.id.clone(), mine.number.to_string()] {
        let get = v1::GetConversation { tenant: other(), conversation: name.clone() };
        let answer = world.ask(service::CONVERSATIONS_GET, get).await;
        assert_eq!(refusal(answer).0, chasqui_kit::Code::NotFound);
        let read = v1::MarkRead { tenant: other(), conversation: name.clone() };
        let answer = world.ask(service::CONVERSATIONS_MARK_READ, read).await;
        assert_eq!(refusal(answer).0, chasqui_kit::Code::NotFound);
        let pages =
            v1::ListMessages { tenant: other(), conversation: name.clone(), ..v1::ListMessages::default() };
        assert_eq!(refusal(world.ask(service::MESSAGES_LIST, pages).await).0, chasqui_kit::Code::NotFound);
        let events = v1::ListEvents { tenant: other(), conversation: name, ..v1::ListEvents::default() };
        assert!(world.ask(service::EVENTS_SINCE, events).await?.events.is_empty());
    }
    let events = v1::ListEvents { tenant: other(), ..v1::ListEvents::default() };
    let page = world.ask(service::EVENTS_SINCE, events).await?;
    assert!(page.events.is_empty() && page.conversations.is_empty());
    let pages = v1::ListConversations { tenant: other(), ..v1::ListConversations::default() };
    assert!(world.ask(service::CONVERSATIONS_LIST, pages).await?.conversations.is_empty());
    assert_eq!(world.ask(service::STATS_GET, v1::GetStats { tenant: other() }).await?.messages_in, 0);
    assert_eq!(world.conversation(&phone(1)).await?.unread_count, 1);
    replica.stop().await;
    Ok(())
}
