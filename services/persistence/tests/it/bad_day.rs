//! What goes wrong around it.

use std::time::Duration;

use anyhow::Result;
use chasqui_proto::{ConversationId, ConversationToken, subject, v1};
use chasqui_testkit::{Postgres, wait_for};
use secrecy::SecretString;
use sqlx::{Connection, PgConnection};

use crate::world::{SOON, World, inbound, phone, tenant, texts};

#[tokio::test]
async fn a_database_that_stops_under_load_costs_nothing() -> Result<()> {
    let postgres = Postgres::temporary().await?;
    let world = World::over(&postgres).await?;
    let replica = world.replica().await?;
    for number in 0..100 {
        world.publish_message(&inbound(number % 7, 0, "before")).await?;
    }
    postgres.stop().await;
    for number in 0..100 {
        world.publish_message(&inbound(number % 7, 1, "during")).await?;
    }
    wait_for(SOON, "it says that the database is away", async || (!replica.health.is_ready()).then_some(()))
        .await;
    postgres.start().await?;
    wait_for(SOON, "it is ready again", async || replica.health.is_ready().then_some(())).await;
    let last = world.publish_message(&inbound(1, 2, "after")).await?;
    world.stored(last).await;
    let stats = world.stats().await?;
    assert_eq!((stats.messages_in, stats.unread, stats.conversations), (201, 201, 7));
    assert!(world.dead_letters().await?.is_empty());
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_broker_that_is_killed_under_load_costs_nothing() -> Result<()> {
    let mut world = World::new().await?;
    // Acknowledgements that die with the broker come again after this.
    world.config.ack_wait_ms = 1_000;
    let replica = world.replica().await?;
    for number in 0..100 {
        world.publish_message(&inbound(number % 7, 0, "before")).await?;
    }
    world.nats.restart().await?;
    let last = wait_for(SOON, "the broker takes messages again", async || {
        world.publish_message(&inbound(1, 2, "after")).await.ok()
    })
    .await;
    world.stored(last).await;
    assert_eq!(world.stats().await?.messages_in, 101);
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_database_that_comes_late_is_waited_for() -> Result<()> {
    let mut world = World::new().await?;
    let empty: SecretString = Postgres::shared().await?.empty_database().await?.into();
    world.config.database_url = Some(empty.clone());
    let replica = world.unready_replica().await?;
    let last = world.publish_message(&inbound(1, 0, "hola")).await?;
    wait_for(SOON, "it says what it waits for", async || {
        replica.health.report().to_string().contains("tenant_stats").then_some(())
    })
    .await;
    tokio::try_join!(chasqui_persistence::migrate(&empty), chasqui_persistence::migrate(&empty))?;
    wait_for(SOON, "it is ready", async || replica.health.is_ready().then_some(())).await;
    world.stored(last).await;
    assert_eq!(world.stats().await?.messages_in, 1);
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_database_that_cannot_keep_every_script_is_refused_at_once() -> Result<()> {
    let server = Postgres::temporary().await?;
    let mut connection = PgConnection::connect(&server.url("postgres")).await?;
    let statement = "create database ascii encoding 'SQL_ASCII' locale 'C' template template0";
    sqlx::raw_sql(statement).execute(&mut connection).await?;
    let refused = chasqui_persistence::migrate(&server.url("ascii").into()).await.unwrap_err().to_string();
    assert!(refused.contains("SQL_ASCII") && refused.contains("must be in UTF8"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_poisoned_message_goes_to_the_dead_letters_and_its_neighbours_are_stored() -> Result<()> {
    let world = World::new().await?;
    // Conversations have numbers, and this one's is taken.
    let unlucky: ConversationToken = phone(5).parse()?;
    let number = i64::try_from(ConversationId::of(&tenant(), &unlucky).number())?;
    sqlx::query(
        "insert into conversations (id, tenant, token, number, external_id) values (gen_random_uuid(), $1, 'x', $2, 'x')",
    )
    .bind("default")
    .bind(number)
    .execute(&world.pool)
    .await?;
    let mut last = 0;
    for number in 0..10 {
        last = world.publish_message(&inbound(number, 0, "ho\0la")).await?;
    }
    let garbled = inbound(3, 1, "");
    let garbage_subject = subject_in(3);
    last = last.max(
        world.bus.jetstream().publish(garbage_subject.clone(), vec![0xff; 9].into()).await?.await?.sequence,
    );
    let foreign = v1::Message { tenant: "other".to_owned(), ..garbled };
    let stored = chasqui_kit::publish::Fact::new(
        subject::messages_in(&tenant(), &phone(3).parse()?),
        &foreign,
        "foreign",
        chasqui_kit::TraceContext::root(),
    );
    last = last.max(world.bus.publish(stored).await?.seq);
    let replica = world.replica().await?;
    world.stored(last).await;
    let mut letters = world.dead_letters().await?;
    letters.sort();
    let refused = ("refused".to_owned(), subject_in(5));
    let undecodable = ("undecodable".to_owned(), garbage_subject);
    assert_eq!(letters, [refused, undecodable.clone(), undecodable]);
    assert_eq!(world.stats().await?.messages_in, 9);
    assert_eq!(
        texts(&world.messages(&phone(3)).await?),
        ["ho\0la"],
        "as it was, though PostgreSQL refuses NUL"
    );
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_fails_again_and_again_is_given_up() -> Result<()> {
    let mut world = World::new().await?;
    world.config.attempts_max = 2;
    let replica = world.replica().await?;
    sqlx::raw_sql(
        "create function fail() returns trigger language plpgsql as $$ begin
            if new.text_content = 'bad' then raise exception 'broken'; end if; return new;
         end $$;
         create trigger fail before insert on messages for each row execute function fail()",
    )
    .execute(&world.pool)
    .await?;
    let good = world.publish_message(&inbound(1, 0, "good")).await?;
    let bad = world.publish_message(&inbound(2, 0, "bad")).await?;
    let begin = std::time::Instant::now();
    world.stored(good.max(bad)).await;
    assert!(begin.elapsed() > Duration::from_millis(900), "it was tried again after a pause");
    let letters = world.dead_letters().await?;
    assert_eq!(letters, [("attempts".to_owned(), subject_in(2))]);
    assert_eq!(world.stats().await?.messages_in, 1);
    replica.stop().await;
    Ok(())
}

fn subject_in(number: u32) -> String {
    let conversation = phone(number).parse().expect("digits are a token");
    subject::messages_in(&tenant(), &conversation).as_str().to_owned()
}
