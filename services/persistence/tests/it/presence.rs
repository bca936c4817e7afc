//! Who is there, as the database has it.

use std::sync::Arc;

use anyhow::Result;
use chasqui_presence::{Announcer, Connection, Who};
use chasqui_proto::{
    ConversationToken, service,
    subject::NodeToken,
    v1::{self, PersonKind},
};
use chasqui_testkit::wait_for;
use sqlx::PgPool;
use uuid::Uuid;

use crate::world::{SOON, World, connect, tenant};

/// A node that has people.
struct Node(Announcer);

impl Node {
    async fn start(world: &World, name: &str) -> Result<Self> {
        let bus = connect(&world.nats, name).await?;
        Ok(Self(Announcer::start(bus, NodeToken::new(name), Arc::new(()))))
    }

    fn enter(&self, user: &str) -> Uuid {
        let who = Who { user_id: user.into(), kind: PersonKind::User, agent_id: None };
        let connection =
            Connection { id: Uuid::now_v7(), session: Uuid::now_v7(), generation: 1, opened_at_ms: 1 };
        let admit = |_: &_| Ok::<_, anyhow::Error>(connection);
        self.0.enter(&tenant(), &person(user), who, admit).expect("it is let in").id
    }

    fn leave(&self, user: &str, connection: Uuid) {
        self.0.leave(&tenant(), &person(user), connection);
    }
}

fn person(user: &str) -> ConversationToken {
    format!("web_{user}").parse().expect("a token")
}

async fn world() -> Result<World> {
    let mut world = World::new().await?;
    world.config.chats_interval_ms = 20;
    Ok(world)
}

async fn add_users(pool: &PgPool, users: i32, online: bool) -> Result<()> {
    sqlx::query(
        "insert into users (tenant, id, person, online, last_seen_at, directory_key)
         select 'default', 'u' || n, 'web_u' || n, $2, to_timestamp(0), 'user.default.web_u' || n
         from generate_series(1, $1) n",
    )
    .bind(users)
    .bind(online)
    .execute(pool)
    .await?;
    Ok(())
}

/// Waits until exactly so many are marked as online.
async fn online(pool: &PgPool, expected: i64) {
    wait_for(SOON, "the right number is marked as online", async || {
        let query = sqlx::query_scalar("select count(*) from users where online");
        let count: i64 = query.fetch_one(pool).await.ok()?;
        (count == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn ben_14_a_user_is_online_until_its_last_connection_anywhere_is_gone() -> Result<()> {
    let world = world().await?;
    add_users(&world.pool, 2, false).await?;
    let replica = world.replica().await?;
    let (one, other) = (Node::start(&world, "one").await?, Node::start(&world, "other").await?);
    let (first, second, stranger) = (one.enter("u1"), other.enter("u1"), one.enter("stranger"));
    let third = one.enter("u2");
    online(&world.pool, 2).await;
    one.leave("u1", first);
    one.leave("u2", third);
    online(&world.pool, 1).await;
    let still: String =
        sqlx::query_scalar("select id from users where online").fetch_one(&world.pool).await?;
    assert_eq!(still, "u1", "it has another tab on another node");
    other.leave("u1", second);
    online(&world.pool, 0).await;
    let question =
        v1::GetEntry { kind: v1::EntryKind::User.into(), tenant: "default".to_owned(), id: "u1".to_owned() };
    let entry = world.ask(service::DIRECTORY_GET, question).await?;
    let Some(v1::directory_entry::Entry::User(user)) = entry.entry else { panic!("{entry:?}") };
    assert!(user.last_seen_at_ms > 1_000_000_000_000, "just now, not at the beginning of time");
    one.leave("stranger", stranger);
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_queue_follows_the_agents_connections() -> Result<()> {
    let mut world = world().await?;
    world.config.agent_grace_ms = 200;
    add_users(&world.pool, 2, false).await?;
    sqlx::query(
        "insert into agents (tenant, id, user_id, status, directory_key)
         select 'default', 'agent-' || id, id, 'ACTIVE', 'agent.default.' || person from users",
    )
    .execute(&world.pool)
    .await?;
    let replica = world.replica().await?;
    let chat = v1::OpenChat {
        tenant: "default".to_owned(),
        conversation: "web_contact".to_owned(),
        user_id: "contact".to_owned(),
        user_name: "Contact".to_owned(),
        ..v1::OpenChat::default()
    };
    let is_with = async |agent: &str| {
        wait_for(SOON, "the chat is with the right agent", async || {
            let chat = world.ask(service::CHATS_OPEN, chat.clone()).await.ok()?;
            (chat.agent_id == agent).then_some(())
        })
        .await;
    };
    is_with("").await;
    let node = Node::start(&world, "one").await?;
    let first = node.enter("u1");
    is_with("agent-u1").await;
    let second = node.enter("u2");
    online(&world.pool, 2).await;
    is_with("agent-u1").await;
    node.leave("u1", first);
    is_with("agent-u2").await;
    node.leave("u2", second);
    is_with("").await;
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn whoever_left_while_nobody_looked_is_not_online_for_ever() -> Result<()> {
    let world = world().await?;
    add_users(&world.pool, 100, true).await?;
    let node = Node::start(&world, "one").await?;
    for user in ["u3", "u4"] {
        node.enter(user);
    }
    let replica = world.replica().await?;
    online(&world.pool, 2).await;
    let seen: i64 =
        sqlx::query_scalar("select count(*) from users where online and last_seen_at > to_timestamp(0)")
            .fetch_one(&world.pool)
            .await?;
    assert_eq!(seen, 0, "who was there all the time was never marked as gone");
    add_users_again(&world.pool).await?;
    node.enter("late");
    online(&world.pool, 3).await;
    replica.stop().await;
    Ok(())
}

/// A user who is made known a moment after coming.
async fn add_users_again(pool: &PgPool) -> Result<()> {
    sqlx::query(
        "insert into users (tenant, id, person, directory_key)
         values ('default', 'late', 'web_late', 'user.default.web_late')",
    )
    .execute(pool)
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_storm_of_people_is_few_transactions() -> Result<()> {
    const USERS: i32 = 5_000;
    let world = world().await?;
    add_users(&world.pool, USERS, false).await?;
    let (one, other) = (world.replica().await?, world.replica().await?);
    let node = Node::start(&world, "one").await?;
    let began = std::time::Instant::now();
    for user in 1..=USERS {
        node.enter(&format!("u{user}"));
    }
    online(&world.pool, USERS.into()).await;
    let took = began.elapsed();
    let transactions: i64 =
        sqlx::query_scalar("select count(distinct xmin::text) from users").fetch_one(&world.pool).await?;
    println!("{USERS} people were marked in {transactions} transactions, {took:?}");
    assert!(transactions < 100, "{transactions}");
    one.stop().await;
    other.stop().await;
    Ok(())
}
