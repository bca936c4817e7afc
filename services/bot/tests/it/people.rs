//! People take over, and give back.

use anyhow::Result;
use chasqui_kit::clock;
use chasqui_testkit::wait_for;

use crate::{
    conversation::DEFINITION,
    world::{CONTACT, SOON, World, message},
};

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_people_gets_them_and_the_bot_is_silent_until_they_are_done() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    let _replica = world.replica("one").await?;
    world.writes(CONTACT, "cita").await?;
    world.hears(CONTACT, 1).await;
    world.writes(CONTACT, "agente").await?;
    world.hears(CONTACT, 2).await;
    world.settled().await;
    assert_eq!(world.opened(), [(CONTACT.to_owned(), "keyword".to_owned())]);
    let opened = world.office.look(|stored| stored.opened[0].clone());
    assert_eq!((opened.user_id.as_str(), opened.user_name.as_str()), (CONTACT, "Contact"));
    world.writes(CONTACT, "12345678").await?;
    world.writes(CONTACT, "horario").await?;
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?[1..], ["Ya te atienden."]);
    world.closes_chat(CONTACT).await?;
    world.writes(CONTACT, "horario").await?;
    world.writes(CONTACT, "12345678").await?;
    world.hears(CONTACT, 5).await;
    world.settled().await;
    let said = world.texts(CONTACT).await?;
    assert_eq!(said[2..], ["De 8 a 18.", "También los sábados.", "No te entiendo."]);
    world.each_once(CONTACT).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_flow_gives_to_choose_from_is_no_call_for_people() -> Result<()> {
    let definition = "flows = [\"appointment\"]\n[handoff]\nkeywords = [\"cali\"]\ntext = \"Ya.\"\n";
    let world = World::with(definition).await?;
    let _replica = world.replica("one").await?;
    for (number, text) in ["cita", "12345678", "Cali"].into_iter().enumerate() {
        world.writes(CONTACT, text).await?;
        world.hears(CONTACT, number + 1).await;
    }
    world.settled().await;
    let (state, _) = world.state(CONTACT).await?;
    assert_eq!(state.flow.unwrap_or_default().state, "awaiting_specialty_search");
    // Here it is no choice.
    world.writes(CONTACT, "Cali").await?;
    world.settled().await;
    assert_eq!(world.opened(), [(CONTACT.to_owned(), "keyword".to_owned())]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_people_interrupted_is_begun_anew() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    let _replica = world.replica("one").await?;
    world.writes(CONTACT, "cita").await?;
    world.hears(CONTACT, 1).await;
    world.settled().await;
    // The contact says nothing while they have it.
    world.opens_chat(CONTACT).await?;
    world.closes_chat(CONTACT).await?;
    world.writes(CONTACT, "12345678").await?;
    let said = world.hears(CONTACT, 2).await;
    assert_eq!(said[1].text, "No te entiendo.");
    world.writes(CONTACT, "cita").await?;
    world.hears(CONTACT, 3).await;
    let (state, _) = world.state(CONTACT).await?;
    assert_eq!(state.flow.unwrap().state, "awaiting_document");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_writes_without_a_chat_is_not_interrupted() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    let _replica = world.replica("one").await?;
    world.agent_writes(CONTACT, "Hola, soy yo").await?;
    world.settled().await;
    let (state, _) = world.state(CONTACT).await?;
    assert!(state.quiet_until_ms > clock::now_ms(), "{state:?}");
    world.writes(CONTACT, "horario").await?;
    world.settled().await;
    assert!(world.replies(CONTACT).await?.is_empty());
    let (state, _) = world.state(CONTACT).await?;
    world
        .set_state(
            CONTACT,
            chasqui_proto::v1::BotConversation { quiet_until_ms: clock::now_ms() - 1, ..state },
        )
        .await?;
    world.writes(CONTACT, "otra cosa").await?;
    world.hears(CONTACT, 1).await;
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?, ["No te entiendo."]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_last_words_do_not_silence_the_bot_after_the_chat() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    world.replica("one").await?.stop().await?;
    world.opens_chat(CONTACT).await?;
    world.agent_writes(CONTACT, "Adiós").await?;
    world.closes_chat(CONTACT).await?;
    // The bot hears of it when the chat is closed already.
    let _replica = world.replica("two").await?;
    world.settled().await;
    world.writes(CONTACT, "otra cosa").await?;
    world.hears(CONTACT, 1).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_wrote_and_then_opened_and_closed_a_chat_gives_the_conversation_back() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    let _replica = world.replica("one").await?;
    world.agent_writes(CONTACT, "Hola, soy yo").await?;
    world.settled().await;
    world.opens_chat(CONTACT).await?;
    world.closes_chat(CONTACT).await?;
    world.writes(CONTACT, "otra cosa").await?;
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?, ["No te entiendo."]);
    world.agent_writes(CONTACT, "Una cosa más").await?;
    world.settled().await;
    world.writes(CONTACT, "otra cosa").await?;
    world.settled().await;
    assert_eq!(world.replies(CONTACT).await?.len(), 1, "the agent wrote after the chat");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_to_people_is_not_answered_once_they_are_done() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    world.replica("one").await?.stop().await?;
    world.opens_chat(CONTACT).await?;
    for _ in 0..3 {
        world.writes(CONTACT, "horario").await?;
    }
    let written = clock::now_ms();
    wait_for(SOON, "it is a while ago", async || (clock::now_ms() > written + 1_100).then_some(())).await;
    world.closes_chat(CONTACT).await?;
    // The bot was away meanwhile.
    let _replica = world.replica("two").await?;
    world.settled().await;
    assert!(world.replies(CONTACT).await?.is_empty());
    world.writes(CONTACT, "otra cosa").await?;
    world.hears(CONTACT, 1).await;
    assert_eq!(world.texts(CONTACT).await?, ["No te entiendo."]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_can_open_a_chat_it_is_tried_again_and_nobody_is_left_alone() -> Result<()> {
    let mut world = World::with(DEFINITION).await?;
    let replica = world.replica("one").await?;
    world.closes_office().await?;
    world.writes(CONTACT, "agente").await?;
    world.hears(CONTACT, 1).await;
    world.holds(1).await;
    // Whatever else the contact writes waits for people too, and a replica that dies leaves it to the next.
    world.writes(CONTACT, "horario").await?;
    world.holds(2).await;
    replica.kill().await;
    let _replica = world.replica("two").await?;
    let (state, _) = world.state(CONTACT).await?;
    assert_eq!(state.handoff, "keyword");
    world.opens_office().await?;
    world.settled().await;
    assert_eq!(world.opened(), [(CONTACT.to_owned(), "keyword".to_owned())]);
    let (state, _) = world.state(CONTACT).await?;
    assert_eq!(state.handoff, "");
    assert_eq!(world.texts(CONTACT).await?, ["Ya te atienden."]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_to_be_answered_is_given_to_people() -> Result<()> {
    let mut world = World::with(DEFINITION).await?;
    world.config.age_secs_max = 1;
    world.replica("one").await?.stop().await?;
    world.writes(CONTACT, "horario").await?;
    let stored = clock::now_ms();
    wait_for(SOON, "it is old", async || (clock::now_ms() > stored + 1_100).then_some(())).await;
    let _replica = world.replica("two").await?;
    world.hears(CONTACT, 1).await;
    world.settled().await;
    assert_eq!(world.opened(), [(CONTACT.to_owned(), "late".to_owned())]);
    assert_eq!(world.texts(CONTACT).await?, ["Ya te atienden."]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_whose_questions_nobody_answers_is_given_to_people() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    let _replica = world.replica("one").await?;
    world.office.look(|stored| stored.is_broken = true);
    world.writes(CONTACT, "cita").await?;
    world.hears(CONTACT, 1).await;
    for _ in 0..3 {
        let before = world.replies(CONTACT).await?.len();
        world.sends(message(CONTACT, "12345678")).await?;
        world.hears(CONTACT, before + 1).await;
    }
    world.settled().await;
    assert_eq!(world.opened(), [(CONTACT.to_owned(), "failure".to_owned())]);
    assert_eq!(world.texts(CONTACT).await?.last().map(String::as_str), Some("Ya te atienden."));
    Ok(())
}
