use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt, stream};
use serde_json::json;

use crate::{
    receiver::Receiver,
    simulator::{CONTACT, SOON, Simulator, answer, outcome, text},
};

#[tokio::test]
async fn the_46th_message_of_a_burst_to_one_contact_is_refused_and_counted() -> Result<()> {
    let simulator = Simulator::alone(json!({ "pair_pause_ms": 600_000 })).await?;
    for _ in 0..45 {
        assert!(simulator.send(CONTACT).await?.is_ok());
    }
    let (http, refused) = answer(simulator.ask(&text(CONTACT))).await?;
    assert_eq!((http, &refused["error"]["code"]), (429, &json!(131_056)));
    assert!(simulator.send("5491100000002").await?.is_ok(), "others are not concerned");
    let stats = simulator.get("/graph/stats").await?;
    assert_eq!((&stats["pair_violations"], &stats["refused"]["131056"]), (&json!(1), &json!(1)));
    assert_eq!(stats["accepted"], 46);
    simulator.stop().await
}

#[tokio::test]
async fn what_a_burst_borrowed_is_paid_back_before_the_next() -> Result<()> {
    let simulator = Simulator::alone(json!({ "pair_pause_ms": 400 })).await?;
    assert!(simulator.send(CONTACT).await?.is_ok());
    assert!(simulator.send(CONTACT).await?.is_ok(), "a burst of two");
    let paid = std::time::Instant::now();
    let waited = chasqui_testkit::wait_for(SOON, "the debt is paid", async || {
        let first_pause_over = paid.elapsed() > Duration::from_millis(450);
        (first_pause_over && simulator.send(CONTACT).await.ok()?.is_ok()).then(|| paid.elapsed())
    })
    .await;
    assert!(
        waited > Duration::from_millis(600),
        "twice 400 ms from the first, less what requests take: {waited:?}"
    );
    simulator.stop().await
}

#[tokio::test]
async fn a_number_that_sends_too_fast_is_refused() -> Result<()> {
    let simulator = Simulator::alone(json!({ "messages_per_second_max": 20 })).await?;
    let sent = stream::iter(0..200).map(|at| {
        let simulator = &simulator;
        async move { simulator.send(&format!("54911{at:08}")).await }
    });
    let outcomes: Vec<_> = sent.buffer_unordered(32).collect().await;
    let refused = outcomes.into_iter().filter(|outcome| matches!(outcome, Ok(Err(130_429)))).count();
    let stats = simulator.get("/graph/stats").await?;
    assert!(refused > 0, "{stats}");
    assert_eq!(stats["number_violations"], json!(refused));
    assert_eq!(stats["accepted"], json!(200 - refused));
    assert!(stats["per_second_max"].as_u64().unwrap() <= 40, "a full bucket and a second's worth: {stats}");
    let other = answer(simulator.ask_as("100000000000002", &text(CONTACT))).await?.1;
    assert!(outcome(&other)?.is_ok(), "each number has its own");
    simulator.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_messages_are_taken_and_each_status_is_told() -> Result<()> {
    let (receiver, url) = Receiver::start(&[]).await?;
    let simulator = Simulator::start(url).await?;
    simulator.set(json!({ "window": "off", "messages_per_second_max": 100_000 })).await?;
    let sent = stream::iter(0..10_000).map(|at| {
        let simulator = &simulator;
        async move {
            let mut body = text(&format!("54911{at:08}"));
            body["biz_opaque_callback_data"] = format!("m-{}", at % 9_999).into();
            answer(simulator.ask(&body)).await.is_ok_and(|(status, _)| status == 200)
        }
    });
    let taken = sent.buffer_unordered(32).filter(|taken| std::future::ready(*taken)).count().await;
    assert_eq!(taken, 10_000);
    let stats = simulator.get("/graph/stats").await?;
    assert_eq!((&stats["accepted"], &stats["duplicates"]), (&json!(10_000), &json!(1)));
    assert_eq!(stats["duplicated"], json!([{ "biz_opaque_callback_data": "m-0", "count": 2 }]));
    chasqui_testkit::wait_for(SOON, "every status is told", async || {
        let webhooks = receiver.inbox();
        let told = webhooks.iter().map(|webhook| {
            webhook["entry"][0]["changes"][0]["value"]["statuses"].as_array().map_or(0, Vec::len)
        });
        (told.sum::<usize>() == 30_000).then_some(())
    })
    .await;
    simulator.stop().await
}
