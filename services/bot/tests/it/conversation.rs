//! What the bot answers, and to whom.

use anyhow::Result;
use chasqui_kit::clock;
use chasqui_proto::v1::{
    Channel, ChannelKind, Choice, Conversation, Message, MessageType, Priority, Responder, SenderType,
};
use chasqui_testkit::wait_for;

use crate::{
    walk::walk,
    world::{CONTACT, SOON, World, message, tenant},
};

/// Greets, answers one word, hands over another, and says something to everything else.
pub(crate) const DEFINITION: &str = r#"
language = "es"
flows = ["appointment"]

[handoff]
keywords = ["agente"]
text = "Ya te atienden."

[[rules]]
name = "hours"
keywords = ["horario"]
reply = ["De 8 a 18.", "También los sábados."]

[[rules]]
name = "away"
keywords = ["silencio"]
silence = true

[fallback]
reply = "No te entiendo."
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_answered_where_it_wrote_once_each() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    let _replica = world.replica("one").await?;
    let id = world.writes(CONTACT, "¿Qué horario tienen?").await?;
    world.writes(CONTACT, "silencio").await?;
    world.writes(CONTACT, "otra cosa").await?;
    let said = world.hears(CONTACT, 3).await;
    world.settled().await;
    let texts: Vec<&str> = said.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(texts, ["De 8 a 18.", "También los sábados.", "No te entiendo."]);
    let first = &said[0];
    assert_eq!((first.sender_type(), first.sender_id.as_str()), (SenderType::Ai, "bot"));
    assert_eq!((first.priority(), first.r#type()), (Priority::Reply, MessageType::Text));
    assert_eq!(first.channel, message(CONTACT, "").channel);
    assert_eq!(first.contact, message(CONTACT, "").contact);
    assert_eq!((&first.answers, &first.context), (&id, &None), "it is not quoted");
    world.each_once(CONTACT).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_34_the_appointment_flow_is_walked_to_an_appointment() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("one").await?;
    let answers = walk(&world, CONTACT).await?;
    world.settled().await;
    assert_eq!(answers, world.replies(CONTACT).await?.len());
    let booked: Vec<_> = world.office.look(|stored| stored.bookings.values().cloned().collect());
    assert_eq!(booked.len(), 1);
    assert_eq!(booked[0].conversation, CONTACT);
    assert_eq!(booked[0].contact, message(CONTACT, "").contact);
    let (state, _) = world.state(CONTACT).await?;
    assert!(state.flow.is_none() && state.pending.is_empty(), "{state:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_before_there_was_a_bot_is_not_answered() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    world.writes(CONTACT, "horario").await?;
    let _replica = world.replica("one").await?;
    world.writes(CONTACT, "otra cosa").await?;
    world.hears(CONTACT, 1).await;
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?, ["No te entiendo."]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_where_a_bot_outside_answers_this_one_is_silent_unless_it_is_told_to_answer() -> Result<()> {
    let mut world = World::with(DEFINITION).await?;
    world.config.responder = Responder::External;
    let _replica = world.replica("one").await?;
    world.writes(CONTACT, "horario").await?;
    world.settled().await;
    assert!(world.replies(CONTACT).await?.is_empty());
    assert!(world.state(CONTACT).await.is_err(), "nothing is kept of what is not the bot's");
    let steered = Conversation {
        token: CONTACT.to_owned(),
        ai_active: true,
        steered_at_ms: clock::now_ms(),
        version: 1,
        ..Default::default()
    };
    world.steers(Conversation { tenant: tenant().to_string(), ..steered.clone() }).await?;
    world.writes(CONTACT, "otra cosa").await?;
    world.hears(CONTACT, 1).await;
    let silent = Conversation { no_ac_ai: true, version: 2, ..steered };
    world.steers(silent).await?;
    world.writes(CONTACT, "horario").await?;
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?, ["No te entiendo."]);
    Ok(())
}

fn frame(kind: &str, text: &str) -> Message {
    let channel = Channel { kind: ChannelKind::Widget.into(), ..Channel::default() };
    Message { provider_type: kind.to_owned(), channel: Some(channel), ..message(CONTACT, text) }
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_18_a_front_ends_flow_answers_whoever_answers_otherwise() -> Result<()> {
    let mut world = World::start().await?;
    world.config.responder = Responder::External;
    let _replica = world.replica("one").await?;
    let start = Choice { id: "chatbot_init".to_owned(), ..Choice::default() };
    world.sends(Message { choice: Some(start), ..frame("chatbot_init", "") }).await?;
    let said = world.hears(CONTACT, 1).await;
    assert!(said[0].text.starts_with("Bienvenido al chat de citas."), "{}", said[0].text);
    assert_eq!(said[0].provider_type, "chatbot");
    world.writes(CONTACT, "esto es para otro").await?;
    world.sends(frame("chatbot", "12345678")).await?;
    let said = world.hears(CONTACT, 2).await;
    world.settled().await;
    assert!(said[1].text.contains("Bogotá"), "{}", said[1].text);
    assert_eq!(world.replies(CONTACT).await?.len(), 2);
    // What is said to people in the window beside it does not put it away, nor does the end of their chat.
    world.opens_chat(CONTACT).await?;
    world.writes(CONTACT, "1").await?;
    world.sends(frame("chatbot", "1")).await?;
    let said = world.hears(CONTACT, 3).await;
    assert!(said[2].text.contains("especialidad"), "{}", said[2].text);
    world.closes_chat(CONTACT).await?;
    world.sends(frame("chatbot", "cardio")).await?;
    let said = world.hears(CONTACT, 4).await;
    assert!(said[3].text.starts_with("Elige la especialidad"), "{}", said[3].text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_38_what_fails_is_told_and_the_flow_goes_on_where_it_was() -> Result<()> {
    let mut world = World::start().await?;
    let _replica = world.replica("one").await?;
    world.writes(CONTACT, "cita").await?;
    world.hears(CONTACT, 1).await;
    world.closes_office().await?;
    world.writes(CONTACT, "12345678").await?;
    let said = world.hears(CONTACT, 2).await;
    assert!(
        said[1].text.starts_with("Error interno, por favor intente nuevamente más tarde."),
        "{}",
        said[1].text
    );
    world.opens_office().await?;
    world.writes(CONTACT, "12345678").await?;
    let said = world.hears(CONTACT, 3).await;
    assert!(said.iter().any(|message| message.text.contains("Bogotá")), "{said:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn choices_are_buttons_or_a_list_on_whatsapp() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("one").await?;
    world.writes(CONTACT, "cita").await?;
    world.hears(CONTACT, 1).await;
    world.writes(CONTACT, "12345678").await?;
    let said = world.hears(CONTACT, 2).await;
    let raw: serde_json::Value = serde_json::from_slice(&said[1].raw)?;
    assert_eq!(raw["interactive"]["action"]["buttons"][1]["reply"]["title"], "Cali", "{raw}");
    // The contact presses it.
    let choice = Choice {
        kind: "button_reply".to_owned(),
        id: "cali".to_owned(),
        title: "Cali".to_owned(),
        ..Choice::default()
    };
    let pressed =
        Message { choice: Some(choice), r#type: MessageType::Interactive.into(), ..message(CONTACT, "Cali") };
    world.sends(pressed).await?;
    world.hears(CONTACT, 3).await;
    let (state, _) = world.state(CONTACT).await?;
    assert_eq!(state.flow.unwrap().state, "awaiting_specialty_search");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_a_dead_letter_and_stops_nobody() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    let _replica = world.replica("one").await?;
    let jetstream = world.bus.jetstream();
    jetstream.publish(format!("messages.in.default.{CONTACT}"), vec![0xff; 9].into()).await?.await?;
    jetstream.publish("messages.in.default.a..b".replace("..", "."), vec![].into()).await?.await?;
    world.writes(CONTACT, "otra cosa").await?;
    world.hears(CONTACT, 1).await;
    world.settled().await;
    let letters = wait_for(SOON, "both are dead letters", async || {
        let letters = jetstream.get_stream("DLQ").await.ok()?;
        let count = letters.cached_info().state.messages;
        (count >= 2).then_some(count)
    });
    assert_eq!(letters.await, 2);
    Ok(())
}
