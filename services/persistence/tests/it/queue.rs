//! Which agent gets which chat, and when it loses it.

use std::collections::BTreeMap;

use anyhow::Result;
use chasqui_proto::{
    service,
    v1::{self, AgentStatus, Chat, ChatStatus, directory_entry::Entry},
};
use chasqui_testkit::wait_for;
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    office::{Office, all_open, close, get, hire, open, set_online, told, with, world},
    world::SOON,
};

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
async fn what_the_directory_says_of_an_agent_holds_at_once() -> Result<()> {
    let mut world = world().await?;
    // Nobody looks by the clock: what happens, happens because it was said.
    world.config.chats_interval_ms = 60_000;
    let replica = world.replica().await?;
    hire(&world, &["a", "b"], true).await?;
    let agent = |id: &str, status: AgentStatus, chats_max| v1::AgentEntry {
        tenant: "default".to_owned(),
        id: id.to_owned(),
        user_id: format!("user-{id}"),
        status: status.into(),
        chats_max,
        ..v1::AgentEntry::default()
    };
    let put = async |agent: v1::AgentEntry| {
        let entry = Some(v1::DirectoryEntry { entry: Some(Entry::Agent(agent)) });
        world.ask(service::DIRECTORY_PUT, v1::PutEntry { entry, if_absent: false }).await
    };
    put(agent("b", AgentStatus::Inactive, 0)).await?;
    put(agent("a", AgentStatus::Active, 1)).await?;
    for number in 1..=2 {
        open(&world, number).await?;
    }
    with(&world, 1, "a").await;
    assert_eq!(get(&world, 2).await?.status(), ChatStatus::Waiting);
    put(agent("a", AgentStatus::Active, 2)).await?;
    with(&world, 2, "a").await;
    put(agent("b", AgentStatus::Active, 0)).await?;
    put(agent("a", AgentStatus::Inactive, 2)).await?;
    with(&world, 1, "b").await;
    with(&world, 2, "b").await;
    let (kind, tenant, id) = (v1::EntryKind::Agent.into(), "default".to_owned(), "b".to_owned());
    world.ask(service::DIRECTORY_REMOVE, v1::RemoveEntry { kind, tenant, id }).await?;
    with(&world, 1, "").await;
    with(&world, 2, "").await;
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

/// Five agents take one chat at a time, and close them all at once: each time both replicas draw the next five.
#[tokio::test]
async fn two_replicas_drain_a_queue_once() -> Result<()> {
    const CHATS: u32 = 100;
    let world = world().await?;
    let (one, other) = (world.replica().await?, world.replica().await?);
    hire(&world, &["a", "b", "c", "d", "e"], false).await?;
    sqlx::query("update agents set chats_max = 1").execute(&world.pool).await?;
    let opened: Vec<Chat> =
        stream::iter(0..CHATS).map(|number| open(&world, number)).buffer_unordered(32).try_collect().await?;
    assert!(opened.iter().all(|chat| chat.status() == ChatStatus::Waiting));
    sqlx::query("update users set online = true").execute(&world.pool).await?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..CHATS / 5 {
        let given = wait_for(SOON, "every agent has a chat", async || {
            let chats = all_open(&world, "").await.ok()?;
            let given: Vec<Chat> =
                chats.into_iter().filter(|chat| chat.status() == ChatStatus::Assigned).collect();
            (given.len() >= 5).then_some(given)
        })
        .await;
        for chat in &given {
            *counts.entry(chat.agent_id.clone()).or_default() += 1;
        }
        let closed: Vec<Chat> =
            stream::iter(&given).map(|chat| close(&world, chat)).buffer_unordered(5).try_collect().await?;
        for chat in &closed {
            assert_eq!((chat.version, chat.episode), (3, 1), "opened, given once, closed");
        }
    }
    assert!(all_open(&world, "").await?.is_empty());
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [20; 5]);
    for number in [0, CHATS / 2, CHATS - 1] {
        told(&world, &get(&world, number).await?).await;
    }
    one.stop().await;
    other.stop().await;
    Ok(())
}
