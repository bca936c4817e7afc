//! From what everybody publishes into the queues of the sessions.

use chasqui_kit::{TraceContext, publish::Fact};
use chasqui_proto::{
    stream::{MESSAGES, OUTBOX, WINDOW_CONSUMER},
    subject::{self, NodeToken},
    v1::{ChannelKind, Message, Priority, SenderType, Status},
};
use chasqui_testkit::wait_for;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::world::{SOON, World};
use crate::{
    router::{self, Resolved},
    window,
};

fn routes(world: &World, stop: &CancellationToken) -> JoinHandle<()> {
    let tenant = world.tenant.clone();
    let resolve = move |message: &Message| match message.channel.as_ref().map(|channel| channel.id.as_str()) {
        Some("1000001") => Resolved::Session {
            tenant: tenant.clone(),
            session: NodeToken::new("1000001"),
            kind: ChannelKind::WhatsappCloud,
        },
        Some("widget") => Resolved::NotOurs,
        _ => Resolved::Unknown,
    };
    tokio::spawn(router::route(world.bus.clone(), resolve, stop.clone()))
}

async fn publish(world: &World, message: &Message) {
    let subject = subject::messages_out(&world.tenant, &message.conversation.parse().unwrap());
    world.bus.publish(Fact::new(subject, message, message.id.as_str(), TraceContext::root())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_comes_to_its_session_and_what_has_none_is_told_so() {
    let (world, stop) = (World::new().await, CancellationToken::new());
    let running = routes(&world, &stop);
    let mut reply = world.message(1, Priority::Unspecified);
    reply.sender_type = SenderType::Ai.into();
    publish(&world, &reply).await;
    let mut widget = world.message(2, Priority::Unspecified);
    widget.channel.as_mut().unwrap().id = "widget".to_owned();
    publish(&world, &widget).await;
    // Written on the business's own phone, and told by the provider: to send it again would be to write twice.
    let mut echo = world.message(4, Priority::Unspecified);
    echo.provider_id = "wamid.A".to_owned();
    publish(&world, &echo).await;
    let mut lost = world.message(3, Priority::Unspecified);
    lost.channel.as_mut().unwrap().id = "2000002".to_owned();
    publish(&world, &lost).await;
    let failed = world.status(lost.id.parse().unwrap(), Status::Failed).await;
    assert_eq!((failed.errors[0].code, failed.errors[0].title.as_str()), (0, "no_session"));
    let outbox = world.bus.jetstream().get_stream(OUTBOX.name).await.unwrap();
    let due = subject::sends_due(
        &world.tenant,
        &world.session,
        Priority::Reply,
        &reply.conversation.parse().unwrap(),
    );
    let stored = wait_for(SOON, "the reply is queued", async || {
        outbox.get_last_raw_message_by_subject(due.as_str()).await.ok()
    })
    .await;
    assert_eq!(stored.headers.get("Nats-Msg-Id").unwrap().as_str(), reply.id);
    assert_eq!(stored.headers.get("Chasqui-Message-Sequence").unwrap().as_str(), "1");
    wait_for(SOON, "what has no session is a dead letter", async || {
        world.dead_letters().await.into_iter().find(|(_, headers)| {
            headers.get("Chasqui-Dead-Reason").is_some_and(|reason| reason.as_str() == "no_session")
        })
    })
    .await;
    assert_eq!(world.count(OUTBOX.name).await, 1);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn routers_take_turns_so_that_a_conversation_stays_in_order() {
    let (world, stop) = (World::new().await, CancellationToken::new());
    let first_stop = CancellationToken::new();
    let running = [routes(&world, &first_stop), routes(&world, &stop), routes(&world, &stop)];
    for number in 0..300 {
        publish(&world, &world.message(number % 3, Priority::Reply)).await;
        if number == 150 {
            first_stop.cancel();
        }
    }
    let outbox = world.bus.jetstream().get_stream(OUTBOX.name).await.unwrap();
    world.queue_keeps(300).await;
    let mut last = 0;
    for seq in 1..=300 {
        let stored = outbox.get_raw_message(seq).await.unwrap();
        if stored.subject.ends_with("000001") {
            let origin = stored.headers.get("Chasqui-Message-Sequence").unwrap().as_str().parse().unwrap();
            assert!(last < origin, "{last} {origin}");
            last = origin;
        }
    }
    stop.cancel();
    for task in running {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_contact_writes_its_window_is_noted_and_never_moves_back() {
    let (world, stop) = (World::new().await, CancellationToken::new());
    let keeps = [0, 1].map(|_| tokio::spawn(window::keep_windows(world.bus.clone(), stop.clone())));
    let conversation = "5491100000001".parse().unwrap();
    for at in [3_000, 1_000, 2_000, 5_000, 4_000] {
        let mut message = world.message(1, Priority::Unspecified);
        (message.occurred_at_ms, message.provider_id) = (at, format!("wamid.{at}"));
        let subject = subject::messages_in(&world.tenant, &conversation);
        world
            .bus
            .publish(Fact::new(subject, &message, message.id.as_str(), TraceContext::root()))
            .await
            .unwrap();
    }
    let windows = window::Windows::open(&world.bus).await.unwrap();
    let messages = world.bus.jetstream().get_stream(MESSAGES.name).await.unwrap();
    wait_for(SOON, "all were heard", async || {
        let consumer = messages.consumer_info(WINDOW_CONSUMER).await.ok()?;
        (consumer.ack_floor.stream_sequence == 5).then_some(())
    })
    .await;
    let window = windows.get(&world.tenant, &world.session, &conversation).await.unwrap().unwrap();
    assert_eq!((window.last_in_at_ms, window.provider_message_id.as_str()), (5_000, "wamid.5000"));
    stop.cancel();
    for task in keeps {
        task.await.unwrap();
    }
}
