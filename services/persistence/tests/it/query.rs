//! Pages.

use anyhow::Result;
use chasqui_kit::Code;
use chasqui_proto::{service, v1};

use crate::world::{World, inbound, phone, refusal, texts};

#[tokio::test]
async fn pages_of_messages_have_no_hole_and_no_repetition() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let mut last = 0;
    for number in 0..7 {
        last = world.publish_message(&inbound(1, number, &number.to_string())).await?;
        world.publish_message(&inbound(2, number, "other")).await?;
    }
    world.stored(last + 1).await;
    let mut question = v1::ListMessages {
        tenant: "default".to_owned(),
        conversation: phone(1),
        limit: 3,
        ..v1::ListMessages::default()
    };
    let first = world.ask(service::MESSAGES_LIST, question.clone()).await?;
    assert_eq!(texts(&first.messages), ["6", "5", "4"]);
    // What comes in between two pages moves nothing.
    let last = world.publish_message(&inbound(1, 8, "8")).await?;
    world.stored(last).await;
    question.cursor = first.next;
    let second = world.ask(service::MESSAGES_LIST, question.clone()).await?;
    assert_eq!(texts(&second.messages), ["3", "2", "1"]);
    question.cursor = second.next;
    let third = world.ask(service::MESSAGES_LIST, question.clone()).await?;
    assert_eq!((texts(&third.messages), third.next.as_str()), (vec!["0"], ""));
    assert!(!third.messages[0].message.as_ref().unwrap().raw.is_empty(), "the whole message is kept");
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn conversations_are_listed_newest_first() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    for number in [1, 2, 3, 4, 5] {
        world.publish_message(&inbound(number, 0, "hola")).await?;
    }
    let last = world.publish_message(&inbound(2, 1, "otra vez")).await?;
    world.stored(last).await;
    let mut question =
        v1::ListConversations { tenant: "default".to_owned(), limit: 2, ..v1::ListConversations::default() };
    let mut tokens = Vec::new();
    loop {
        let page = world.ask(service::CONVERSATIONS_LIST, question.clone()).await?;
        tokens.extend(page.conversations.into_iter().map(|conversation| conversation.token));
        if page.next.is_empty() {
            break;
        }
        question.cursor = page.next;
    }
    assert_eq!(tokens, [2, 5, 4, 3, 1].map(phone));
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_a_question_is_named() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let list = |tenant: &str, cursor: &str, limit| v1::ListConversations {
        tenant: tenant.to_owned(),
        cursor: cursor.to_owned(),
        limit,
    };
    for (question, field) in [
        (list("default", "garbage", 1), "cursor:"),
        (list("default", "", 201), "limit:"),
        (list("No Tenant", "", 1), "tenant:"),
    ] {
        let (code, message) = refusal(world.ask(service::CONVERSATIONS_LIST, question).await);
        assert_eq!(code, Code::InvalidInput);
        assert!(message.starts_with(field), "{message}");
    }
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn one_message_is_found_by_its_id_in_its_own_tenant_only() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let message = inbound(1, 0, "hola");
    let seq = world.publish_message(&message).await?;
    world.stored(seq).await;
    let get = async |tenant: &str, message_id: &str| {
        let question = v1::GetMessage { tenant: tenant.to_owned(), message_id: message_id.to_owned() };
        world.ask(service::MESSAGES_GET, question).await
    };
    let found = get("default", &message.id).await?;
    assert_eq!((found.message.as_ref(), found.seq), (Some(&message), seq));
    assert_eq!(refusal(get("other", &message.id).await).0, Code::NotFound);
    assert!(refusal(get("default", "wamid.A").await).1.starts_with("message_id: must "));
    replica.stop().await;
    Ok(())
}
