//! How far messages got.

use anyhow::Result;
use chasqui_proto::{
    service,
    v1::{self, Status},
};

use crate::world::{World, inbound, outbound, phone, status};

async fn status_of(world: &World, number: u32) -> Result<Status> {
    Ok(world.messages(&phone(number)).await?[0].status())
}

#[tokio::test]
async fn a_status_never_goes_down() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let message = outbound(1, 0, "hola");
    world.publish_message(&message).await?;
    for (reported, expected) in [
        (Status::Sent, Status::Sent),
        (Status::Failed, Status::Failed),
        (Status::Delivered, Status::Delivered),
        (Status::Sent, Status::Delivered),
        (Status::Failed, Status::Delivered),
        (Status::Read, Status::Read),
        (Status::Delivered, Status::Read),
    ] {
        let last = world.publish_status(&status(&message, reported)).await?;
        world.stored(last).await;
        assert_eq!(status_of(&world, 1).await?, expected, "after {reported:?}");
        assert_eq!(world.conversation(&phone(1)).await?.last_message_status(), expected);
    }
    let stats = world.stats().await?;
    assert_eq!(stats.by_status, [v1::Count { name: "read".to_owned(), count: 1 }]);
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_status_that_comes_first_waits_for_its_message() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let message = outbound(1, 0, "hola");
    let last = world.publish_status(&status(&message, Status::Delivered)).await?;
    world.stored(last).await;
    assert!(world.conversation(&phone(1)).await.is_err(), "a status alone makes no conversation");
    let last = world.publish_message(&message).await?;
    world.stored(last).await;
    assert_eq!(status_of(&world, 1).await?, Status::Delivered);
    assert_eq!(world.stats().await?.by_status, [v1::Count { name: "delivered".to_owned(), count: 1 }]);
    replica.stop().await;
    Ok(())
}

/// The provider reports a delivery under its own id, and that may come before we know which message that is.
#[tokio::test]
async fn a_status_with_only_the_providers_id_finds_our_message() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let (first, second) = (outbound(1, 0, "uno"), outbound(2, 0, "dos"));
    let accepted = |message: &v1::Message| v1::MessageStatus {
        provider_message_id: format!("wamid.{}", message.text),
        ..status(message, Status::Accepted)
    };
    let delivered = |message: &v1::Message| v1::MessageStatus {
        message_id: uuid::Uuid::now_v7().to_string(),
        provider_message_id: format!("wamid.{}", message.text),
        ..status(message, Status::Delivered)
    };
    world.publish_message(&first).await?;
    let last = world.publish_status(&accepted(&first)).await?;
    world.stored(last).await;
    world.publish_status(&delivered(&first)).await?;
    world.publish_status(&delivered(&second)).await?;
    let last = world.publish_message(&second).await?;
    world.stored(last).await;
    assert_eq!(status_of(&world, 2).await?, Status::Unspecified);
    let last = world.publish_status(&accepted(&second)).await?;
    world.stored(last).await;
    assert_eq!(status_of(&world, 1).await?, Status::Delivered);
    assert_eq!(status_of(&world, 2).await?, Status::Delivered);
    replica.stop().await;
    Ok(())
}

fn read(message: &v1::Message, reader: &str) -> v1::MessageStatus {
    v1::MessageStatus { reader_id: reader.to_owned(), ..status(message, Status::Read) }
}

#[tokio::test]
async fn ben_27_a_message_that_an_agent_read_is_one_unread_less_however_often_it_is_read() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let (first, second) = (inbound(1, 0, "uno"), inbound(1, 1, "dos"));
    world.publish_message(&first).await?;
    // Another replica may have stored the message later than this.
    let last = world.publish_status(&read(&second, "agent")).await?;
    world.stored(last).await;
    let last = world.publish_message(&second).await?;
    world.stored(last).await;
    let conversation = world.conversation(&phone(1)).await?;
    assert_eq!((conversation.unread_count, conversation.last_message_status()), (1, Status::Read));
    for reader in ["agent", "another"] {
        world.publish_status(&read(&second, reader)).await?;
        world.publish_status(&status(&second, Status::Delivered)).await?;
    }
    let last = world.publish_status(&status(&first, Status::Delivered)).await?;
    world.stored(last).await;
    assert_eq!(world.conversation(&phone(1)).await?.unread_count, 1);
    let last = world.publish_status(&read(&first, "agent")).await?;
    world.stored(last).await;
    assert_eq!(world.conversation(&phone(1)).await?.unread_count, 0);
    let stats = world.stats().await?;
    assert_eq!((stats.unread, stats.by_status.len()), (0, 0), "statuses are counted of what was sent");
    let stored = world.messages(&phone(1)).await?;
    assert!(stored.iter().all(|message| message.status() == Status::Read));
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_was_marked_as_read_is_not_read_twice() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let old = inbound(1, 0, "uno");
    let last = world.publish_message(&old).await?;
    world.stored(last).await;
    let question = v1::MarkRead { tenant: "default".to_owned(), conversation: phone(1) };
    world.ask(service::CONVERSATIONS_MARK_READ, question).await?;
    world.publish_message(&inbound(1, 1, "dos")).await?;
    let last = world.publish_status(&read(&old, "agent")).await?;
    world.stored(last).await;
    assert_eq!(world.conversation(&phone(1)).await?.unread_count, 1, "the new one is unread all the same");
    assert_eq!(world.stats().await?.unread, 1);
    replica.stop().await;
    Ok(())
}
