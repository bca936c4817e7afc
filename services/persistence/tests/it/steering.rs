//! How the bot behaves in a conversation.

use anyhow::Result;
use chasqui_kit::Code;
use chasqui_proto::{
    service, subject,
    v1::{Conversation, SteerConversation},
};
use chasqui_testkit::wait_for;

use crate::{
    office::open,
    world::{SOON, World, inbound, phone, refusal, tenant},
};

const PERSONALITY: &str = "56a2b77e-dc42-55f1-9338-79d2a4e6ee83";

fn steering(conversation: &str) -> SteerConversation {
    let (tenant, conversation) = ("default".to_owned(), conversation.to_owned());
    SteerConversation { tenant, conversation, ..SteerConversation::default() }
}

#[tokio::test]
async fn wab_33_people_steer_the_bot_in_a_conversation_and_everyone_is_told() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let seq = world.publish_message(&inbound(1, 0, "hola")).await?;
    world.stored(seq).await;
    let before = world.conversation(&phone(1)).await?;
    let active = SteerConversation {
        ai_active: Some(true),
        personality_id: Some(PERSONALITY.to_owned()),
        ..steering(&before.number.to_string())
    };
    let steered = world.ask(service::CONVERSATIONS_STEER, active.clone()).await?;
    let said = |state: &Conversation| (state.ai_active, state.no_ac_ai, state.personality_id.clone());
    assert_eq!(said(&steered), (true, false, PERSONALITY.to_owned()));
    assert!(steered.version > before.version);
    assert!(steered.steered_at_ms >= before.updated_at_ms, "what was written before is not the bot's");
    assert_eq!(world.ask(service::CONVERSATIONS_STEER, active).await?, steered, "twice is once");
    let silent = SteerConversation { no_ac_ai: Some(true), ..steering(&before.id) };
    let silenced = world.ask(service::CONVERSATIONS_STEER, silent).await?;
    assert_eq!(said(&silenced), (true, true, PERSONALITY.to_owned()), "what is absent stays");
    let voice = SteerConversation { personality_id: Some(String::new()), ..steering(&before.id) };
    let voiced = world.ask(service::CONVERSATIONS_STEER, voice).await?;
    assert_eq!(voiced.steered_at_ms, silenced.steered_at_ms, "who answers is as it was");
    let plain = SteerConversation {
        ai_active: Some(false),
        personality_id: Some(String::new()),
        ..steering("+54 911 0000-0001")
    };
    let plain = world.ask(service::CONVERSATIONS_STEER, plain).await?;
    assert_eq!(said(&plain), (false, true, String::new()));
    assert_eq!(plain.version, before.version + 4);
    let name = subject::conversations_updated(&tenant(), &phone(1).parse()?);
    wait_for(SOON, "it is told", async || {
        let told: Conversation = world.last_state(name.as_str()).await?;
        (told == plain).then_some(())
    })
    .await;
    // What the contact writes next changes nothing of that.
    let seq = world.publish_message(&inbound(1, 1, "¿hola?")).await?;
    world.stored(seq).await;
    assert_eq!(said(&world.conversation(&phone(1)).await?), said(&plain));
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn wab_33_what_cannot_be_steered_is_said() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let seq = world.publish_message(&inbound(1, 0, "hola")).await?;
    world.stored(seq).await;
    let ask = async |question| refusal(world.ask(service::CONVERSATIONS_STEER, question).await);
    let none = (Code::NotFound, "there is no such conversation".to_owned());
    assert_eq!(ask(SteerConversation { ai_active: Some(true), ..steering(&phone(2)) }).await, none);
    let foreign = SteerConversation { tenant: "other".into(), ai_active: Some(true), ..steering(&phone(1)) };
    assert_eq!(ask(foreign).await, none);
    open(&world, 3).await?;
    assert_eq!(
        ask(SteerConversation { ai_active: Some(true), ..steering("u3") }).await,
        none,
        "nobody wrote"
    );
    let active: i64 = sqlx::query_scalar("select count(*) from conversations where ai_active")
        .fetch_one(&world.pool)
        .await?;
    assert_eq!(active, 0);
    let bad = SteerConversation { personality_id: Some("friendly".into()), ..steering(&phone(1)) };
    let (code, message) = ask(bad).await;
    assert_eq!(code, Code::InvalidInput);
    assert!(message.starts_with("personality_id: must "), "{message}");
    replica.stop().await;
    Ok(())
}
