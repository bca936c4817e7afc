//! Values that several processes change.

use chasqui_kit::{Bus, bucket::CompareAndSetError};
use chasqui_proto::stream::{SENDS, bucket_stream, bucket_subject};

use crate::{broker, connect};

const KEY: &str = "default.main.x";

async fn write(bus: &Bus, value: &'static [u8], revision: u64) -> Result<u64, CompareAndSetError> {
    bus.compare_and_set(&SENDS, KEY, value.into(), revision).await
}

#[tokio::test]
async fn of_two_who_read_the_same_one_writes_and_the_other_reads_again() {
    let (nats, one) = broker().await;
    let two = connect(&nats).await;
    let (a, b) = tokio::join!(write(&one, b"one", 0), write(&two, b"two", 0));
    let revision = match (a, b) {
        (Ok(revision), Err(CompareAndSetError::Overtaken))
        | (Err(CompareAndSetError::Overtaken), Ok(revision)) => revision,
        both => panic!("one of them writes: {both:?}"),
    };
    assert!(matches!(write(&one, b"blind", 0).await, Err(CompareAndSetError::Overtaken)));
    let newer = write(&two, b"three", revision).await.unwrap();
    assert!(newer > revision);
    let bucket = one.jetstream().get_stream(bucket_stream(&SENDS)).await.unwrap();
    let kept = bucket.get_last_raw_message_by_subject(&bucket_subject(&SENDS, KEY)).await.unwrap();
    assert_eq!((kept.payload.as_ref(), kept.sequence), (b"three".as_slice(), newer));
}

#[tokio::test]
async fn what_a_broker_that_is_away_did_not_take_may_be_written_or_not() {
    let (nats, bus) = broker().await;
    nats.kill();
    assert!(matches!(write(&bus, b"one", 0).await, Err(CompareAndSetError::Away(_))));
}
