//! How far messages got.

use anyhow::Result;
use chasqui_proto::v1::{self, Status};

use crate::world::{World, outbound, phone, status};

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
