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
    v1::{Alias, AliasKind, Contact, Direction, Message, MessageType, SenderType, SessionStatus},
};
use chasqui_testkit::wait_for;
use chasqui_whatsapp::Config;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{CONTACT, PHONE, SOON, TENANT, World, config, refusal, tenant};

const NUMBER: &str = "100000000000001";

/// A Graph API with one number, whose token may be revoked.
#[derive(Clone, Debug, Default)]
struct Graph {
    is_revoked: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Value>>>,
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
    let id = format!("wamid.{}", Uuid::now_v7().simple());
    let answer = graph.answer(json!({ "messages": [{ "id": id }] }));
    if answer.status().is_success() {
        graph.sent.lock().expect("no holder of this lock panics").push(body);
    }
    answer
}

async fn write(world: &World, text: &str) {
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
        ..Message::default()
    };
    world.publish(subject::messages_out(&tenant(), &conversation), &message, &message.id).await;
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
    // The same version: it was nothing else in between.
    assert_eq!(world.close(NUMBER).await?, closed);
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
