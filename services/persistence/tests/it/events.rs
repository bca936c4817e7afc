//! What clients missed.

use std::time::{Duration, Instant};

use anyhow::Result;
use chasqui_proto::{
    service,
    v1::{self, Status, stored_event},
};

use chasqui_testkit::wait_for;

use crate::world::{SOON, World, inbound, outbound, phone, status, texts};

fn since(conversation: &str, after_seq: u64, limit: u32) -> v1::ListEvents {
    v1::ListEvents { tenant: "default".to_owned(), conversation: conversation.to_owned(), after_seq, limit }
}

#[tokio::test]
async fn what_happened_since_a_position_comes_in_order_and_up_to_the_watermark() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let (question, answer) = (inbound(1, 0, "¿?"), outbound(1, 1, "!"));
    let first = world.publish_message(&question).await?;
    let second = world.publish_message(&answer).await?;
    let third = world.publish_message(&inbound(2, 2, "otro")).await?;
    let fourth = world.publish_status(&status(&answer, Status::Delivered)).await?;
    world.stored(fourth).await;
    let all = world.ask(service::EVENTS_SINCE, since("", first, 10)).await?;
    let positions: Vec<u64> = all.events.iter().map(|event| event.seq).collect();
    assert_eq!((positions, all.truncated), (vec![second, third, fourth], false));
    assert!(all.watermark_seq >= fourth);
    assert_eq!(all.conversations.len(), 2);
    let one = world.ask(service::EVENTS_SINCE, since(&phone(1), 0, 10)).await?;
    assert_eq!(one.events.len(), 3);
    let Some(stored_event::Fact::Message(message)) = &one.events[0].fact else {
        panic!("a message is first")
    };
    assert_eq!(message, &question, "exactly as it went over the bus");
    assert!(matches!(one.events[2].fact, Some(stored_event::Fact::Status(_))));
    let short = world.ask(service::EVENTS_SINCE, since("", 0, 3)).await?;
    assert!(short.truncated && short.events.is_empty());
    let unknown = world.ask(service::EVENTS_SINCE, since(&phone(9), 0, 3)).await?;
    assert!(unknown.events.is_empty() && unknown.watermark_seq >= fourth);
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_watermark_stands_still_where_something_is_not_stored() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let stored = world.publish_message(&inbound(1, 0, "hola")).await?;
    world.stored(stored).await;
    // Someone else holds the row, so the next message cannot be stored yet.
    let mut transaction = world.pool.begin().await?;
    sqlx::query("select from conversations for update").execute(&mut *transaction).await?;
    let waiting = world.publish_message(&inbound(1, 1, "otra")).await?;
    wait_for(SOON, "the message waits for the row", async || {
        let waiting = "select count(*) from pg_locks where not granted";
        (sqlx::query_scalar::<_, i64>(waiting).fetch_one(&world.pool).await.ok()? > 0).then_some(())
    })
    .await;
    // Longer than an answer about the position is remembered.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(200) {
        let page = world.ask(service::EVENTS_SINCE, since("", 0, 10)).await?;
        assert_eq!((page.events.len(), page.watermark_seq), (1, stored));
    }
    transaction.rollback().await?;
    world.stored(waiting).await;
    assert_eq!(world.ask(service::EVENTS_SINCE, since("", 0, 10)).await?.events.len(), 2);
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_a_widget_missed_is_what_nobody_delivered() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let at_ms = chasqui_kit::clock::now_ms() - crate::world::BEGIN_MS;
    let eight_days_ms = 8 * 24 * 3_600_000;
    let (seen, sent) = (outbound(1, at_ms, "seen"), outbound(1, at_ms + 1, "sent"));
    let whatsapp = v1::Message { channel: inbound(1, 0, "").channel, ..outbound(1, at_ms, "whatsapp") };
    for message in [&outbound(1, at_ms - eight_days_ms, "old"), &seen, &sent, &whatsapp] {
        world.publish_message(message).await?;
    }
    world.publish_message(&inbound(1, at_ms, "from the contact")).await?;
    world.publish_message(&outbound(1, at_ms + 2, "new")).await?;
    world.publish_status(&status(&seen, Status::Delivered)).await?;
    let last = world.publish_status(&status(&sent, Status::Sent)).await?;
    world.stored(last).await;
    let missed = |number, limit| v1::ListUndelivered {
        tenant: "default".to_owned(),
        conversation: phone(number),
        limit,
    };
    let page = world.ask(service::MESSAGES_UNDELIVERED, missed(1, 0)).await?;
    assert_eq!(texts(&page.messages), ["sent", "new"]);
    assert!(page.watermark_seq >= last);
    let page = world.ask(service::MESSAGES_UNDELIVERED, missed(1, 1)).await?;
    assert_eq!(texts(&page.messages), ["new"], "the newest are shown");
    let nobody = world.ask(service::MESSAGES_UNDELIVERED, missed(9, 0)).await?;
    assert!(nobody.messages.is_empty() && nobody.watermark_seq >= last);
    replica.stop().await;
    Ok(())
}
