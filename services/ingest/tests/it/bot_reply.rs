use std::time::Duration;

use anyhow::Result;
use chasqui_ingest::Config;
use chasqui_proto::{
    address, subject,
    v1::{ChannelKind, ContactFound, Direction, Message, MessageType, SenderType},
};
use chasqui_testkit::NatsOptions;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::world::{CONTACT, SOON, World, answer, config};

/// Plays a node that listens for the contact and gives this answer, if any.
async fn edge(world: &World, contact: &str, answer: Option<ContactFound>) -> Result<JoinHandle<()>> {
    use futures::StreamExt;
    let client = world.nats_client().await?;
    let token = chasqui_proto::ConversationToken::of(&address::parse_address(contact)?);
    let subject = subject::edge_contacts(&"default".parse()?, &token);
    let mut asked = client.subscribe(subject.as_str().to_owned()).await?;
    client.flush().await?;
    // A request is answered after the subscription is known, unlike a flush.
    let nobody = client.request(client.new_inbox(), bytes::Bytes::new()).await;
    assert!(nobody.is_err(), "nobody listens on a new inbox");
    Ok(tokio::spawn(async move {
        while let Some(request) = asked.next().await {
            if let (Some(reply), Some(answer)) = (request.reply, &answer) {
                client.publish(reply, answer.encode_to_vec().into()).await.expect("the server is there");
            }
        }
    }))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside `None`, a node that never answers")]
fn yes() -> Option<ContactFound> {
    Some(ContactFound::default())
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside `None`, a node that never answers")]
fn no() -> Option<ContactFound> {
    Some(ContactFound { absent: true, ..ContactFound::default() })
}

fn forwarded() -> (u16, Value) {
    (200, json!({ "success": true, "message": "Mensaje reenviado al cliente." }))
}

fn not_connected() -> (u16, Value) {
    (404, json!({ "success": false, "message": "El cliente no está conectado por WebSocket." }))
}

#[tokio::test]
async fn kon_10_a_reply_to_a_connected_client_is_forwarded() -> Result<()> {
    let world = World::start().await?;
    let _edge = edge(&world, CONTACT, yes()).await?;
    assert_eq!(answer(world.bot_reply("+54 911 0000-0001", "hola").send().await?).await?, forwarded());
    let stored = world.stored().await?;
    assert_eq!(stored[0].subject, format!("messages.out.default.{CONTACT}"));
    let message: Message = stored[0].decode()?;
    assert_eq!((message.text.as_str(), message.r#type()), ("hola", MessageType::Text));
    assert_eq!((message.direction(), message.sender_type()), (Direction::Out, SenderType::Ai));
    assert_eq!(message.channel.unwrap_or_default().kind(), ChannelKind::Widget);
    assert_eq!(message.contact.unwrap_or_default().aliases, [address::phone(CONTACT)]);
    world.stop().await
}

#[tokio::test]
async fn kon_11_a_reply_to_nobody_is_a_404_and_stored_all_the_same() -> Result<()> {
    let world = World::start().await?;
    let _edge = edge(&world, "5491100000002", yes()).await?;
    assert_eq!(answer(world.bot_reply(CONTACT, "hola").send().await?).await?, not_connected());
    assert_eq!(world.stored().await?.len(), 1);
    world.stop().await
}

#[tokio::test]
async fn kon_11_nodes_that_listen_for_a_whole_tenant_say_no() -> Result<()> {
    let world = World::start().await?;
    let _edges = (edge(&world, CONTACT, no()).await?, edge(&world, CONTACT, no()).await?);
    assert_eq!(answer(world.bot_reply(CONTACT, "hola").send().await?).await?, not_connected());
    world.stop().await
}

#[tokio::test]
async fn kon_10_one_node_that_says_yes_outweighs_those_that_say_no() -> Result<()> {
    let world = World::start().await?;
    // The broker asks in the order of the subscriptions or in another: the first answer does not decide.
    let _edges = (
        edge(&world, CONTACT, no()).await?,
        edge(&world, CONTACT, yes()).await?,
        edge(&world, CONTACT, no()).await?,
    );
    assert_eq!(answer(world.bot_reply(CONTACT, "hola").send().await?).await?, forwarded());
    world.stop().await
}

#[tokio::test]
async fn a_node_that_is_slow_to_answer_counts_as_connected() -> Result<()> {
    let world = World::start().await?;
    let _edge = edge(&world, CONTACT, None).await?;
    let answered =
        tokio::time::timeout(Duration::from_secs(2), world.bot_reply(CONTACT, "hola").send()).await??;
    assert_eq!(answer(answered).await?, forwarded());
    world.stop().await
}

#[tokio::test]
async fn kon_09_a_reply_without_both_parameters_is_refused() -> Result<()> {
    let world = World::start().await?;
    let expected = json!({ "error": "Faltan los parámetros targetUserWhatsAppNumber o messageText" });
    assert_eq!(answer(world.bot_reply("", "hola").send().await?).await?, (400, expected.clone()));
    assert_eq!(answer(world.bot_reply(CONTACT, "").send().await?).await?, (400, expected));
    let body = world.bot_reply(CONTACT, "x").body("{").send().await?;
    assert_eq!(answer(body).await?.0, 400);
    let (status, body) = answer(world.bot_reply(CONTACT, &"ñ".repeat(4_097)).send().await?).await?;
    assert_eq!(status, 400);
    assert!(body["error"].as_str().unwrap_or_default().contains("4096"), "{body}");
    assert_eq!(world.bot_reply(CONTACT, &"ñ".repeat(4_096)).send().await?.status(), 404);
    assert_eq!(answer(world.bot_reply(CONTACT, &"x".repeat(65_536)).send().await?).await?.0, 413);
    assert_eq!(world.stored().await?.len(), 1);
    world.stop().await
}

#[tokio::test]
async fn kon_23_shc_24_only_who_has_the_key_speaks_for_the_bot() -> Result<()> {
    let world = World::start().await?;
    let body = json!({ "targetUserWhatsAppNumber": CONTACT, "messageText": "hola" });
    for key in [None, Some(""), Some("another"), Some("key-of-the-bo"), Some("key-of-the-bot ñ")] {
        let mut request = world.post("/api/bot-reply").json(&body);
        if let Some(key) = key {
            request = request.header("x-api-key", key.as_bytes());
        }
        let expected = (401, json!({ "error": "Unauthorized" }));
        assert_eq!(answer(request.send().await?).await?, expected, "{key:?}");
    }
    assert!(world.stored().await?.is_empty());
    world.stop().await
}

#[tokio::test]
async fn kon_23_the_original_bot_which_sends_no_key_is_let_in_by_a_switch() -> Result<()> {
    let open = Config { bot_reply_anonymous: true, ..config() };
    let world = World::start_with(open, NatsOptions::default()).await?;
    let body = json!({ "targetUserWhatsAppNumber": CONTACT, "messageText": "hola" });
    let request = || world.post("/api/bot-reply").json(&body);
    assert_eq!(request().send().await?.status(), 404);
    assert_eq!(request().header("x-api-key", "another").send().await?.status(), 401);
    world.stop().await
}

#[tokio::test]
async fn a_reply_repeated_under_its_key_is_stored_once() -> Result<()> {
    let world = World::start().await?;
    let send = async |key: &str| -> Result<u16> {
        let request = world.bot_reply(CONTACT, "hola").header("Idempotency-Key", key);
        Ok(request.send().await?.status().as_u16())
    };
    for key in ["one", "one", "two", "one"] {
        assert_eq!(send(key).await?, 404);
    }
    assert_eq!(world.stored().await?.len(), 2);
    assert_eq!(send(&"k".repeat(256)).await?, 400);
    world.stop().await
}

#[tokio::test]
async fn a_reply_that_could_not_be_stored_says_so() -> Result<()> {
    let world = World::start().await?;
    world.nats.kill();
    let (status, body) = answer(world.bot_reply(CONTACT, "hola").send().await?).await?;
    assert_eq!((status, &body["success"]), (503, &json!(false)));
    world.nats.restart().await?;
    chasqui_testkit::wait_for(SOON, "replies are taken again", async || {
        let response = world.bot_reply(CONTACT, "hola").send().await.ok()?;
        (response.status() == 404).then_some(())
    })
    .await;
    world.stop().await
}
