//! Publishing, and a broker that goes and comes back.

use chasqui_kit::{Bus, Code, Coded, bus::NatsConfig, publish::PublishError, stream};
use chasqui_proto::{header, stream::MESSAGES, subject};
use chasqui_testkit::{NatsCluster, wait_for};
use futures::{StreamExt, future::join_all};

use crate::{DEADLINE, broker, conversation, fact, message, tenant};

#[tokio::test]
async fn a_fact_published_twice_is_stored_and_repeated_once() {
    let (_nats, bus) = broker().await;
    let pattern = subject::live_tenant(&tenant());
    let mut live = bus.client().subscribe(pattern.as_str().to_owned()).await.unwrap();
    bus.barrier().await.unwrap();
    let (first, second) = (message("first"), message("second"));
    let stored = bus.publish(fact(&first)).await.unwrap();
    let again = bus.publish(fact(&first)).await.unwrap();
    assert!(!stored.duplicate && again.duplicate);
    assert_eq!(stored.seq, again.seq);
    bus.publish(fact(&second)).await.unwrap();
    let ids = [live.next().await.unwrap(), live.next().await.unwrap()]
        .map(|message| message.headers.unwrap().get(header::ID).unwrap().to_string());
    assert_eq!(ids, ["first", "second"]);
}

#[tokio::test]
async fn a_fact_that_several_publish_at_once_is_stored_once_and_each_is_told_so() {
    let cluster = NatsCluster::start(3).await.unwrap();
    let mut buses = Vec::new();
    for url in cluster.urls() {
        let config = NatsConfig { url, replicas: 3, ..NatsConfig::default() };
        buses.push(Bus::connect("test", &config).await.unwrap());
    }
    stream::ensure_all(&buses[0]).await.unwrap();
    for number in 0..200 {
        let message = message(&number.to_string());
        let stored = join_all(buses.iter().map(|bus| bus.publish(fact(&message)))).await;
        let stored: Vec<_> = stored.into_iter().map(Result::unwrap).collect();
        assert_eq!(stored.iter().filter(|stored| !stored.duplicate).count(), 1, "{number}: {stored:?}");
        assert!(stored.iter().all(|stored| stored.seq == number + 1), "{number}: {stored:?}");
    }
}

#[tokio::test]
async fn operators_read_what_a_fact_is_in_its_headers() {
    let (_nats, bus) = broker().await;
    let message = message("hola");
    let fact = fact(&message);
    let trace = fact.trace;
    bus.publish(fact).await.unwrap();
    let stream = bus.jetstream().get_stream(MESSAGES.name).await.unwrap();
    let subject = subject::messages_in(&tenant(), &conversation());
    let stored = stream.direct_get_last_for_subject(subject.as_str()).await.unwrap();
    let header = |name: &str| stored.headers.get(name).unwrap().to_string();
    assert_eq!(header(header::TYPE), "chasqui.v1.Message");
    assert_eq!(header(header::TRACEPARENT), trace.to_header());
    assert_eq!(header("Nats-Msg-Id"), "hola");
}

#[tokio::test]
async fn a_state_that_replaces_leaves_only_the_newest() {
    let (_nats, bus) = broker().await;
    for text in ["old", "new"] {
        let message = message(text);
        let mut fact = fact(&message);
        fact.replaces = true;
        bus.publish(fact).await.unwrap();
    }
    let mut stream = bus.jetstream().get_stream(MESSAGES.name).await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.messages, 1);
}

#[tokio::test]
async fn while_the_broker_is_away_publishing_fails_at_once_and_afterwards_it_works_again() {
    let (nats, bus) = broker().await;
    let mut disruptions = bus.disruptions();
    nats.kill();
    let lost = async || (!bus.is_connected()).then_some(());
    wait_for(DEADLINE, "the connection is noticed as lost", lost).await;
    let message = message("hola");
    let refused = bus.publish(fact(&message)).await.unwrap_err();
    assert!(matches!(refused, PublishError::Away), "{refused}");
    assert_eq!(refused.code(), Code::Unavailable);
    disruptions.changed().await.unwrap();
    nats.restart().await.unwrap();
    let stored = async || bus.publish(fact(&message)).await.ok();
    let stored = wait_for(DEADLINE, "the stream takes messages again", stored).await;
    assert_eq!(stored.seq, 1, "what was refused was not stored behind our back");
}

#[tokio::test]
async fn streams_are_made_once_and_brought_to_what_is_declared() {
    let (_nats, bus) = broker().await;
    let mut changed = bus.jetstream().get_stream(MESSAGES.name).await.unwrap().cached_info().config.clone();
    changed.description = Some("by hand".to_owned());
    bus.jetstream().update_stream(&changed).await.unwrap();
    stream::ensure_all(&bus).await.unwrap();
    let stream = bus.jetstream().get_stream(MESSAGES.name).await.unwrap();
    assert_eq!(stream.cached_info().config.description.as_deref(), Some(MESSAGES.description));
}
