//! Chats between contacts and agents.

use std::collections::BTreeMap;

use anyhow::Result;
use chasqui_kit::Code;
use chasqui_proto::{
    ConversationId, service, subject,
    v1::{self, Chat, ChatStatus},
};
use chasqui_testkit::wait_for;
use futures::{StreamExt, TryStreamExt, stream};

use crate::world::{Replica, SOON, World, inbound, phone, refusal, tenant};

/// A grace that no test waits for.
const LONG_MS: u64 = 3_600_000;

struct Office {
    world: World,
    replica: Replica,
}

impl Office {
    async fn open() -> Result<Self> {
        let world = world().await?;
        let replica = world.replica().await?;
        Ok(Self { world, replica })
    }
}

async fn world() -> Result<World> {
    let mut world = World::new().await?;
    world.config.chats_interval_ms = 20;
    world.config.agent_grace_ms = LONG_MS;
    Ok(world)
}

/// Makes active agents who are online or not.
async fn hire(world: &World, agents: &[&str], online: bool) -> Result<()> {
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

async fn set_online(world: &World, agent: &str, online: bool) -> Result<()> {
    sqlx::query("update users set online = $2, last_seen_at = now() where id = 'user-' || $1")
        .bind(agent)
        .bind(online)
        .execute(&world.pool)
        .await?;
    Ok(())
}

async fn open(world: &World, number: u32) -> Result<Chat> {
    let question = v1::OpenChat {
        tenant: "default".to_owned(),
        conversation: format!("web_u{number}"),
        user_id: format!("u{number}"),
        user_name: "Contact".to_owned(),
    };
    Ok(world.ask(service::CHATS_OPEN, question).await?)
}

async fn get(world: &World, number: u32) -> Result<Chat> {
    let question = v1::GetChat { tenant: "default".to_owned(), chat: format!("u{number}") };
    Ok(world.ask(service::CHATS_GET, question).await?)
}

async fn close(world: &World, chat: &Chat) -> Result<Chat> {
    let question = v1::CloseChat {
        tenant: "default".to_owned(),
        chat: chat.id.clone(),
        closed_by: "somebody".to_owned(),
    };
    Ok(world.ask(service::CHATS_CLOSE, question).await?)
}

fn assignment(chat: &Chat, agent: &str) -> v1::AssignChat {
    v1::AssignChat { tenant: "default".to_owned(), chat: chat.id.clone(), agent_id: agent.to_owned() }
}

async fn all_open(world: &World, agent: &str) -> Result<Vec<Chat>> {
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
async fn with(world: &World, number: u32, agent: &str) -> Chat {
    wait_for(SOON, "the chat is with the right agent", async || {
        get(world, number).await.ok().filter(|chat| chat.agent_id == agent)
    })
    .await
}

/// Waits until others were told the chat as it is stored.
async fn told(world: &World, chat: &Chat) {
    let name = subject::chats_updated(&tenant(), &chat.conversation.parse().expect("a token"));
    wait_for(SOON, "the newest state of the chat is told", async || {
        let told: Chat = world.last_state(name.as_str()).await?;
        (told == *chat).then_some(())
    })
    .await;
}

#[tokio::test]
async fn ben_11_a_chat_goes_to_the_agent_with_the_fewest_and_is_told() -> Result<()> {
    let Office { world, replica } = Office::open().await?;
    hire(&world, &["a", "b", "c"], true).await?;
    let mut agents = Vec::new();
    for number in 1..=6 {
        let chat = open(&world, number).await?;
        assert_eq!((chat.status(), chat.episode), (ChatStatus::Assigned, 1));
        assert_eq!(chat.agent_user_id, format!("user-{}", chat.agent_id));
        agents.push(chat.agent_id.clone());
        told(&world, &chat).await;
    }
    let (first, second) = agents.split_at(3);
    assert_eq!(first, second, "of equals the one that was given a chat longest ago");
    assert_eq!(BTreeMap::from_iter(agents.iter().map(|a| (a, ()))).len(), 3);
    close(&world, &get(&world, 2).await?).await?;
    assert_eq!(open(&world, 7).await?.agent_id, agents[1], "it has fewest");
    let chats = all_open(&world, &agents[1]).await?;
    assert_eq!(chats.iter().map(|chat| chat.user_id.as_str()).collect::<Vec<_>>(), ["u5", "u7"]);
    let listed = world.ask(
        service::CONVERSATIONS_LIST,
        v1::ListConversations { tenant: "default".to_owned(), ..v1::ListConversations::default() },
    );
    assert!(listed.await?.conversations.is_empty(), "who never wrote is listed nowhere");
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_queue_is_drained_oldest_first_when_an_agent_comes_and_when_a_chat_closes() -> Result<()> {
    let Office { world, replica } = Office::open().await?;
    hire(&world, &["a"], false).await?;
    sqlx::query("update agents set chats_max = 2").execute(&world.pool).await?;
    let mut chats = Vec::new();
    for number in 0..12 {
        let chat = open(&world, number).await?;
        assert_eq!((chat.status(), chat.agent_id.as_str()), (ChatStatus::Waiting, ""));
        chats.push(chat);
    }
    let listed = all_open(&world, "").await?;
    assert_eq!(listed, chats, "oldest first, over the pages");
    set_online(&world, "a", true).await?;
    with(&world, 0, "a").await;
    with(&world, 1, "a").await;
    let third = get(&world, 2).await?;
    assert_eq!(third.status(), ChatStatus::Waiting, "the agent has as many as it takes");
    let closed = close(&world, &chats[1]).await?;
    assert_eq!((closed.status(), closed.closed_by.as_str()), (ChatStatus::Closed, "somebody"));
    assert_eq!(get(&world, 2).await?.agent_id, "a", "closing and drawing the next are one transaction");
    assert_eq!(close(&world, &chats[1]).await?, closed, "twice is once");
    sqlx::query("update agents set chats_max = 4").execute(&world.pool).await?;
    with(&world, 4, "a").await;
    assert_eq!(get(&world, 5).await?.status(), ChatStatus::Waiting);
    assert_eq!(all_open(&world, "a").await?.len(), 4);
    let again = open(&world, 1).await?;
    assert_eq!((again.episode, again.status()), (2, ChatStatus::Waiting));
    assert_eq!(again.id, closed.id, "the chat of a conversation keeps its id");
    assert!(again.version > closed.version && again.closed_by.is_empty());
    assert_eq!(open(&world, 1).await?, again, "an open chat is not opened again");
    told(&world, &again).await;
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_agent_who_comes_back_in_time_keeps_its_chats() -> Result<()> {
    let Office { world, replica } = Office::open().await?;
    hire(&world, &["a", "b"], true).await?;
    let (first, second) = (open(&world, 1).await?, open(&world, 2).await?);
    set_online(&world, &first.agent_id, false).await?;
    // Everything new goes to the other one, and what the absent one had stays its own.
    for number in 3..6 {
        assert_eq!(open(&world, number).await?.agent_id, second.agent_id);
    }
    assert_eq!(get(&world, 1).await?, first);
    set_online(&world, &first.agent_id, true).await?;
    assert_eq!(open(&world, 6).await?.agent_id, first.agent_id);
    assert_eq!(get(&world, 1).await?, first);
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn when_the_grace_is_over_another_agent_gets_the_chats_or_they_wait() -> Result<()> {
    let mut world = world().await?;
    world.config.agent_grace_ms = 300;
    let replica = world.replica().await?;
    hire(&world, &["a", "b"], true).await?;
    let (first, second) = (open(&world, 1).await?, open(&world, 2).await?);
    set_online(&world, &first.agent_id, false).await?;
    let left = std::time::Instant::now();
    let moved = with(&world, 1, &second.agent_id).await;
    assert!(left.elapsed().as_millis() >= 280, "not before the grace was over");
    assert!(moved.version > first.version && moved.assigned_at_ms >= first.assigned_at_ms + 280);
    told(&world, &moved).await;
    set_online(&world, &second.agent_id, false).await?;
    let waiting = with(&world, 1, "").await;
    assert_eq!((waiting.status(), waiting.episode), (ChatStatus::Waiting, 1));
    told(&world, &waiting).await;
    set_online(&world, &second.agent_id, true).await?;
    with(&world, 1, &second.agent_id).await;
    with(&world, 2, &second.agent_id).await;
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_grace_goes_on_while_persistence_is_restarted() -> Result<()> {
    let mut world = world().await?;
    let replica = world.replica().await?;
    hire(&world, &["a", "b"], true).await?;
    let (first, second) = (open(&world, 1).await?, open(&world, 2).await?);
    replica.stop().await;
    world.config.agent_grace_ms = 60_000;
    let left_before = |seconds: i32| {
        sqlx::query(
            "with left_at as (select now() - make_interval(secs => $2) as moment),
                  given as (update chats set assigned_at = least(assigned_at, moment) from left_at)
             update users set online = false, last_seen_at = moment from left_at where id = 'user-' || $1",
        )
        .bind(first.agent_id.clone())
        .bind(f64::from(seconds))
        .execute(&world.pool)
    };
    left_before(50).await?;
    let replica = world.replica().await?;
    assert_eq!(open(&world, 3).await?.agent_id, second.agent_id);
    assert_eq!(get(&world, 1).await?.agent_id, first.agent_id, "fifty of sixty seconds are over");
    replica.stop().await;
    left_before(61).await?;
    let replica = world.replica().await?;
    with(&world, 1, &second.agent_id).await;
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_agent_who_is_inactive_or_removed_loses_its_chats_at_once() -> Result<()> {
    let Office { world, replica } = Office::open().await?;
    hire(&world, &["a", "b", "c"], true).await?;
    for number in 1..=3 {
        open(&world, number).await?;
    }
    sqlx::query("update agents set status = 'INACTIVE' where id = 'a'").execute(&world.pool).await?;
    sqlx::query("delete from agents where id = 'b'").execute(&world.pool).await?;
    for number in 1..=3 {
        with(&world, number, "c").await;
    }
    assert!(all_open(&world, "a").await?.is_empty() && all_open(&world, "b").await?.is_empty());
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_person_gives_a_chat_to_an_agent_or_back_to_the_queue() -> Result<()> {
    let Office { world, replica } = Office::open().await?;
    hire(&world, &["a"], true).await?;
    hire(&world, &["b"], false).await?;
    let chat = open(&world, 1).await?;
    assert_eq!(chat.agent_id, "a");
    let back = world.ask(service::CHATS_ASSIGN, assignment(&chat, "")).await?;
    assert_eq!((back.status(), back.agent_id.as_str(), back.assigned_at_ms), (ChatStatus::Waiting, "", 0));
    assert_eq!(open(&world, 2).await?.agent_id, "a", "what waits for another one holds nothing up");
    assert_eq!(get(&world, 1).await?, back, "who gave it back is not given it again");
    set_online(&world, "b", true).await?;
    with(&world, 1, "b").await;
    let named = world.ask(service::CHATS_ASSIGN, assignment(&chat, "a")).await?;
    assert_eq!((named.agent_id.as_str(), named.agent_user_id.as_str()), ("a", "user-a"));
    assert_eq!(world.ask(service::CHATS_ASSIGN, assignment(&chat, "a")).await?, named, "twice is once");
    told(&world, &named).await;
    let answer = world.ask(service::CHATS_ASSIGN, assignment(&chat, "nobody")).await;
    assert_eq!(refusal(answer), (Code::NotFound, "there is no such agent".to_owned()));
    sqlx::query("update agents set status = 'INACTIVE' where id = 'b'").execute(&world.pool).await?;
    let answer = world.ask(service::CHATS_ASSIGN, assignment(&chat, "b")).await;
    assert_eq!(refusal(answer), (Code::Conflict, "agent_id: this agent is not active".to_owned()));
    close(&world, &chat).await?;
    let answer = world.ask(service::CHATS_ASSIGN, assignment(&chat, "a")).await;
    assert_eq!(refusal(answer), (Code::Conflict, "chat: is closed".to_owned()));
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_chat_is_seen_in_its_tenant_only_and_bad_requests_say_what_is_wrong() -> Result<()> {
    let Office { world, replica } = Office::open().await?;
    let chat = open(&world, 1).await?;
    let other = || "other".to_owned();
    for name in [chat.id.clone(), "u1".to_owned(), "web_u1".to_owned()] {
        let get = v1::GetChat { tenant: other(), chat: name.clone() };
        assert_eq!(refusal(world.ask(service::CHATS_GET, get).await).0, Code::NotFound);
        let close = v1::CloseChat { tenant: other(), chat: name.clone(), closed_by: String::new() };
        assert_eq!(refusal(world.ask(service::CHATS_CLOSE, close).await).0, Code::NotFound);
        let assign = v1::AssignChat { tenant: other(), chat: name, agent_id: "a".to_owned() };
        assert_eq!(refusal(world.ask(service::CHATS_ASSIGN, assign).await).0, Code::NotFound);
    }
    let list = |cursor: &str, limit| v1::ListChats {
        tenant: other(),
        cursor: cursor.to_owned(),
        limit,
        ..v1::ListChats::default()
    };
    assert!(world.ask(service::CHATS_LIST, list("", 0)).await?.chats.is_empty());
    let message = |answer| refusal::<v1::ChatPage>(answer).1;
    assert!(message(world.ask(service::CHATS_LIST, list("7", 0)).await).starts_with("cursor:"));
    assert!(message(world.ask(service::CHATS_LIST, list("", 201)).await).starts_with("limit:"));
    let good = v1::OpenChat {
        tenant: "default".to_owned(),
        conversation: "u2".to_owned(),
        user_id: "u2".to_owned(),
        user_name: "Contact".to_owned(),
    };
    for (field, bad) in [
        ("tenant", v1::OpenChat { tenant: "No".to_owned(), ..good.clone() }),
        ("conversation", v1::OpenChat { conversation: String::new(), ..good.clone() }),
        ("user_id", v1::OpenChat { user_id: "\0".to_owned(), ..good.clone() }),
        ("user_name", v1::OpenChat { user_name: "x".repeat(257), ..good.clone() }),
    ] {
        let (code, message) = refusal(world.ask(service::CHATS_OPEN, bad).await);
        assert_eq!(code, Code::InvalidInput, "{field}");
        assert!(message.starts_with(field), "{field}: {message}");
    }
    replica.stop().await;
    Ok(())
}

/// Only opening opens: WhatsApp messages have no chat, and a closed one stays closed while its contact writes.
#[tokio::test]
async fn a_message_opens_no_chat() -> Result<()> {
    let Office { world, replica } = Office::open().await?;
    let last = world.publish_message(&inbound(1, 0, "hola")).await?;
    world.stored(last).await;
    let question = v1::GetChat { tenant: "default".to_owned(), chat: phone(1) };
    let answer = world.ask(service::CHATS_GET, question.clone()).await;
    assert_eq!(refusal(answer), (Code::NotFound, "there is no such chat".to_owned()));
    let opening = v1::OpenChat {
        tenant: "default".to_owned(),
        conversation: phone(1),
        user_id: phone(1),
        user_name: String::new(),
    };
    let chat = world.ask(service::CHATS_OPEN, opening).await?;
    assert_eq!(chat.id, ConversationId::of(&tenant(), &phone(1).parse()?).to_string());
    let closed = close(&world, &chat).await?;
    let last = world.publish_message(&inbound(1, 1, "¿están?")).await?;
    world.stored(last).await;
    assert_eq!(world.ask(service::CHATS_GET, question).await?, closed);
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn two_replicas_give_each_chat_to_one_agent_and_as_many_to_each() -> Result<()> {
    const CHATS: u32 = 100;
    let world = world().await?;
    let (one, other) = (world.replica().await?, world.replica().await?);
    hire(&world, &["a", "b", "c", "d", "e"], true).await?;
    // Each is opened twice at the same time, by whichever replica gets the request.
    let opened: Vec<Chat> = stream::iter((0..CHATS).chain(0..CHATS))
        .map(|number| open(&world, number))
        .buffer_unordered(64)
        .try_collect()
        .await?;
    let mut agents: BTreeMap<&str, &str> = BTreeMap::new();
    for chat in &opened {
        assert_eq!(chat.episode, 1);
        let agent = agents.entry(&chat.id).or_insert(&chat.agent_id);
        assert_eq!(*agent, chat.agent_id, "one agent");
    }
    assert_eq!(agents.len(), usize::try_from(CHATS)?);
    for agent in ["a", "b", "c", "d", "e"] {
        let chats = all_open(&world, agent).await?;
        assert_eq!(chats.len(), 20, "as many to each");
        for chat in &chats {
            assert_eq!(chat.version, 2, "opened, and given once");
            told(&world, chat).await;
        }
    }
    for agent in ["a", "b", "c", "d", "e"] {
        set_online(&world, agent, false).await?;
    }
    one.stop().await;
    other.stop().await;
    Ok(())
}

#[tokio::test]
async fn two_replicas_drain_a_queue_once() -> Result<()> {
    const CHATS: u32 = 100;
    let world = world().await?;
    let (one, other) = (world.replica().await?, world.replica().await?);
    hire(&world, &["a", "b", "c", "d", "e"], false).await?;
    let opened: Vec<Chat> =
        stream::iter(0..CHATS).map(|number| open(&world, number)).buffer_unordered(32).try_collect().await?;
    assert!(opened.iter().all(|chat| chat.status() == ChatStatus::Waiting));
    sqlx::query("update users set online = true").execute(&world.pool).await?;
    let drained = wait_for(SOON, "nobody waits", async || {
        let chats = all_open(&world, "").await.ok()?;
        chats.iter().all(|chat| chat.status() == ChatStatus::Assigned).then_some(chats)
    })
    .await;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for chat in &drained {
        *counts.entry(&chat.agent_id).or_default() += 1;
        assert_eq!(chat.version, 2, "given once");
        told(&world, chat).await;
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [20; 5]);
    one.stop().await;
    other.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_changed_while_the_broker_was_away_is_told_when_it_is_back() -> Result<()> {
    let Office { world, replica } = Office::open().await?;
    hire(&world, &["a", "b"], true).await?;
    let chat = open(&world, 1).await?;
    told(&world, &chat).await;
    world.nats.stop().await;
    let leaver = chat.agent_id.clone();
    sqlx::query("update agents set status = 'INACTIVE' where id = $1")
        .bind(&leaver)
        .execute(&world.pool)
        .await?;
    wait_for(SOON, "the chat moved, in the database", async || {
        let query = sqlx::query_scalar("select agent_id from chats where status = 'assigned'");
        let agent: String = query.fetch_one(&world.pool).await.ok()?;
        (agent != leaver).then_some(())
    })
    .await;
    world.nats.restart().await?;
    let moved = wait_for(SOON, "it answers again", async || get(&world, 1).await.ok()).await;
    assert_ne!(moved.agent_id, leaver);
    told(&world, &moved).await;
    replica.stop().await;
    Ok(())
}
