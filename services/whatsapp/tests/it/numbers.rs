use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Result;
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chasqui_kit::Code;
use chasqui_proto::{
    ConversationToken, subject,
    v1::{
        Alias, AliasKind, Channel, ChannelKind, Contact, Direction, Message, MessageStatus, MessageType,
        Priority, ProviderError, SenderType, SessionStatus, Status,
    },
};
use chasqui_testkit::wait_for;
use chasqui_whatsapp::Config;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{CONTACT, PHONE, SOON, TENANT, World, config, refusal, tenant};

const NUMBER: &str = "100000000000001";

/// A Graph API with one number, whose token may be revoked, and which may be held to send spam.
#[derive(Clone, Debug, Default)]
struct Graph {
    is_revoked: Arc<AtomicBool>,
    is_spam: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Value>>>,
    ids: Arc<Mutex<Vec<String>>>,
}

impl Graph {
    async fn start(is_revoked: bool) -> Result<(Self, Config)> {
        let graph = Self { is_revoked: Arc::new(AtomicBool::new(is_revoked)), ..Self::default() };
        let routes = Router::new()
            .route("/v23.0/{id}", get(show))
            .route("/v23.0/{id}/messages", post(send))
            .with_state(graph.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let graph_url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(axum::serve(listener, routes).into_future());
        let (access_token, phone_number_id) = (Some("token".into()), Some(NUMBER.to_owned()));
        Ok((graph, Config { graph_url, access_token, phone_number_id, ..config() }))
    }

    fn revoke(&self, is_revoked: bool) {
        self.is_revoked.store(is_revoked, Ordering::Relaxed);
    }

    fn answer(&self, body: Value) -> Response {
        if !self.is_revoked.load(Ordering::Relaxed) {
            return Json(body).into_response();
        }
        let error =
            json!({ "message": "Error validating access token", "type": "OAuthException", "code": 190 });
        (StatusCode::UNAUTHORIZED, Json(json!({ "error": error }))).into_response()
    }

    /// The ids that taken messages were given.
    fn ids(&self) -> Vec<String> {
        self.ids.lock().expect("no holder of this lock panics").clone()
    }

    /// The texts that were taken.
    fn texts(&self) -> Vec<Value> {
        self.sent
            .lock()
            .expect("no holder of this lock panics")
            .iter()
            .map(|body| body["text"]["body"].clone())
            .collect()
    }
}

async fn show(State(graph): State<Graph>) -> Response {
    graph.answer(json!({ "id": NUMBER, "display_phone_number": format!("+{PHONE}") }))
}

async fn send(State(graph): State<Graph>, Json(body): Json<Value>) -> Response {
    if graph.is_spam.load(Ordering::Relaxed) {
        let error = json!({ "message": "Spam rate limit hit", "type": "OAuthException", "code": 131_048 });
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    }
    let id = format!("wamid.{}", Uuid::now_v7().simple());
    let answer = graph.answer(json!({ "messages": [{ "id": &id }] }));
    if answer.status().is_success() {
        graph.ids.lock().expect("no holder of this lock panics").push(id);
        graph.sent.lock().expect("no holder of this lock panics").push(body);
    }
    answer
}

async fn write(world: &World, text: &str) -> String {
    publish(world, text, Priority::Reply).await
}

async fn publish(world: &World, text: &str, priority: Priority) -> String {
    let conversation: ConversationToken = CONTACT.parse().expect("it is a conversation");
    let alias = Alias { kind: AliasKind::Phone.into(), value: CONTACT.to_owned() };
    let message = Message {
        id: Uuid::now_v7().to_string(),
        tenant: TENANT.to_owned(),
        conversation: CONTACT.to_owned(),
        contact: Some(Contact { aliases: vec![alias], ..Contact::default() }),
        direction: Direction::Out.into(),
        sender_type: SenderType::Agent.into(),
        r#type: MessageType::Text.into(),
        text: text.to_owned(),
        priority: priority.into(),
        ..Message::default()
    };
    world.publish(subject::messages_out(&tenant(), &conversation), &message, &message.id).await;
    message.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_whose_token_is_refused_says_so_and_its_messages_wait() -> Result<()> {
    let (graph, config) = Graph::start(true).await?;
    let world = World::start().await?;
    let _replica = world.replica("whatsapp-1", config).await?;
    let failed = world.becomes(NUMBER, SessionStatus::Failed).await;
    assert!(failed.reason.contains("190"), "{failed:?}");
    // It is the default session of its tenant, also while it cannot send.
    assert_eq!(world.get("").await?.id, NUMBER);
    write(&world, "one").await;
    graph.revoke(false);
    world.open(NUMBER).await?;
    let ready = world.becomes(NUMBER, SessionStatus::Connected).await;
    assert_eq!(ready.phone, PHONE);
    wait_for(SOON, "what waited is sent", async || (graph.texts() == ["one"]).then_some(())).await;
    // The token is revoked while it works.
    graph.revoke(true);
    write(&world, "two").await;
    let failed = world.becomes(NUMBER, SessionStatus::Failed).await;
    assert!(failed.reason.contains("190"), "{failed:?}");
    graph.revoke(false);
    world.open(NUMBER).await?;
    wait_for(SOON, "what waited is sent", async || (graph.texts() == ["one", "two"]).then_some(())).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_whose_message_is_given_up_for_the_number_s_sake_stops_and_says_so() -> Result<()> {
    let (graph, config) = Graph::start(false).await?;
    let world = World::start().await?;
    let _replica = world.replica("whatsapp-1", config).await?;
    world.becomes(NUMBER, SessionStatus::Connected).await;
    let id = write(&world, "one").await;
    wait_for(SOON, "it is sent", async || (graph.texts() == ["one"]).then_some(())).await;
    // Minutes later, by webhook.
    let error = ProviderError {
        code: 131_042,
        title: "Business eligibility payment issue".to_owned(),
        ..ProviderError::default()
    };
    let status = MessageStatus {
        id: Uuid::now_v7().to_string(),
        tenant: TENANT.to_owned(),
        conversation: CONTACT.to_owned(),
        message_id: id,
        provider_message_id: graph.ids().pop().expect("it has one"),
        status: Status::Failed.into(),
        channel: Some(Channel {
            kind: ChannelKind::WhatsappCloud.into(),
            id: NUMBER.to_owned(),
            ..Channel::default()
        }),
        errors: vec![error],
        occurred_at_ms: chasqui_kit::clock::now_ms(),
        ..MessageStatus::default()
    };
    let conversation = CONTACT.parse().expect("it is a conversation");
    world.publish(subject::messages_status(&tenant(), &conversation), &status, &status.id).await;
    let failed = world.becomes(NUMBER, SessionStatus::Failed).await;
    assert_eq!(failed.reason, "Business eligibility payment issue (131042)");
    write(&world, "two").await;
    world.open(NUMBER).await?;
    wait_for(SOON, "what waited is sent", async || (graph.texts() == ["one", "two"]).then_some(())).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_whose_campaigns_are_refused_says_so_and_the_next_owner_holds_them_back_too() -> Result<()> {
    let (graph, config) = Graph::start(false).await?;
    let world = World::start().await?;
    let replica = world.replica("whatsapp-1", config.clone()).await?;
    let connected = world.becomes(NUMBER, SessionStatus::Connected).await;
    assert_eq!(connected.campaigns_halted, "");
    graph.is_spam.store(true, Ordering::Relaxed);
    let began_ms = chasqui_kit::clock::now_ms();
    publish(&world, "offer one", Priority::Campaign).await;
    let halted = wait_for(SOON, "the state says so", async || {
        world.state(NUMBER).await.filter(|state| !state.campaigns_halted.is_empty())
    })
    .await;
    assert!(halted.campaigns_halted.ends_with("(131048)"), "{halted:?}");
    assert_eq!(halted.status(), SessionStatus::Connected);
    assert!(halted.campaigns_halted_at_ms >= began_ms && halted.version > connected.version);
    let pause_ms = halted.campaigns_halted_until_ms - halted.campaigns_halted_at_ms;
    assert_eq!(pause_ms, 15 * 60 * 1_000);
    wait_for(SOON, "whoever asks is told", async || (world.get(NUMBER).await.ok()? == halted).then_some(()))
        .await;
    // Answers go on; so they do after the session went to another owner.
    graph.is_spam.store(false, Ordering::Relaxed);
    write(&world, "answer one").await;
    wait_for(SOON, "an answer is sent", async || (graph.texts() == ["answer one"]).then_some(())).await;
    replica.stop().await?;
    let _replica = world.replica("whatsapp-2", config).await?;
    publish(&world, "offer two", Priority::Campaign).await;
    write(&world, "answer two").await;
    let both = ["answer one", "answer two"];
    wait_for(SOON, "an answer is sent", async || (graph.texts() == both).then_some(())).await;
    let state = world.state(NUMBER).await.expect("it is stored");
    assert_eq!(state.campaigns_halted_until_ms, halted.campaigns_halted_until_ms);
    assert_eq!(graph.texts(), both);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_closed_stays_closed_over_restarts_until_it_is_opened() -> Result<()> {
    let (_graph, config) = Graph::start(false).await?;
    let world = World::start().await?;
    let replica = world.replica("whatsapp-1", config.clone()).await?;
    world.becomes(NUMBER, SessionStatus::Connected).await;
    let closed = world.close(NUMBER).await?;
    assert_eq!((closed.status(), closed.reason.as_str()), (SessionStatus::Stopped, "closed"));
    replica.stop().await?;
    let _replica = world.replica("whatsapp-2", config).await?;
    wait_for(SOON, "the next owner has it", async || {
        (world.holder(NUMBER).await? == "whatsapp-2").then_some(())
    })
    .await;
    // It answers a moment after it has the lease. The same version: it was nothing else in between.
    let again = wait_for(SOON, "the next owner answers", async || world.close(NUMBER).await.ok()).await;
    assert_eq!(again, closed);
    world.open(NUMBER).await?;
    world.becomes(NUMBER, SessionStatus::Connected).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_without_a_token_says_so() -> Result<()> {
    let (_graph, config) = Graph::start(false).await?;
    let world = World::start().await?;
    let config = Config { access_token: None, ..config };
    let _replica = world.replica("whatsapp-1", config).await?;
    let failed = world.becomes(NUMBER, SessionStatus::Failed).await;
    assert_eq!(failed.reason, "no_token");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_sends_nothing_until_it_is_let_in_again() -> Result<()> {
    let (graph, config) = Graph::start(false).await?;
    let world = World::start().await?;
    let _replica = world.replica("whatsapp-1", config).await?;
    world.becomes(NUMBER, SessionStatus::Connected).await;
    world.suspend(true).await;
    let stopped = world.becomes(NUMBER, SessionStatus::Stopped).await;
    assert_eq!(stopped.reason, "suspended");
    write(&world, "one").await;
    let (code, text) = refusal(world.open(NUMBER).await);
    assert_eq!((code, text.starts_with("tenant")), (Code::Forbidden, true), "{text}");
    world.suspend(false).await;
    wait_for(SOON, "what waited is sent", async || (graph.texts() == ["one"]).then_some(())).await;
    Ok(())
}
