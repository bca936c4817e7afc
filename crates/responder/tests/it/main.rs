//! Who answers, over a private nats-server: the test plays persistence, which writes the states and the directory.

mod world;

use anyhow::Result;
use chasqui_kit::{Code, Coded};
use chasqui_proto::{
    subject::{chats_updated, conversations_updated},
    v1::{ChatStatus, Conversation, Responder, TenantEntry},
};
use chasqui_responder::Reason;

use world::{World, contact, other};

#[tokio::test]
async fn people_answer_while_a_chat_is_open_and_then_the_bot_again() -> Result<()> {
    let world = World::start(Responder::External).await?;
    world.is(Responder::External, Reason::Tenant).await?;
    for (status, responder, reason) in [
        (ChatStatus::Waiting, Responder::Person, Reason::Chat),
        (ChatStatus::Assigned, Responder::Person, Reason::Chat),
        (ChatStatus::Closed, Responder::External, Reason::Tenant),
        (ChatStatus::Waiting, Responder::Person, Reason::Chat),
    ] {
        world.chat(status).await?;
        world.is(responder, reason).await?;
    }
    let standing = world.responders.of(&world.tenant, &contact()).await?;
    assert_eq!(standing.chat.map(|chat| chat.version), Some(4), "the newest of its states");
    let standing = world.responders.of(&world.tenant, &other()).await?;
    assert_eq!(
        (standing.responder, standing.chat),
        (Responder::External, None),
        "another contact's chat is its own"
    );
    Ok(())
}

#[tokio::test]
async fn wab_33_a_conversation_says_itself_whether_the_bot_answers() -> Result<()> {
    let world = World::start(Responder::External).await?;
    assert!(!world.is_given_to_bot().await?, "nothing is known of it");
    world.conversation(|it| it.ai_active = true).await?;
    world.is(Responder::Builtin, Reason::Active).await?;
    assert!(world.is_given_to_bot().await?);
    world.conversation(|it| (it.ai_active, it.no_ac_ai) = (true, true)).await?;
    world.is(Responder::Person, Reason::NoBot).await?;
    assert!(!world.is_given_to_bot().await?);
    world.conversation(|_| {}).await?;
    assert!(!world.is_given_to_bot().await?);
    world.is(Responder::External, Reason::Tenant).await
}

#[tokio::test]
async fn a_tenant_says_itself_which_bot_answers_else_the_deployment_does() -> Result<()> {
    let world = World::start(Responder::Builtin).await?;
    world.is(Responder::Builtin, Reason::Tenant).await?;
    let entry = |responder: Responder, suspended| TenantEntry {
        tenant: "default".to_owned(),
        responder: responder.into(),
        suspended,
        ..TenantEntry::default()
    };
    world.tenant_is(entry(Responder::External, false), Responder::External).await?;
    // Whoever asks has turned a suspended tenant away before: its entry says what it said.
    world.tenant_is(entry(Responder::External, true), Responder::External).await?;
    world.is(Responder::External, Reason::Tenant).await?;
    world.tenant_is(entry(Responder::Unspecified, false), Responder::Builtin).await
}

#[tokio::test]
async fn a_state_that_cannot_be_read_counts_as_none() -> Result<()> {
    let world = World::start(Responder::External).await?;
    world.garbage(conversations_updated(&world.tenant, &contact()).as_str()).await?;
    world.is(Responder::External, Reason::Tenant).await?;
    world.chat(ChatStatus::Assigned).await?;
    world.is(Responder::Person, Reason::Chat).await?;
    world.garbage(chats_updated(&world.tenant, &contact()).as_str()).await?;
    world.is(Responder::External, Reason::Tenant).await
}

#[tokio::test]
async fn without_the_broker_nobody_is_guessed() -> Result<()> {
    let world = World::start(Responder::External).await?;
    world.conversation(|it: &mut Conversation| it.ai_active = true).await?;
    world.nats.kill();
    let error = world.responders.of(&world.tenant, &contact()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    world.nats.restart().await?;
    world.until_asked().await;
    world.is(Responder::Builtin, Reason::Active).await
}
