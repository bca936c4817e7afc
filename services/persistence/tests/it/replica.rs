//! Several replicas at once.

use anyhow::Result;
use chasqui_proto::{subject, v1::Status};
use chasqui_testkit::wait_for;
use futures::{StreamExt, TryStreamExt, stream};

use crate::world::{SOON, World, inbound, outbound, phone, status, tenant};

const CONTACTS: u32 = 20;
const ROUNDS: i64 = 40;

/// In every round each contact writes twice and is answered once; the answer is delivered. Small batches, so that
/// both replicas work on all conversations at the same time.
#[tokio::test]
async fn two_replicas_count_exactly() -> Result<()> {
    let mut world = World::new().await?;
    world.config.batch_max = 17;
    world.config.batch_interval_ms = 0;
    let (one, other) = (world.replica().await?, world.replica().await?);
    let mut publishing = Vec::new();
    for round in 0..ROUNDS {
        for contact in 0..CONTACTS {
            let at_ms = round * 1_000;
            let answer = outbound(contact, at_ms + 500, "answer");
            let delivered = status(&answer, Status::Delivered);
            let world = &world;
            publishing.push(async move {
                world.publish_message(&inbound(contact, at_ms, "first")).await?;
                world.publish_message(&inbound(contact, at_ms + 100, "second")).await?;
                world.publish_message(&answer).await?;
                world.publish_status(&delivered).await
            });
        }
        // One round after the other, so that the stream has each contact's turns in order.
        let sent: Vec<u64> = stream::iter(publishing.drain(..)).buffer_unordered(64).try_collect().await?;
        assert_eq!(sent.len(), usize::try_from(CONTACTS)?);
    }
    let total = u64::try_from(ROUNDS)? * u64::from(CONTACTS);
    world.stored(total * 4).await;
    let stats = world.stats().await?;
    assert_eq!((stats.messages_in, stats.messages_out), (2 * total, total));
    assert_eq!((stats.unread, stats.conversations), (2 * total, u64::from(CONTACTS)));
    assert_eq!(
        stats.by_status.iter().map(|c| (c.name.as_str(), c.count)).collect::<Vec<_>>(),
        [("delivered", total)]
    );
    assert_eq!((stats.responses, stats.response_time_mean_ms), (total, 500));
    for contact in 0..CONTACTS {
        let conversation = world.conversation(&phone(contact)).await?;
        assert_eq!(u64::from(conversation.unread_count), 2 * u64::try_from(ROUNDS)?);
        assert_eq!(conversation.last_message.as_ref().unwrap().text, "answer");
        assert_eq!(conversation.last_message_status, i32::from(Status::Delivered));
        let name = subject::conversations_updated(&tenant(), &conversation.token.parse()?);
        wait_for(SOON, "the last state that is told is the newest", async || {
            let told: chasqui_proto::v1::Conversation = world.last_state(name.as_str()).await?;
            (told.version == conversation.version).then_some(())
        })
        .await;
    }
    let name = subject::stats_updated(&tenant());
    wait_for(SOON, "the last counters that are told are the right ones", async || {
        let told: chasqui_proto::v1::Stats = world.last_state(name.as_str()).await?;
        (told.messages_in == 2 * total && told.responses == total && told.by_status == stats.by_status)
            .then_some(())
    })
    .await;
    one.stop().await;
    other.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_a_stopped_replica_had_is_stored_by_the_next() -> Result<()> {
    let world = World::new().await?;
    let first = world.replica().await?;
    let mut last = 0;
    for number in 0..200 {
        last = world.publish_message(&inbound(number % 10, i64::from(number), "hola")).await?;
    }
    first.stop().await;
    let second = world.replica().await?;
    world.stored(last).await;
    assert_eq!(world.stats().await?.messages_in, 200);
    second.stop().await;
    Ok(())
}
