//! What becomes of events for listeners that do not work.

use std::time::{Duration, Instant};

use anyhow::Result;
use chasqui_proto::{
    header, stream,
    v1::{DeliveryOutcome, ListenerEntry},
};
use chasqui_testkit::wait_for;
use chasqui_webhooks::Config;

use crate::{
    receiver::{Answer, Received, Receiver},
    world::{SECRET, SOON, World, config, listener},
};

/// Each conversation is in order, and everything is there once.
fn assert_complete(received: &[Received], messages: usize) {
    assert_eq!(received.len(), messages);
    for contact in 0..3 {
        let from = format!("549110000000{contact}@c.us");
        let of_contact = received.iter().filter(|received| received.json()["from"] == from.as_str());
        let texts: Vec<String> = of_contact.map(Received::text).collect();
        assert_eq!(texts.len(), messages / 3);
        assert!(texts.is_sorted(), "{texts:?}");
    }
}

#[tokio::test]
async fn shc_32_a_listener_that_was_down_gets_everything_in_order() -> Result<()> {
    const MESSAGES: usize = 150;
    // Nobody listens there until the listener comes back.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let world = World::start(config()).await?;
    world.register("bot", &format!("http://127.0.0.1:{port}")).await?;
    let replica = world.replica("webhooks-1").await?;
    let write = async |number: usize| {
        world.writes(&format!("549110000000{}", number % 3), &format!("{number:03}")).await
    };
    for number in 0..MESSAGES {
        write(number).await?;
    }
    let state = wait_for(SOON, "everything waits while it rests", async || {
        world.state("bot").await.filter(|it| it.pending == MESSAGES as u64 && it.resting_until_ms > 0)
    })
    .await;
    assert!(state.failures_in_a_row > 0 && !state.last_error.is_empty(), "{state:?}");
    // What was being posted when the others were parked stays before them.
    let one_in_hand = async || (world.in_hand().await.ok()? <= 1).then_some(());
    wait_for(SOON, "what waits takes no place of the partition", one_in_hand).await;
    // Another owner finds what waits.
    replica.stop().await?;
    let replica = world.replica("webhooks-2").await?;
    let bot = Receiver::start_at(port).await?;
    wait_for(SOON, "it is back", async || (!bot.all().is_empty()).then_some(())).await;
    for number in MESSAGES..2 * MESSAGES {
        write(number).await?;
    }
    wait_for(SOON, "everything has come", async || (bot.all().len() >= 2 * MESSAGES).then_some(())).await;
    wait_for(SOON, "nothing waits", async || (world.queued().await.ok()? == 0).then_some(())).await;
    assert_complete(&bot.all(), 2 * MESSAGES);
    replica.stop().await
}

#[tokio::test]
async fn shc_12_a_bot_that_registers_when_it_starts_does_not_wait_for_the_end_of_its_rest() -> Result<()> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let world = World::start(Config { rest_secs_min: 600, rest_secs_max: 600, ..config() }).await?;
    let url = format!("http://127.0.0.1:{port}");
    world.register("bot", &url).await?;
    let replica = world.replica("webhooks-1").await?;
    world.writes("5491100000001", "mientras no estabas").await?;
    wait_for(SOON, "it rests for ten minutes", async || {
        world.state("bot").await.filter(|state| state.resting_until_ms > 0)
    })
    .await;
    let bot = Receiver::start_at(port).await?;
    let renewed =
        ListenerEntry { updated_at_ms: chasqui_kit::clock::now_ms(), ..world.listener("bot").await? };
    world.put(renewed).await?;
    wait_for(SOON, "it has what it missed", async || (bot.all().len() == 1).then_some(())).await;
    replica.stop().await
}

#[tokio::test]
async fn shc_32_what_is_refused_is_tried_by_the_schedule_and_then_given_up() -> Result<()> {
    let config = Config { retry_schedule_secs: vec![0, 1, 2], ..config() };
    let (world, bots) = (World::start(config).await?, Receiver::start().await?);
    world.register("bot", &bots.url).await?;
    bots.answers("bot", Answer::With(500));
    let replica = world.replica("webhooks-1").await?;
    world.writes("5491100000001", "hola").await?;
    let letter = wait_for(SOON, "it goes to the dead letters", async || {
        world.stored(stream::DLQ.name).await.ok()?.into_iter().next()
    })
    .await;
    assert!(letter.subject.starts_with("dlq.webhooks.deliveries.due."), "{}", letter.subject);
    assert_eq!(letter.headers.get(header::DEAD_ATTEMPTS).unwrap().as_str(), "3");
    let attempts = bots.of("bot");
    assert_eq!(attempts.len(), 3);
    let gap = |at: usize| attempts[at].at - attempts[at - 1].at;
    assert!(
        gap(1) >= Duration::from_secs(1) && gap(2) >= Duration::from_secs(2),
        "{:?} {:?}",
        gap(1),
        gap(2)
    );
    assert!(attempts.iter().all(|it| it.header("webhook-id") == attempts[0].header("webhook-id")));
    assert!(attempts.iter().all(|it| it.signed_by(SECRET).is_some()), "each with a time of its own");
    assert_ne!(attempts[0].header("webhook-timestamp"), attempts[2].header("webhook-timestamp"));
    let logged = wait_for(SOON, "the log tells it", async || {
        Some(world.logged("bot").await.ok()?).filter(|logged| logged.len() == 3)
    })
    .await;
    let outcomes: Vec<_> = logged.iter().map(|it| (it.attempt, it.outcome(), it.http_status)).collect();
    let (retrying, failed) = (DeliveryOutcome::Retrying, DeliveryOutcome::Failed);
    assert_eq!(outcomes, [(1, retrying, 500), (2, retrying, 500), (3, failed, 500)]);
    assert_eq!(world.queued().await?, 0);
    replica.stop().await
}

#[tokio::test]
async fn shc_32_the_pause_a_listener_asks_for_is_honoured() -> Result<()> {
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    for (id, answer) in [("busy", Answer::After(429, "3")), ("refusing", Answer::After(500, "7"))] {
        world.register(id, &bots.url).await?;
        bots.answers(id, answer);
    }
    let replica = world.replica("webhooks-1").await?;
    world.writes("5491100000001", "hola").await?;
    for (id, pause) in [("busy", 3), ("refusing", 7)] {
        wait_for(SOON, "it was asked", async || (!bots.of(id).is_empty()).then_some(())).await;
        bots.answers(id, Answer::With(200));
        let attempts = wait_for(SOON, "it is asked again", async || {
            Some(bots.of(id)).filter(|attempts| attempts.len() > 1)
        })
        .await;
        assert!(attempts[1].at - attempts[0].at >= Duration::from_secs(pause), "{id}");
    }
    replica.stop().await
}

#[tokio::test]
async fn a_listener_that_is_gone_is_disabled_at_once() -> Result<()> {
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    for id in ["gone", "other"] {
        world.register(id, &bots.url).await?;
    }
    bots.answers("gone", Answer::With(410));
    let replica = world.replica("webhooks-1").await?;
    world.writes("5491100000001", "first").await?;
    let entry = wait_for(SOON, "it is disabled", async || {
        world.listener("gone").await.ok().filter(|entry| entry.disabled)
    })
    .await;
    assert_eq!(entry.disabled_reason, "gone");
    world.writes("5491100000001", "second").await?;
    wait_for(SOON, "the other has both", async || (bots.of("other").len() == 2).then_some(())).await;
    wait_for(SOON, "nothing waits", async || (world.queued().await.ok()? == 0).then_some(())).await;
    assert_eq!(bots.of("gone").len(), 1);
    // Its operator knows better.
    bots.answers("gone", Answer::With(200));
    world.register("gone", &bots.url).await?;
    wait_for(SOON, "it gets events again", async || {
        world.writes("5491100000001", "again").await.ok()?;
        (bots.of("gone").len() > 1).then_some(())
    })
    .await;
    replica.stop().await
}

#[tokio::test]
async fn a_listener_that_only_fails_is_disabled_after_a_while() -> Result<()> {
    let config = Config { disable_after_secs: 2, ..config() };
    let (world, bots) = (World::start(config).await?, Receiver::start().await?);
    world.register("bot", &bots.url).await?;
    bots.answers("bot", Answer::With(503));
    let replica = world.replica("webhooks-1").await?;
    world.writes("5491100000001", "hola").await?;
    let entry = wait_for(SOON, "it is disabled", async || {
        world.listener("bot").await.ok().filter(|entry| entry.disabled)
    })
    .await;
    assert_eq!(entry.disabled_reason, "failing");
    let logged = wait_for(SOON, "what waited is given up", async || {
        let logged = world.logged("bot").await.ok()?;
        logged.into_iter().find(|it| it.outcome() == DeliveryOutcome::Failed)
    })
    .await;
    assert_eq!(logged.error, "the listener is disabled");
    replica.stop().await
}

#[tokio::test]
async fn an_event_that_a_listener_cannot_take_does_not_hold_up_the_others() -> Result<()> {
    // With a rest each time that nothing but the poison is tried, they would come too late.
    const OTHERS: usize = 40;
    let (world, bots) = (World::start(config()).await?, Receiver::start().await?);
    world.register("bot", &bots.url).await?;
    // It answers nothing at all to the first event, as if it had died of it.
    bots.answers("bot", Answer::With(503));
    let replica = world.replica("webhooks-1").await?;
    world.writes("5491100000001", "poison").await?;
    for number in 0..OTHERS {
        world.writes("5491100000002", &format!("{number}")).await?;
    }
    wait_for(SOON, "it was asked", async || (!bots.of("bot").is_empty()).then_some(())).await;
    bots.poisoned("bot", "poison");
    wait_for(SOON, "the others have come", async || {
        let texts: Vec<String> = bots.taken("bot").iter().map(Received::text).collect();
        (0..OTHERS).all(|number| texts.contains(&number.to_string())).then_some(())
    })
    .await;
    replica.stop().await
}

/// 200 listeners of which 20 hang and 20 fail. An attempt that hangs is not cut off before the end.
#[tokio::test]
async fn shc_27_listeners_that_hang_or_fail_do_not_delay_the_others() -> Result<()> {
    const LISTENERS: usize = 200;
    const MESSAGES: usize = 5;
    let config = Config { timeout_ms: 30_000, ..config() };
    let (world, bots) = (World::start(config).await?, Receiver::start().await?);
    let mut healthy = Vec::new();
    for number in 0..LISTENERS {
        let id = format!("bot-{number:04}");
        world.put(ListenerEntry { events: Vec::new(), ..listener(&id, &bots.url) }).await?;
        match number % 10 {
            0 => bots.answers(&id, Answer::Never),
            1 => bots.answers(&id, Answer::With(500)),
            _ => healthy.push(id),
        }
    }
    let replica = world.replica("webhooks-1").await?;
    world.writes("5491100000009", "first").await?;
    let hanging = LISTENERS / 10;
    wait_for(SOON, "all that hang do", async || (bots.hanging() == hanging).then_some(())).await;
    let began = Instant::now();
    for number in 0..MESSAGES {
        world.writes("5491100000001", &format!("{number}")).await?;
    }
    wait_for(SOON, "every healthy one has everything", async || {
        let counts = bots.counts();
        let is_complete = |id: &String| counts.get(id) == Some(&(MESSAGES + 1));
        healthy.iter().all(is_complete).then_some(())
    })
    .await;
    assert_eq!(bots.hanging(), hanging, "the others still hang");
    let last = healthy.iter().filter_map(|id| bots.of(id).last().map(|received| received.at)).max();
    let (events, took) = (healthy.len() * MESSAGES, last.expect("there are healthy ones") - began);
    println!("{events} events of {} healthy listeners had come after {took:?}", healthy.len());
    replica.kill().await;
    Ok(())
}
