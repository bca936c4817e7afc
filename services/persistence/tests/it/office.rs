//! Agents and their chats, as tests handle them.

use anyhow::Result;
use chasqui_proto::{
    service, subject,
    v1::{self, Chat},
};
use chasqui_testkit::wait_for;

use crate::world::{Replica, SOON, World, tenant};

/// A grace that no test waits for.
const LONG_MS: u64 = 3_600_000;

/// A running replica that looks after chats.
pub(crate) struct Office {
    pub(crate) world: World,
    pub(crate) replica: Replica,
}

impl Office {
    pub(crate) async fn open() -> Result<Self> {
        let world = world().await?;
        let replica = world.replica().await?;
        Ok(Self { world, replica })
    }
}

pub(crate) async fn world() -> Result<World> {
    let mut world = World::new().await?;
    world.config.chats_interval_ms = 20;
    world.config.agent_grace_ms = LONG_MS;
    Ok(world)
}

/// Makes active agents who are online or not.
pub(crate) async fn hire(world: &World, agents: &[&str], online: bool) -> Result<()> {
    for agent in agents {
        sqlx::query(
            "insert into users (tenant, id, person, online, last_seen_at, directory_key)
             values ('default', 'user-' || $1, 'web_user-' || $1, $2, now(), 'user.default.web_user-' || $1)",
        )
        .bind(agent)
        .bind(online)
        .execute(&world.pool)
        .await?;
        sqlx::query(
            "insert into agents (tenant, id, user_id, status, directory_key)
             values ('default', $1, 'user-' || $1, 'ACTIVE', 'agent.default.web_user-' || $1)",
        )
        .bind(agent)
        .execute(&world.pool)
        .await?;
    }
    Ok(())
}

pub(crate) async fn set_online(world: &World, agent: &str, online: bool) -> Result<()> {
    sqlx::query("update users set online = $2, last_seen_at = now() where id = 'user-' || $1")
        .bind(agent)
        .bind(online)
        .execute(&world.pool)
        .await?;
    Ok(())
}

pub(crate) async fn open(world: &World, number: u32) -> Result<Chat> {
    let question = v1::OpenChat {
        tenant: "default".to_owned(),
        conversation: format!("web_u{number}"),
        user_id: format!("u{number}"),
        user_name: "Contact".to_owned(),
        ..v1::OpenChat::default()
    };
    Ok(world.ask(service::CHATS_OPEN, question).await?)
}

pub(crate) async fn get(world: &World, number: u32) -> Result<Chat> {
    let question = v1::GetChat { tenant: "default".to_owned(), chat: format!("u{number}") };
    Ok(world.ask(service::CHATS_GET, question).await?)
}

pub(crate) async fn close(world: &World, chat: &Chat) -> Result<Chat> {
    let question = v1::CloseChat {
        tenant: "default".to_owned(),
        chat: chat.id.clone(),
        closed_by: "somebody".to_owned(),
    };
    Ok(world.ask(service::CHATS_CLOSE, question).await?)
}

pub(crate) fn assignment(chat: &Chat, agent: &str) -> v1::AssignChat {
    v1::AssignChat { tenant: "default".to_owned(), chat: chat.id.clone(), agent_id: agent.to_owned() }
}

pub(crate) async fn all_open(world: &World, agent: &str) -> Result<Vec<Chat>> {
    let (mut chats, mut cursor) = (Vec::new(), String::new());
    loop {
        let question =
            v1::ListChats { tenant: "default".to_owned(), agent_id: agent.to_owned(), cursor, limit: 7 };
        let page = world.ask(service::CHATS_LIST, question).await?;
        chats.extend(page.chats);
        cursor = page.next;
        if cursor.is_empty() {
            return Ok(chats);
        }
    }
}

/// Waits until the chat is with the agent; with nobody when none is named.
pub(crate) async fn with(world: &World, number: u32, agent: &str) -> Chat {
    wait_for(SOON, "the chat is with the right agent", async || {
        get(world, number).await.ok().filter(|chat| chat.agent_id == agent)
    })
    .await
}

/// Waits until others were told the chat as it is stored.
pub(crate) async fn told(world: &World, chat: &Chat) {
    let name = subject::chats_updated(&tenant(), &chat.conversation.parse().expect("a token"));
    wait_for(SOON, "the newest state of the chat is told", async || {
        let told: Chat = world.last_state(name.as_str()).await?;
        (told == *chat).then_some(())
    })
    .await;
}
