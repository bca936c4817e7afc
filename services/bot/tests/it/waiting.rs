//! Answers that wait: for a pause, or for the contact to stop writing.

use std::time::Duration;

use anyhow::Result;
use chasqui_kit::clock;

use crate::world::{CONTACT, World};

const DEFINITION: &str = r#"
[handoff]
keywords = ["agente"]
text = "Ya te atienden."

[[rules]]
name = "slow"
keywords = ["lento"]
reply = "Despacio."
delay_ms = 2000

[[rules]]
name = "complaint"
keywords = ["queja"]
handoff = "Te paso con alguien."
delay_ms = 2000

[[rules]]
name = "quick"
keywords = ["ya"]
reply = "Ya."

[[rules]]
name = "gather"
all = true
reply = "Entendido todo."
debounce_ms = 1000

[fallback]
silence = true
"#;

#[tokio::test(flavor = "multi_thread")]
async fn three_messages_in_a_row_have_one_answer() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    let (_one, _two) = (world.replica("one").await?, world.replica("two").await?);
    let mut last = String::new();
    for text in ["hola", "quiero saber", "cuánto cuesta"] {
        last = world.writes(CONTACT, text).await?;
    }
    let written = clock::now_ms();
    let said = world.hears(CONTACT, 1).await;
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?, ["Entendido todo."]);
    assert_eq!(said[0].answers, last);
    assert!(said[0].occurred_at_ms >= written + 900, "it waited until the contact was silent");
    let (state, _) = world.state(CONTACT).await?;
    assert!(state.waiting.is_none(), "{state:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_waits_is_given_after_a_crash() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    let replica = world.replica("one").await?;
    world.writes(CONTACT, "lento").await?;
    world.holds(1).await;
    replica.kill().await;
    assert!(world.replies(CONTACT).await?.is_empty());
    let _replica = world.replica("two").await?;
    world.hears(CONTACT, 1).await;
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?, ["Despacio."]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stops_gives_what_waits_to_another_at_once() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    let replica = world.replica("one").await?;
    world.writes(CONTACT, "lento").await?;
    world.holds(1).await;
    let _two = world.replica("two").await?;
    replica.stop().await?;
    let stopped = std::time::Instant::now();
    world.hears(CONTACT, 1).await;
    assert!(stopped.elapsed() < Duration::from_secs(4), "it did not wait for the first replica's message");
    world.settled().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_said_before_what_is_said_at_once() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    let _replica = world.replica("one").await?;
    world.writes(CONTACT, "lento").await?;
    world.writes(CONTACT, "ya").await?;
    world.hears(CONTACT, 2).await;
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?, ["Despacio.", "Ya."]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_take_over_meanwhile_are_not_interrupted_by_what_waited() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    let _replica = world.replica("one").await?;
    world.writes(CONTACT, "lento").await?;
    world.holds(1).await;
    world.opens_chat(CONTACT).await?;
    world.settled().await;
    assert!(world.replies(CONTACT).await?.is_empty());
    world.closes_chat(CONTACT).await?;
    world.writes(CONTACT, "lento").await?;
    world.writes(CONTACT, "agente").await?;
    world.hears(CONTACT, 1).await;
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?, ["Ya te atienden."]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_whom_a_rule_calls_later_are_called_though_the_contact_goes_on_writing() -> Result<()> {
    let world = World::with(DEFINITION).await?;
    let _replica = world.replica("one").await?;
    for (number, next) in ["ya", "lento"].into_iter().enumerate() {
        let contact = format!("549110000002{number}");
        world.writes(&contact, "tengo una queja").await?;
        world.writes(&contact, next).await?;
        world.settled().await;
        assert_eq!(world.opened().last(), Some(&(contact.clone(), "rule".to_owned())), "{next}");
        assert_eq!(world.texts(&contact).await?.last().map(String::as_str), Some("Te paso con alguien."));
    }
    Ok(())
}
