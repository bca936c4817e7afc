//! Replicas that die, and what the others make of what they leave behind.

use std::{collections::HashSet, time::Duration};

use anyhow::{Context, Result};
use async_nats::jetstream;
use chasqui_proto::{
    id::fact_id,
    stream,
    v1::{BotConversation, Message, Responder, SenderType, StoredMessage},
};
use chasqui_testkit::wait_for;
use futures::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use crate::{
    conversation::DEFINITION,
    walk::{WORDS, walk},
    world::{CONTACT, SOON, World, message},
};

/// A replica that has taken a message, and says nothing of it any more.
async fn taken_by_the_dead(world: &World) -> Result<jetstream::Message> {
    let stream = world.bus.jetstream().get_stream(stream::MESSAGES.name).await?;
    let consumer: jetstream::consumer::PullConsumer =
        stream.get_consumer(stream::BOT_CONSUMER).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut fetched = consumer.fetch().max_messages(1).expires(Duration::from_secs(5)).messages().await?;
    let taken = fetched.next().await.context("there is one")?;
    taken.map_err(|error| anyhow::anyhow!("{error}"))
}

/// A world in which there was a replica, so that contacts are heard.
async fn world() -> Result<World> {
    let world = World::with(DEFINITION).await?;
    world.replica("first").await?.stop().await?;
    Ok(world)
}

fn seq(taken: &jetstream::Message) -> u64 {
    taken.info().expect("it came from a consumer").stream_sequence
}

/// What the dead replica had decided.
fn decided(input: &str, seq: u64, text: &str) -> BotConversation {
    let reply = Message {
        id: fact_id(&["bot", "default", input, "0"]).to_string(),
        sender_type: SenderType::Ai.into(),
        ..message(CONTACT, text)
    };
    BotConversation {
        tenant: "default".to_owned(),
        conversation: CONTACT.to_owned(),
        handled_seq: seq,
        pending: vec![reply],
        decided_at_ms: chasqui_kit::clock::now_ms(),
        ..BotConversation::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_the_flow_is_answered_though_the_next_message_was_for_a_bot_outside() -> Result<()> {
    let mut world = world().await?;
    world.config.responder = Responder::External;
    let init = Message { provider_type: "chatbot_init".to_owned(), ..message(CONTACT, "") };
    world.sends(init).await?;
    let taken = taken_by_the_dead(&world).await?;
    let _replica = world.replica("one").await?;
    world.writes(CONTACT, "hola").await?;
    world.holds(1).await;
    // The first message comes to the replica that has handled the second one.
    taken.ack_with(jetstream::AckKind::Nak(None)).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    world.settled().await;
    assert_eq!(world.replies(CONTACT).await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_read_is_begun_anew() -> Result<()> {
    let world = world().await?;
    let bucket = world.bus.jetstream().get_key_value(stream::BOT.name).await?;
    let key = stream::bot_key(&crate::world::tenant(), &CONTACT.parse()?);
    bucket.put(key, vec![0xff; 9].into()).await?;
    let _replica = world.replica("one").await?;
    world.writes(CONTACT, "otra cosa").await?;
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?, ["No te entiendo."]);
    let (state, _) = world.state(CONTACT).await?;
    assert_eq!((state.tenant.as_str(), state.conversation.as_str()), ("default", CONTACT));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_replica_holds_is_answered_first_and_once() -> Result<()> {
    let world = world().await?;
    world.writes(CONTACT, "¿Qué horario?").await?;
    taken_by_the_dead(&world).await?;
    let _replica = world.replica("one").await?;
    world.writes(CONTACT, "otra cosa").await?;
    world.hears(CONTACT, 3).await;
    // The first message comes again, now to the replica that lives.
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?, ["De 8 a 18.", "También los sábados.", "No te entiendo."]);
    world.each_once(CONTACT).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_and_not_said_is_said_by_the_next_replica() -> Result<()> {
    let world = world().await?;
    let id = world.writes(CONTACT, "silencio").await?;
    let taken = taken_by_the_dead(&world).await?;
    world.set_state(CONTACT, decided(&id, seq(&taken), "Decidido.")).await?;
    let _replica = world.replica("one").await?;
    world.hears(CONTACT, 1).await;
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?, ["Decidido."]);
    let (state, _) = world.state(CONTACT).await?;
    assert!(state.pending.is_empty(), "{state:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_and_not_said_comes_before_the_next_answer_and_once() -> Result<()> {
    let world = world().await?;
    let id = world.writes(CONTACT, "silencio").await?;
    let taken = taken_by_the_dead(&world).await?;
    let state = decided(&id, seq(&taken), "Decidido.");
    // The dead replica got as far as saying it.
    world.says(&state.pending[0]).await?;
    world.set_state(CONTACT, state).await?;
    let _replica = world.replica("one").await?;
    world.writes(CONTACT, "otra cosa").await?;
    world.hears(CONTACT, 2).await;
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?, ["Decidido.", "No te entiendo."]);
    world.each_once(CONTACT).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_stream_has_forgotten_is_said_only_if_it_is_not_stored() -> Result<()> {
    let world = world().await?;
    let id = world.writes(CONTACT, "silencio").await?;
    let taken = taken_by_the_dead(&world).await?;
    let mut state = decided(&id, seq(&taken), "Ya dicho.");
    state.decided_at_ms -= 16 * 60 * 1_000;
    let said = state.pending[0].clone();
    let unsaid =
        Message { id: fact_id(&["bot", "default", &id, "1"]).to_string(), ..message(CONTACT, "Por decir.") };
    state.pending.push(Message { sender_type: SenderType::Ai.into(), ..unsaid });
    world.office.look(|stored| {
        stored.messages.insert(said.id.clone(), StoredMessage { message: Some(said), ..Default::default() })
    });
    world.set_state(CONTACT, state).await?;
    let _replica = world.replica("one").await?;
    world.hears(CONTACT, 1).await;
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?, ["Por decir."]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_many_messages_is_kept_by_three_replicas() -> Result<()> {
    let world = World::with(
        "[[rules]]\nname = \"echo\"\nkeywords = [\"x\"]\nreply = \"x\"\n[fallback]\nsilence = true",
    )
    .await?;
    let (_one, _two, _three) =
        (world.replica("one").await?, world.replica("two").await?, world.replica("three").await?);
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(world.writes(CONTACT, "x").await?);
    }
    world.hears(CONTACT, 100).await;
    world.settled().await;
    let answered = world.replies(CONTACT).await?.into_iter().map(|reply| reply.answers);
    assert_eq!(answered.collect::<Vec<_>>(), ids);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_that_answer_the_same_message_agree_on_one_answer() -> Result<()> {
    let world = World::start().await?;
    let (_one, _two) = (world.replica("one").await?, world.replica("two").await?);
    let contacts: Vec<String> = (0..20).map(|number| format!("54911000{number:05}")).collect();
    for contact in &contacts {
        world.writes(contact, "cita").await?;
        world.hears(contact, 1).await;
    }
    world.office.look(|stored| stored.is_fickle = true);
    for contact in &contacts {
        world.writes(contact, "12345678").await?;
        // Most of these come to the other replica, which asks for the first one's cities as well.
        world.writes(contact, "no sé").await?;
    }
    for contact in &contacts {
        world.hears(contact, 3).await;
    }
    world.settled().await;
    assert!(world.office.look(|stored| stored.cities_asked) > 20, "the replicas never met");
    for contact in &contacts {
        let (state, _) = world.state(contact).await?;
        let city = &state.flow.unwrap().options[0].label;
        let texts = world.texts(contact).await?;
        let is_told = texts[1..].iter().all(|text| text.contains(&format!("{city}\n")));
        assert!(is_told, "{city} is what an answer would mean, but the contact was told {texts:#?}");
        world.each_once(contact).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_costs_a_conversation_nothing() -> Result<()> {
    let world = World::start().await?;
    let (_one, _two) = (world.replica("one").await?, world.replica("two").await?);
    let mut texts = Vec::new();
    for (number, word) in WORDS.iter().enumerate() {
        // What the broker had taken and did not write to its disk is a broker's to lose; this one stops in order.
        if number % 3 == 2 {
            world.nats.stop().await;
            world.nats.restart().await?;
        }
        let said = message(CONTACT, word);
        wait_for(SOON, "the broker takes it", async || world.sends(said.clone()).await.ok()).await;
        texts = world.hears(CONTACT, number + 1).await;
    }
    world.settled().await;
    assert_eq!(texts.len(), WORDS.len());
    assert_eq!(world.office.look(|stored| stored.bookings.len()), 1);
    world.each_once(CONTACT).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_conversations_end_in_one_appointment_each_while_replicas_die() -> Result<()> {
    const CONVERSATIONS: usize = 200;
    const KILLS_MIN: usize = 3;
    const KILL_EVERY: Duration = Duration::from_millis(700);
    let world = World::start().await?;
    let contacts: Vec<String> = (0..CONVERSATIONS).map(|number| format!("54911000{number:05}")).collect();
    let mut replicas = Vec::new();
    for number in 0..3 {
        replicas.push(world.replica(&format!("replica-{number}")).await?);
    }
    let walked = CancellationToken::new();
    let killing = async {
        let (mut kills, mut pause) = (0, tokio::time::interval(KILL_EVERY));
        pause.tick().await;
        while walked.run_until_cancelled(pause.tick()).await.is_some() {
            replicas.remove(0).kill().await;
            kills += 1;
            replicas.push(world.replica(&format!("replica-{}", kills + 2)).await?);
        }
        anyhow::Ok(kills)
    };
    let walking = async {
        let walks = contacts.iter().map(|contact| walk(&world, contact));
        let answers: Vec<usize> = futures::stream::iter(walks).buffered(CONVERSATIONS).try_collect().await?;
        walked.cancel();
        anyhow::Ok(answers)
    };
    let (kills, answers) = tokio::try_join!(killing, walking)?;
    world.settled().await;
    assert!(kills >= KILLS_MIN, "only {kills} replicas died");
    let booked: Vec<String> = world
        .office
        .look(|stored| stored.bookings.values().map(|booking| booking.conversation.clone()).collect());
    assert_eq!(booked.len(), CONVERSATIONS);
    assert_eq!(booked.into_iter().collect::<HashSet<_>>(), contacts.iter().cloned().collect());
    assert!(answers.iter().all(|answers| *answers == WORDS.len()), "{answers:?}");
    for contact in &contacts {
        assert_eq!(world.replies(contact).await?.len(), WORDS.len(), "{:#?}", world.texts(contact).await?);
        world.each_once(contact).await?;
    }
    for replica in replicas {
        replica.stop().await?;
    }
    Ok(())
}
