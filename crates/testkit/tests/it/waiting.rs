use std::time::Duration;

use chasqui_testkit::wait_for;

#[tokio::test]
async fn waiting_ends_with_the_fact() {
    let mut looks = 0;
    let found = wait_for(Duration::from_secs(5), "the third look finds it", async || {
        looks += 1;
        (looks == 3).then_some("it")
    })
    .await;
    assert_eq!((found, looks), ("it", 3));
}

#[tokio::test]
#[should_panic(expected = "still not true: the stream is empty")]
async fn a_claim_that_does_not_come_true_is_named() {
    wait_for(Duration::from_millis(20), "the stream is empty", async || None::<()>).await;
}

#[tokio::test]
#[should_panic(expected = "still not true: the look returns")]
async fn a_look_that_hangs_is_ended_by_the_deadline() {
    wait_for(Duration::from_millis(20), "the look returns", std::future::pending::<Option<()>>).await;
}
