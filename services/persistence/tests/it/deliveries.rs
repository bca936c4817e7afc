//! What was posted to listeners, as the log has it.

use anyhow::Result;
use chasqui_kit::{Code, TraceContext, clock, publish::Fact};
use chasqui_proto::{
    Tenant,
    id::listener_id,
    service,
    subject::{self, NodeToken},
    v1::{DeliveryAttempt, DeliveryOutcome, DeliveryPage, ListDeliveries, LoggedDelivery},
};
use chasqui_testkit::wait_for;
use uuid::Uuid;

use crate::world::{SOON, World, refusal, tenant};

const DAY_MS: i64 = 24 * 3600 * 1000;

fn listener(url: &str) -> String {
    listener_id(&tenant(), url).to_string()
}

/// The attempt of a number to deliver an event to a listener.
fn attempt(delivery: &str, url: &str, attempt: u32, outcome: DeliveryOutcome) -> DeliveryAttempt {
    let is_delivered = outcome == DeliveryOutcome::Delivered;
    let now_ms = clock::now_ms();
    DeliveryAttempt {
        delivery_id: delivery.to_owned(),
        tenant: tenant().to_string(),
        listener: listener(url),
        event: "message.received".to_owned(),
        seq: 41,
        attempt,
        outcome: outcome.into(),
        http_status: if is_delivered { 200 } else { 503 },
        error: if is_delivered { String::new() } else { "503 Service Unavailable".to_owned() },
        duration_ms: 12,
        attempted_at_ms: now_ms + i64::from(attempt),
        next_at_ms: if outcome == DeliveryOutcome::Retrying { now_ms + 60_000 } else { 0 },
    }
}

impl World {
    async fn publish_attempt(&self, told: &DeliveryAttempt) -> Result<()> {
        let tenant: Tenant = told.tenant.parse()?;
        let subject = subject::deliveries_attempted(&tenant, &NodeToken::new(&told.listener));
        let fact = Fact::new(subject, told, Uuid::now_v7().to_string(), TraceContext::root());
        self.bus.publish(fact).await?;
        Ok(())
    }

    async fn deliveries(&self, question: ListDeliveries) -> Result<DeliveryPage> {
        let question = ListDeliveries { tenant: tenant().to_string(), ..question };
        Ok(self.ask(service::DELIVERIES_LIST, question).await?)
    }

    /// Waits until the log tells of so many deliveries.
    async fn logged(&self, count: usize) -> Vec<LoggedDelivery> {
        wait_for(SOON, "the log has them", async || {
            let page = self.deliveries(ListDeliveries::default()).await.ok()?;
            (page.deliveries.len() == count).then_some(page.deliveries)
        })
        .await
    }
}

fn ids(page: &DeliveryPage) -> Vec<&str> {
    page.deliveries
        .iter()
        .map(|logged| logged.last.as_ref().expect("an attempt").delivery_id.as_str())
        .collect()
}

/// SHC-32: what is tried again is one row, and shows its last attempt in whatever order they are told.
#[tokio::test]
async fn shc_32_a_delivery_is_one_row_and_shows_its_last_attempt() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let first = attempt("d1", "http://bot/a", 1, DeliveryOutcome::Retrying);
    let second = attempt("d1", "http://bot/a", 2, DeliveryOutcome::Retrying);
    let third = attempt("d1", "http://bot/a", 3, DeliveryOutcome::Delivered);
    // In two batches, the last attempt in the first of them.
    for told in [&second, &third] {
        world.publish_attempt(told).await?;
    }
    wait_for(SOON, "the last attempt is stored", async || {
        let page = world.deliveries(ListDeliveries::default()).await.ok()?;
        (page.deliveries.first()?.last.as_ref()? == &third).then_some(())
    })
    .await;
    world.publish_attempt(&first).await?;
    let logged = wait_for(SOON, "the first attempt is stored", async || {
        let page = world.deliveries(ListDeliveries::default()).await.ok()?;
        (page.deliveries.first()?.first_attempted_at_ms == first.attempted_at_ms).then_some(page.deliveries)
    })
    .await;
    assert_eq!(logged.len(), 1);
    assert_eq!(logged[0].last.as_ref(), Some(&third));
    // A replay counts its attempts anew, and is later.
    let replayed =
        DeliveryAttempt { attempted_at_ms: third.attempted_at_ms + 10, attempt: 1, ..third.clone() };
    world.publish_attempt(&replayed).await?;
    wait_for(SOON, "the replay is stored", async || {
        let page = world.deliveries(ListDeliveries::default()).await.ok()?;
        (page.deliveries.first()?.last.as_ref()? == &replayed).then_some(())
    })
    .await;
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_log_is_read_in_pages_by_listener_and_outcome() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    for n in 0..7 {
        let outcome = if n % 3 == 0 { DeliveryOutcome::Failed } else { DeliveryOutcome::Delivered };
        world.publish_attempt(&attempt(&format!("a{n}"), "http://bot/a", 1, outcome)).await?;
        world.logged(n + 1).await;
    }
    world.publish_attempt(&attempt("b0", "http://bot/b", 1, DeliveryOutcome::Delivered)).await?;
    world.logged(8).await;
    let of_a = ListDeliveries { listener: listener("http://bot/a"), limit: 3, ..ListDeliveries::default() };
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let page = world.deliveries(ListDeliveries { cursor, ..of_a.clone() }).await?;
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        if page.next.is_empty() {
            break;
        }
        cursor = page.next;
    }
    assert_eq!(seen, ["a6", "a5", "a4", "a3", "a2", "a1", "a0"]);
    let failed = ListDeliveries { outcome: DeliveryOutcome::Failed.into(), ..of_a.clone() };
    let page = world.deliveries(failed).await?;
    assert_eq!(ids(&page), ["a6", "a3", "a0"]);
    let since_ms = clock::now_ms() + DAY_MS;
    assert!(world.deliveries(ListDeliveries { since_ms, ..of_a.clone() }).await?.deliveries.is_empty());

    let other = ListDeliveries { tenant: "other".to_owned(), ..ListDeliveries::default() };
    assert!(world.ask(service::DELIVERIES_LIST, other).await?.deliveries.is_empty());
    for (question, field) in [
        (ListDeliveries { tenant: "*".into(), ..of_a.clone() }, "tenant: "),
        (
            ListDeliveries { tenant: "default".into(), listener: "x".into(), ..of_a.clone() },
            "listener: must ",
        ),
        (ListDeliveries { tenant: "default".into(), cursor: "x".into(), ..of_a.clone() }, "cursor: must "),
        (ListDeliveries { tenant: "default".into(), limit: 201, ..of_a }, "limit: must "),
    ] {
        let (code, told) = refusal(world.ask(service::DELIVERIES_LIST, question).await);
        assert_eq!(code, Code::InvalidInput);
        assert!(told.starts_with(field), "{told}");
    }
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_is_old_is_forgotten_and_what_cannot_be_read_is_a_dead_letter() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let young = attempt("young", "http://bot/a", 1, DeliveryOutcome::Delivered);
    let old = DeliveryAttempt {
        delivery_id: "old".to_owned(),
        attempted_at_ms: clock::now_ms() - 15 * DAY_MS,
        ..young.clone()
    };
    let nameless = DeliveryAttempt { delivery_id: String::new(), ..young.clone() };
    for told in [&young, &old, &nameless] {
        world.publish_attempt(told).await?;
    }
    world.logged(2).await;
    let letters = wait_for(SOON, "the dead letter", async || {
        world.dead_letters().await.ok().filter(|letters| !letters.is_empty())
    })
    .await;
    assert_eq!(letters[0].0, "undecodable");
    assert!(letters[0].1.starts_with("deliveries.attempted.default."), "{letters:?}");
    replica.stop().await;
    // It is looked when a replica starts.
    let replica = world.replica().await?;
    let left = world.logged(1).await;
    assert_eq!(left[0].last.as_ref(), Some(&young));
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn attempts_told_while_the_database_is_away_are_stored_when_it_is_back() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let mut held = world.pool.begin().await?;
    sqlx::query("alter table webhook_deliveries rename to away").execute(&mut *held).await?;
    for n in 0..20 {
        let told = attempt(&format!("d{n}"), "http://bot/a", 1, DeliveryOutcome::Delivered);
        world.publish_attempt(&told).await?;
    }
    replica.stop().await;
    held.rollback().await?;
    let replica = world.replica().await?;
    world.logged(20).await;
    replica.stop().await;
    Ok(())
}
