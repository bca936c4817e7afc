//! Chats between contacts and agents: what can be asked, and what others are told.

use std::collections::BTreeSet;

use anyhow::Result;
use chasqui_kit::{Code, TraceContext, publish::Fact};
use chasqui_proto::{
    ConversationId, service, subject,
    v1::{self, ChatStatus},
};
use chasqui_testkit::wait_for;

use crate::{
    office::{Office, all_open, assignment, close, get, hire, open, set_online, told, with},
    world::{SOON, inbound, phone, refusal, tenant},
};

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
    assert_eq!(agents.iter().collect::<BTreeSet<_>>().len(), 3);
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
        ..v1::OpenChat::default()
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

#[tokio::test]
async fn a_chat_says_why_people_have_it_and_the_first_reason_stays() -> Result<()> {
    let Office { world, replica } = Office::open().await?;
    let opening = |number: u32, reason: &str| v1::OpenChat {
        tenant: "default".to_owned(),
        conversation: format!("web_u{number}"),
        reason: reason.to_owned(),
        ..v1::OpenChat::default()
    };
    let ask = async |question| world.ask(service::CHATS_OPEN, question).await;
    let opened = ask(opening(1, "keyword")).await?;
    assert_eq!(opened.reason, "keyword");
    told(&world, &opened).await;
    assert_eq!(ask(opening(1, "failure")).await?, opened, "the first reason stays");
    assert_eq!(close(&world, &opened).await?.reason, "keyword", "in every state");
    let again = ask(opening(1, "")).await?;
    assert_eq!((again.episode, again.reason.as_str()), (2, ""), "another episode, another reason");
    // The contact wrote first, and the bot gave it to people a moment later.
    let explained = ask(opening(1, "flow")).await?;
    assert_eq!((explained.reason.as_str(), explained.version), ("flow", again.version + 1));
    assert_eq!(explained.episode, 2);
    told(&world, &explained).await;
    let (code, message) = refusal(ask(opening(2, &"x".repeat(65))).await);
    assert_eq!(code, Code::InvalidInput);
    assert_eq!(message, "reason: must have at most 64 bytes");
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn who_takes_a_chat_has_it_and_whoever_is_free_is_told_nothing() -> Result<()> {
    let Office { world, replica } = Office::open().await?;
    hire(&world, &["a", "b"], true).await?;
    let taking = |number: u32, agent: &str| v1::OpenChat {
        tenant: "default".to_owned(),
        conversation: format!("web_u{number}"),
        reason: "taken".to_owned(),
        agent_id: agent.to_owned(),
        ..v1::OpenChat::default()
    };
    let ask = async |question| world.ask(service::CHATS_OPEN, question).await;
    for agent in ["a", "b", "a"] {
        let taken = ask(taking(1, agent)).await?;
        assert_eq!((taken.status(), taken.agent_id.as_str()), (ChatStatus::Assigned, agent));
        assert_eq!(ask(taking(1, agent)).await?, taken, "twice is once");
        told(&world, &taken).await;
    }
    let first = ask(taking(2, "b")).await?;
    assert_eq!((first.episode, first.agent_id.as_str()), (1, "b"));
    let given: Vec<Option<String>> =
        sqlx::query_scalar("select agent_id from chats order by position").fetch_all(&world.pool).await?;
    assert_eq!(given, [Some("a".to_owned()), Some("b".to_owned())]);
    assert!(first.version <= 2, "opened and given, to nobody else in between: {}", first.version);
    let nobody = refusal(ask(taking(3, "c")).await);
    assert_eq!(nobody, (Code::NotFound, "there is no such agent".to_owned()));
    let get = v1::GetChat { tenant: "default".to_owned(), chat: "u3".to_owned() };
    assert_eq!(refusal(world.ask(service::CHATS_GET, get).await).0, Code::NotFound, "nothing was opened");
    let (code, message) = refusal(ask(taking(3, &"x".repeat(129))).await);
    assert_eq!((code, message.as_str()), (Code::InvalidInput, "agent_id: must have at most 128 bytes"));
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
        ..v1::OpenChat::default()
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
    let back = std::time::Instant::now();
    let moved = wait_for(SOON, "it answers again", async || get(&world, 1).await.ok()).await;
    assert_ne!(moved.agent_id, leaver);
    told(&world, &moved).await;
    assert!(back.elapsed().as_secs() < 15, "sooner than one who had died would be replaced");
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_a_dead_process_had_in_hand_is_told_by_another() -> Result<()> {
    let Office { world, replica } = Office::open().await?;
    let older = open(&world, 1).await?;
    let chat = close(&world, &older).await?;
    told(&world, &chat).await;
    // It told an older state after the newer one, which it could not know of, and died before it said so.
    let subject = subject::chats_updated(&tenant(), &chat.conversation.parse()?);
    let late = Fact::new(subject, &older, "late", TraceContext::root());
    world.bus.publish(late).await?;
    sqlx::query("update chat_tellings set told_version = 1, telling_until = now() + interval '1 second'")
        .execute(&world.pool)
        .await?;
    told(&world, &chat).await;
    replica.stop().await;
    Ok(())
}
