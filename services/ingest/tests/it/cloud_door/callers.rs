//! Who may send through what.

use std::num::NonZeroU32;

use anyhow::{Context as _, Result};
use chasqui_directory::NewKey;
use chasqui_ingest::Config;
use chasqui_proto::v1::{ChannelKind, Message, SessionStatus};
use chasqui_testkit::wait_for;
use secrecy::ExposeSecret;
use serde_json::json;

use super::door::{ACME_NUMBER, Door, OTHER_NUMBER, key_entry, text};
use crate::{
    whatsapp::Whatsapp,
    world::{API_KEY, CONTACT, NUMBER, SOON, answer},
};

#[tokio::test]
async fn only_a_key_that_may_send_opens_the_door_and_only_in_the_header() -> Result<()> {
    let door = Door::start().await?;
    let listener = NewKey::generate();
    door.tell(key_entry(&listener, "default", "listen")).await?;
    let path = format!("/v21.0/{NUMBER}/messages");
    let hola = text("hola");
    let none = Door::refusal(door.world.post(&path).json(&hola)).await?;
    assert_eq!((none.0, none.1), (401, 190));
    let nobodys = NewKey::generate();
    for key in ["", "another", nobodys.secret.expose_secret()] {
        let refusal = Door::refusal(door.post(&path, key).json(&hola)).await?;
        assert_eq!((refusal.0, refusal.1), (401, 190), "{key:?}");
    }
    let query = door.post(&format!("{path}?access_token={API_KEY}"), API_KEY).json(&hola);
    let refusal = Door::refusal(query).await?;
    assert_eq!((refusal.0, refusal.1), (401, 190));
    assert!(refusal.3.contains("Authorization") && !refusal.3.contains(API_KEY));
    wait_for(SOON, "a key for something else is known", async || {
        let request = door.post(&path, listener.secret.expose_secret()).json(&hola);
        (Door::refusal(request).await.ok()?.1 == 10).then_some(())
    })
    .await;
    let refusal = Door::refusal(door.post(&path, listener.secret.expose_secret()).json(&hola)).await?;
    assert_eq!(refusal, (403, 10, None, "this key has no scope send".to_owned()));
    assert!(door.world.stored().await?.is_empty());
    door.world.stop().await
}

#[tokio::test]
async fn shc_24_who_lets_bots_in_without_a_key_lets_nobody_send_to_whatsapp() -> Result<()> {
    let door = Door::start_with(|config| Config { bot_reply_anonymous: true, ..config }).await?;
    let request = door.world.post(&format!("/v21.0/{NUMBER}/messages")).json(&text("hola"));
    assert_eq!(Door::refusal(request).await?.1, 190);
    assert!(door.world.stored().await?.is_empty());
    door.world.stop().await
}

#[tokio::test]
async fn a_tenant_has_its_own_numbers_and_no_others() -> Result<()> {
    let door = Door::start().await?;
    let send =
        |number: &str, key: &str| door.post(&format!("/v21.0/{number}/messages"), key).json(&text("hola"));
    let (acme, other) = (door.acme.secret.expose_secret(), door.other.secret.expose_secret());
    for (number, key) in
        [(ACME_NUMBER, other), (OTHER_NUMBER, acme), (NUMBER, acme), (ACME_NUMBER, API_KEY), ("7", acme)]
    {
        let (status, code, subcode, details) = Door::refusal(send(number, key)).await?;
        assert_eq!((status, code, subcode), (400, 100, Some(33)), "{number}");
        assert!(details.contains(&format!("Object with ID '{number}' does not exist")), "{details}");
    }
    assert!(door.world.stored().await?.is_empty());
    assert_eq!(send(ACME_NUMBER, acme).send().await?.status(), 200);
    let stored = door.world.stored().await?;
    assert_eq!(stored[0].subject, format!("messages.out.acme.{CONTACT}"));
    assert_eq!(stored[0].decode::<Message>()?.sender_id, "acme-send");
    let shown = answer(door.get(ACME_NUMBER, &door.acme).send().await?).await?;
    let expected = json!({
        "id": ACME_NUMBER,
        "display_phone_number": "+54 911 0000-0099",
        "platform_type": "CLOUD_API",
        "throughput": { "level": "STANDARD" },
    });
    assert_eq!(shown, (200, expected));
    assert_eq!(Door::refusal(door.get(ACME_NUMBER, &door.other)).await?.2, Some(33));
    door.world.stop().await
}

#[tokio::test]
async fn a_linked_device_is_written_through_by_its_name_while_it_is_connected() -> Result<()> {
    let door = Door::start().await?;
    let send = |device: &str| door.post(&format!("/v21.0/{device}/messages"), API_KEY).json(&text("hola"));
    let away = Door::refusal(send("main")).await?;
    assert_eq!((away.0, away.1), (503, 2), "nobody knows the devices");
    let whatsapp = Whatsapp::start(&door.world).await?;
    whatsapp.stands("default", "main", "main", SessionStatus::Connected);
    whatsapp.stands("default", "old", "old", SessionStatus::LoggedOut);
    whatsapp.stands("acme", "haby", "haby", SessionStatus::Connected);
    assert_eq!(answer(send("main").send().await?).await?.0, 200);
    let channel = door.sent().await?[0].channel.clone().unwrap_or_default();
    assert_eq!((channel.kind(), channel.id.as_str()), (ChannelKind::WhatsappLinked, "main"));
    let (status, code, _, details) = Door::refusal(send("old")).await?;
    assert_eq!((status, code, details.as_str()), (503, 2, "Cliente de WhatsApp no está conectado"));
    assert_eq!(Door::refusal(send("haby")).await?.2, Some(33), "it is another tenant's");
    assert_eq!(door.world.stored().await?.len(), 1);
    whatsapp.stop().await;
    door.world.stop().await
}

#[tokio::test]
async fn shc_30_a_client_that_is_too_fast_is_told_when_to_come_again() -> Result<()> {
    let slow = NonZeroU32::new(5).context("five")?;
    let door = Door::start_with(|config| Config { sends_per_second_max: slow, ..config }).await?;
    let mut told = None;
    for _ in 0..100 {
        let response = door.message(&text("hola")).send().await?;
        if response.status() == 429 {
            told = Some((response.headers()["retry-after"].to_str()?.to_owned(), answer(response).await?.1));
            break;
        }
    }
    let (wait, told) = told.context("one of a hundred is too many")?;
    assert_eq!((wait.as_str(), &told["error"]["code"]), ("1", &json!(130_429)));
    assert_eq!(told["error"]["message"], "(#130429) Rate limit hit");
    door.world.stop().await
}
