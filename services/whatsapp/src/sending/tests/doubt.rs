//! Messages of which nobody knows whether they were sent.

use std::{sync::Arc, time::Duration};

use chasqui_kit::{TraceContext, publish::Fact};
use chasqui_proto::{
    MessageId,
    stream::DLQ,
    subject,
    v1::{ChannelKind, MessageStatus, Priority, SendState, Status},
};
use chasqui_testkit::wait_for;
use tokio_util::sync::CancellationToken;

use super::world::{Answer, Number, Provider, SOON, World};
use crate::{sending::Settings, statuses};

async fn provider_says(world: &World, id: MessageId, contact: &str, status: Status, code: i64) {
    let tenant = &world.tenant;
    let errors = (code != 0).then(|| chasqui_proto::v1::ProviderError { code, ..Default::default() });
    let said = MessageStatus {
        id: MessageId::now().to_string(),
        tenant: tenant.to_string(),
        conversation: contact.to_owned(),
        message_id: id.to_string(),
        provider_message_id: format!("wamid.{id}"),
        status: status.into(),
        channel: Some(world.channel(ChannelKind::WhatsappCloud)),
        errors: errors.into_iter().collect(),
        ..MessageStatus::default()
    };
    let subject = subject::messages_status(tenant, &contact.parse().unwrap());
    world.bus.publish(Fact::new(subject, &said, said.id.clone(), TraceContext::root())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_owners_of_one_session_never_send_one_message_twice() {
    let (world, provider) = (World::new().await, Provider::scripted([]));
    *provider.latency.lock().unwrap() = Duration::from_millis(20);
    let messages: Vec<_> = (0..400).map(|contact| world.message(contact, Priority::Campaign)).collect();
    let ids = world.queue_all(&messages).await;
    let first = world.owner("a", &provider, Number { rate: Some(200), ..Number::default() });
    wait_for(SOON, "the first sends", async || (provider.reached().len() > 50).then_some(())).await;
    // The first does not know that it lost the session.
    let second = world.owner("b", &provider, Number { rate: Some(200), ..Number::default() });
    wait_for(SOON, "all were sent", async || (provider.reached().len() >= 400).then_some(())).await;
    world.queue_is_empty().await;
    for id in ids {
        assert_eq!(provider.times(id), 1, "{id}");
        assert_eq!(world.send(id).await.unwrap().state(), SendState::Accepted);
    }
    first.stopped().await;
    second.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_owner_was_sending_is_uncertain_until_the_provider_tells() {
    let (world, provider) = (World::new().await, Provider::scripted([Answer::Hang]));
    let owner = world.owner("a", &provider, Number::default());
    let id = world.queue_one(1).await;
    wait_for(SOON, "its bytes are written", async || (provider.times(id) == 1).then_some(())).await;
    owner.task.abort();
    let next = world.owner("b", &Arc::clone(&provider), Number::default());
    world.status(id, Status::Uncertain).await;
    wait_for(SOON, "it is uncertain", async || {
        (world.send(id).await?.state() == SendState::Uncertain).then_some(())
    })
    .await;
    // Others to the same contact go on.
    let other = world.queue_one(1).await;
    world.status(other, Status::Accepted).await;
    let stop = CancellationToken::new();
    let follows = tokio::spawn(statuses::follow_statuses(world.bus.clone(), false, |_| {}, stop.clone()));
    provider_says(&world, id, "5491100000001", Status::Sent, 0).await;
    world.queue_is_empty().await;
    let send = world.send(id).await.unwrap();
    assert_eq!((send.state(), send.provider_id), (SendState::Accepted, format!("wamid.{id}")));
    assert_eq!(provider.times(id), 1);
    stop.cancel();
    follows.await.unwrap();
    next.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_answer_was_lost_is_never_sent_again() {
    let (world, provider) = (World::new().await, Provider::scripted([Answer::Hang]));
    let settings = Settings {
        send_wait: Duration::from_millis(200),
        uncertain_wait: Duration::from_secs(2),
        ..Settings::default()
    };
    let owner = world.owner("a", &provider, Number { settings, ..Number::default() });
    let id = world.queue_one(1).await;
    world.status(id, Status::Uncertain).await;
    let failed = world.status(id, Status::Failed).await;
    assert_eq!((failed.errors[0].code, failed.errors[0].title.as_str()), (0, "uncertain"));
    world.queue_is_empty().await;
    assert_eq!(provider.times(id), 1);
    let letters = world.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].1.get("Chasqui-Dead-Reason").unwrap().as_str(), "uncertain");
    assert_eq!(letters[0].1.get("Chasqui-Dead-Stream").unwrap().as_str(), "OUTBOX");
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_prefers_twice_to_never_may_say_so() {
    let (world, provider) = (World::new().await, Provider::scripted([Answer::Unknown]));
    let settings =
        Settings { uncertain_resend: true, uncertain_wait: Duration::from_secs(1), ..Settings::default() };
    let owner = world.owner("a", &provider, Number { settings, ..Number::default() });
    let id = world.queue_one(1).await;
    world.status(id, Status::Accepted).await;
    assert_eq!(provider.times(id), 2);
    world.queue_is_empty().await;
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_never_answers_makes_few_messages_uncertain() {
    let world = World::new().await;
    let provider = Provider::scripted(std::iter::repeat_n(Answer::Unknown, 1_000));
    let owner = world.owner("a", &provider, Number { rate: Some(20), ..Number::default() });
    let messages: Vec<_> = (0..200).map(|contact| world.message(contact, Priority::Campaign)).collect();
    world.queue_all(&messages).await;
    wait_for(SOON, "two probes were made", async || (provider.reached().len() >= 5).then_some(())).await;
    // At its own pace the fifth would have come a tenth of a second after the third.
    let reached = provider.reached();
    let took = reached[4].at - reached[2].at;
    assert!(took >= Duration::from_millis(2_900), "{took:?}");
    owner.stopped().await;
}

/// WhatsApp took a message and then spares its contact.
async fn check_spared(expires_in_ms: Option<i64>, expected: SendState, kept: u64) {
    const DAY_MS: i64 = 24 * 3_600 * 1_000;
    let (world, provider) = (World::new().await, Provider::scripted([]));
    let owner = world.owner("a", &provider, Number::default());
    let stop = CancellationToken::new();
    let follows = tokio::spawn(statuses::follow_statuses(world.bus.clone(), false, |_| {}, stop.clone()));
    let mut message = world.message(1, Priority::Campaign);
    message.expires_at_ms = expires_in_ms.map_or(0, |in_ms| message.received_at_ms + in_ms);
    let conversation = message.conversation.parse().unwrap();
    let out = subject::messages_out(&world.tenant, &conversation);
    let session = (world.tenant.clone(), world.session.clone());
    let routes = tokio::spawn(crate::router::route(
        world.bus.clone(),
        move |_| crate::router::Resolved::Session {
            tenant: session.0.clone(),
            session: session.1.clone(),
            kind: ChannelKind::WhatsappCloud,
        },
        stop.clone(),
    ));
    world.bus.publish(Fact::new(out, &message, message.id.as_str(), TraceContext::root())).await.unwrap();
    let id = message.id.parse().unwrap();
    world.status(id, Status::Accepted).await;
    provider_says(&world, id, &message.conversation, Status::Failed, 131_049).await;
    let given_up = async || world.send(id).await.filter(|send| send.state() != SendState::Accepted);
    let send = wait_for(SOON, "it was given up", given_up).await;
    assert_eq!(send.state(), expected);
    if expected == SendState::Waiting {
        assert!(send.next_at_ms - send.changed_at_ms >= DAY_MS);
    }
    world.queue_keeps(kept).await;
    assert_eq!((provider.times(id), world.count(DLQ.name).await), (1, 0));
    stop.cancel();
    let _ = tokio::join!(follows, routes);
    owner.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_took_and_gave_up_waits_a_day_and_is_kept() {
    check_spared(None, SendState::Waiting, 1).await;
    check_spared(Some(25 * 3_600 * 1_000), SendState::Waiting, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_have_expired_by_then_has_failed() {
    check_spared(Some(24 * 3_600 * 1_000), SendState::Failed, 0).await;
}
