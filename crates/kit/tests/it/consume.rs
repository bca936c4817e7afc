//! Reading through a durable consumer.

use std::time::Duration;

use chasqui_kit::{
    Bus,
    consume::{self, Cause, ConsumerSpec, Delivery, Start},
};
use chasqui_proto::{header, stream, subject};
use chasqui_testkit::wait_for;
use futures::{Stream, StreamExt};

use crate::{DEADLINE, broker, fact, message};

const NAME: &str = "reader";

fn spec() -> ConsumerSpec {
    ConsumerSpec {
        stream: stream::MESSAGES,
        name: NAME,
        description: "the test",
        filters: subject::persisted().to_vec(),
        start: Start::Everything,
        ack_wait: Duration::from_secs(1),
        ack_pending_max: 100,
    }
}

async fn batches(bus: &Bus) -> impl Stream<Item = Vec<Delivery>> + Unpin + use<> {
    let consumer = consume::open(bus, &spec()).await.unwrap();
    consume::batches(&consumer, NAME, 50).await.unwrap()
}

async fn take(batches: &mut (impl Stream<Item = Vec<Delivery>> + Unpin), count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch = tokio::time::timeout(DEADLINE, batches.next()).await.expect("a batch comes in time");
        taken.extend(batch.unwrap());
    }
    taken
}

#[tokio::test]
async fn what_has_gathered_comes_as_one_batch() {
    let (_nats, bus) = broker().await;
    for index in 0..400 {
        bus.publish(fact(&message(&index.to_string()))).await.unwrap();
    }
    let spec = ConsumerSpec { ack_pending_max: 400, ..spec() };
    let mut consumer = consume::open(&bus, &spec).await.unwrap();
    let mut batches = consume::batches(&consumer, NAME, 400).await.unwrap();
    let first = batches.next().await.unwrap();
    let sent = async || (consumer.info().await.unwrap().num_ack_pending == 400).then_some(());
    wait_for(DEADLINE, "the server has sent everything", sent).await;
    bus.barrier().await.unwrap();
    let rest = if first.len() < 400 { batches.next().await.unwrap() } else { Vec::new() };
    assert_eq!(first.len() + rest.len(), 400);
}

#[tokio::test]
async fn what_is_done_does_not_come_again_and_what_is_not_does() {
    let (_nats, bus) = broker().await;
    for index in 0..10 {
        bus.publish(fact(&message(&index.to_string()))).await.unwrap();
    }
    let mut batches = batches(&bus).await;
    for delivery in take(&mut batches, 10).await {
        match delivery.seq {
            5 => delivery.again(Duration::ZERO).await,
            _ => delivery.done().await,
        }
    }
    let again = take(&mut batches, 1).await;
    assert_eq!((again[0].seq, again[0].attempt), (5, 2));
}

#[tokio::test]
async fn a_dead_letter_says_what_it_was_and_why_and_is_not_delivered_again() {
    let (_nats, bus) = broker().await;
    bus.publish(fact(&message("poison"))).await.unwrap();
    let mut batches = batches(&bus).await;
    let delivery = take(&mut batches, 1).await.remove(0);
    let cause =
        Cause { service: "test", reason: "undecodable", first_error: "line\nbreak", last_error: "the last" };
    consume::bury(&bus, &delivery, &cause).await.unwrap();
    // Buried twice, as after a crash in between, it is one letter.
    consume::bury(&bus, &delivery, &cause).await.unwrap();
    let mut letters = bus.jetstream().get_stream(stream::DLQ.name).await.unwrap();
    assert_eq!(letters.info().await.unwrap().state.messages, 1);
    let letter = letters.get_raw_message(1).await.unwrap();
    let header = |name: &str| letter.headers.get(name).unwrap().to_string();
    assert_eq!(letter.subject.as_str(), "dlq.test.messages.in.default.5491100000001");
    assert_eq!(header(header::DEAD_REASON), "undecodable");
    assert_eq!(header(header::DEAD_FIRST_ERROR), "line break");
    assert_eq!(header(header::DEAD_SEQUENCE), "1");
    assert_eq!(&letter.payload, delivery.payload());
    bus.publish(fact(&message("next"))).await.unwrap();
    assert_eq!(take(&mut batches, 1).await[0].seq, 2);
}
