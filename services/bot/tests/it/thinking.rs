//! What goes on in a conversation while the language model writes.

use std::time::{Duration, Instant};

use anyhow::Result;
use chasqui_testkit::wait_for;

use crate::{
    model::{Server, world, world_with},
    world::{CONTACT, SOON, World},
};

async fn is_asked(server: &Server) {
    wait_for(SOON, "the model is asked", async || server.asked().await.ok().filter(|asked| *asked > 0)).await;
}

/// A model that takes its time, which is asked already; two replicas.
async fn thinking(pause_ms: u32) -> Result<(World, Server)> {
    let (world, server) = world().await?;
    let settings = format!(r#"{{"answers":["Uno.","Dos."],"first_token_after_ms":{pause_ms}}}"#);
    server.tell("PUT", "settings", &settings).await?;
    Ok((world, server))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_pays_for_an_answer() -> Result<()> {
    let (world, server) = thinking(0).await?;
    let (_one, _two) = (world.replica("one").await?, world.replica("two").await?);
    let contacts: Vec<String> = (0..20).map(|number| format!("54911000{number:05}")).collect();
    for contact in &contacts {
        world.writes(contact, "hola").await?;
    }
    for contact in &contacts {
        world.hears(contact, 1).await;
    }
    world.settled().await;
    assert_eq!(server.asked().await?, contacts.len());
    for contact in &contacts {
        assert_eq!(world.replies(contact).await?.len(), 1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_meanwhile_is_answered_next_and_nothing_twice() -> Result<()> {
    let (world, server) = thinking(1_000).await?;
    let (_one, _two) = (world.replica("one").await?, world.replica("two").await?);
    let first = world.writes(CONTACT, "hola").await?;
    is_asked(&server).await;
    world.writes(CONTACT, "y otra cosa").await?;
    let last = world.writes(CONTACT, "y otra más").await?;
    world.hears(CONTACT, 2).await;
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?, ["Uno.", "Dos."]);
    let answered = world.replies(CONTACT).await?.into_iter().map(|reply| reply.answers);
    assert_eq!(answered.collect::<Vec<_>>(), [first, last]);
    assert_eq!(server.asked().await?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stops_leaves_its_question_to_another_at_once() -> Result<()> {
    let (world, server) = thinking(1_500).await?;
    let one = world.replica("one").await?;
    world.writes(CONTACT, "hola").await?;
    is_asked(&server).await;
    let _two = world.replica("two").await?;
    one.stop().await?;
    let stopped = Instant::now();
    world.hears(CONTACT, 1).await;
    assert!(stopped.elapsed() < Duration::from_secs(5), "it waited until the first replica's leave ended");
    world.settled().await;
    assert_eq!(world.replies(CONTACT).await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_take_over_meanwhile_are_not_interrupted() -> Result<()> {
    let (world, server) = thinking(1_000).await?;
    let _one = world.replica("one").await?;
    world.writes(CONTACT, "hola").await?;
    is_asked(&server).await;
    world.opens_chat(CONTACT).await?;
    world.settled().await;
    assert!(world.replies(CONTACT).await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_not_asked_about_what_people_or_nobody_answers_by_now() -> Result<()> {
    let (world, server) = world_with("[model]\ndebounce_ms = 2000\n").await?;
    let _one = world.replica("one").await?;
    world.writes(CONTACT, "hola").await?;
    world.holds(1).await;
    world.opens_chat(CONTACT).await?;
    world.settled().await;
    world.writes("5491100000002", "hola").await?;
    world.holds(1).await;
    world.suspends().await?;
    world.settled().await;
    assert_eq!(server.asked().await?, 0);
    assert!(world.replies(CONTACT).await?.is_empty() && world.opened().is_empty());
    Ok(())
}
