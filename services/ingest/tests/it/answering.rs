//! A bot outside answers only where it is the one to answer.

use anyhow::Result;
use chasqui_directory::NewKey;
use chasqui_ingest::Config;
use chasqui_kit::{TraceContext, publish::Fact};
use chasqui_proto::{
    ConversationToken, MessageId, Tenant, stream, subject,
    v1::{Chat, ChatStatus, Conversation, Responder, SessionStatus, TenantEntry, directory_entry::Entry},
};
use chasqui_testkit::NatsOptions;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    directory::{bus, key, tell, until},
    whatsapp::Whatsapp,
    world::{API_KEY, CONTACT, NUMBER, World, answer, config},
};

const PERSON: &str = "El mensaje no se envió: en esta conversación responde una persona.";
const BUILTIN: &str = "El mensaje no se envió: en esta conversación responde el bot integrado.";

fn contact() -> (Tenant, ConversationToken) {
    ("default".parse().expect("a tenant"), CONTACT.parse().expect("a token"))
}

/// Persistence tells of the contact's chat.
async fn chat(world: &World, status: ChatStatus) -> Result<()> {
    let (tenant, conversation) = contact();
    let chat = Chat { status: status.into(), ..Chat::default() };
    let subject = subject::chats_updated(&tenant, &conversation);
    let fact = Fact::new(subject, &chat, MessageId::now().to_string(), TraceContext::root());
    bus(world).await?.publish(fact).await?;
    Ok(())
}

/// Persistence tells of the contact's conversation.
async fn conversation(world: &World, ai_active: bool, no_ac_ai: bool) -> Result<()> {
    let (tenant, conversation) = contact();
    let state = Conversation { ai_active, no_ac_ai, ..Conversation::default() };
    let subject = subject::conversations_updated(&tenant, &conversation);
    let fact = Fact::new(subject, &state, MessageId::now().to_string(), TraceContext::root());
    bus(world).await?.publish(fact).await?;
    Ok(())
}

/// Nobody is connected: what is taken is a 404, and stored.
async fn is_taken(world: &World, count: usize) -> Result<()> {
    let (status, told) = answer(world.bot_reply(CONTACT, "hola").send().await?).await?;
    assert_eq!((status, world.stored().await?.len()), (404, count), "{told}");
    Ok(())
}

async fn is_refused(world: &World, message: &str, count: usize) -> Result<()> {
    let told = answer(world.bot_reply(CONTACT, "hola").send().await?).await?;
    assert_eq!(told, (409, json!({ "success": false, "message": message })));
    assert_eq!(world.stored().await?.len(), count, "nothing is stored");
    Ok(())
}

#[tokio::test]
async fn kon_10_a_bots_reply_is_taken_only_while_nobody_else_answers() -> Result<()> {
    let world = World::start().await?;
    is_taken(&world, 1).await?;
    for status in [ChatStatus::Waiting, ChatStatus::Assigned] {
        chat(&world, status).await?;
        is_refused(&world, PERSON, 1).await?;
    }
    chat(&world, ChatStatus::Closed).await?;
    is_taken(&world, 2).await?;
    conversation(&world, true, false).await?;
    is_refused(&world, BUILTIN, 2).await?;
    conversation(&world, true, true).await?;
    is_refused(&world, PERSON, 2).await?;
    conversation(&world, false, false).await?;
    is_taken(&world, 3).await?;
    let other = world.bot_reply("5491100000002", "hola").send().await?;
    assert_eq!(other.status(), 404, "another contact is another conversation");
    let metrics = world.get("/metrics").send().await?.text().await?;
    for responder in ["person", "builtin"] {
        let expected = format!("chasqui_ingest_bot_replies_refused_total{{responder=\"{responder}\"}}");
        assert!(metrics.contains(&expected), "{expected} is missing in {metrics}");
    }
    world.stop().await
}

#[tokio::test]
async fn shc_14_what_is_sent_through_the_shared_client_is_taken_whoever_answers() -> Result<()> {
    let world = World::start().await?;
    let whatsapp = Whatsapp::start(&world).await?;
    whatsapp.stands("default", "", NUMBER, SessionStatus::Connected);
    let sender = NewKey::generate();
    tell(&world, key(&sender, "default", "send")).await?;
    let send = |key: &str| {
        let body = json!({ "to": CONTACT, "message": "su turno es mañana" });
        world.post("/api/whatsapp/send").header("x-api-key", key).json(&body)
    };
    until("the key sends", 200, || send(sender.secret.expose_secret())).await;
    chat(&world, ChatStatus::Assigned).await?;
    for key in [API_KEY, sender.secret.expose_secret()] {
        assert_eq!(send(key).send().await?.status(), 200, "a notice is no answer");
    }
    whatsapp.stop().await;
    world.stop().await
}

#[tokio::test]
async fn kon_10_of_a_contact_nobody_knows_its_tenant_says_who_answers() -> Result<()> {
    let builtin = Config { responder: Responder::Builtin, ..config() };
    let world = World::start_with(builtin, NatsOptions::default()).await?;
    is_refused(&world, BUILTIN, 0).await?;
    let external = |responder: Responder| {
        let tenant = "default".to_owned();
        Entry::Tenant(TenantEntry { tenant, responder: responder.into(), ..TenantEntry::default() })
    };
    tell(&world, external(Responder::External)).await?;
    until("the tenant's own choice counts", 404, || world.bot_reply(CONTACT, "hola")).await;
    chat(&world, ChatStatus::Assigned).await?;
    is_refused(&world, PERSON, 1).await?;
    world.stop().await
}

#[tokio::test]
async fn kon_10_a_reply_is_a_503_while_nobody_can_say_who_answers() -> Result<()> {
    let world = World::start().await?;
    let bus = bus(&world).await?;
    let states = bus.jetstream().get_stream(stream::STATE.name).await?;
    let config = states.cached_info().config.clone();
    let silent = async_nats::jetstream::stream::Config { allow_direct: false, ..config.clone() };
    bus.jetstream().update_stream(silent).await?;
    let response = world.bot_reply(CONTACT, "hola").send().await?;
    assert!(response.headers().contains_key("retry-after"));
    let (code, told) = answer(response).await?;
    assert_eq!((code, &told["success"]), (503, &Value::Bool(false)), "{told}");
    assert!(world.stored().await?.is_empty(), "nothing is stored");
    bus.jetstream().update_stream(config).await?;
    is_taken(&world, 1).await?;
    world.stop().await
}
