//! The owner of a WhatsApp number with the real `socket.io-client`; the test owns the numbers and the database.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use chasqui_kit::{Bus, Code, Coded, TraceContext, publish::Fact, serve::Responder};
use chasqui_proto::{
    ConversationToken, Tenant,
    service::{CONVERSATIONS_GET, CONVERSATIONS_LIST, MESSAGES_LIST, PERSISTENCE, SESSIONS_OPEN, WHATSAPP},
    subject::{self, NodeToken},
    v1::{self, SessionStatus},
};
use chasqui_testkit::wait_for;
use futures::StreamExt;
use prost::Message as _;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    socketio_client::Client,
    world::{DEADLINE, Node, World, jwt},
};

const QR: &str = "data:image/png;base64,iVBORw0KGgo=";
const CONTACT: &str = "5491100000001@s.whatsapp.net";

#[derive(Debug, thiserror::Error)]
#[error("there is no such conversation")]
struct NotFound;

impl Coded for NotFound {
    fn code(&self) -> Code {
        Code::NotFound
    }
}

/// Who owns the numbers, and where the one of each account stands.
#[derive(Clone)]
struct Numbers {
    bus: Bus,
    status: Arc<Mutex<SessionStatus>>,
    /// How often a session was opened.
    opened: Arc<AtomicUsize>,
    _responder: Arc<Responder>,
}

impl Numbers {
    async fn start(world: &World) -> Self {
        let responder =
            Responder::start(&world.bus, WHATSAPP, "played by the test", CancellationToken::new());
        let responder = Arc::new(responder.await.unwrap());
        let status = Arc::new(Mutex::new(SessionStatus::Starting));
        let opened = Arc::default();
        let numbers = Self { bus: world.bus.clone(), status, opened, _responder: responder.clone() };
        let (status, opened) = (numbers.status.clone(), numbers.opened.clone());
        let open = move |question: v1::OpenSession, _| {
            assert_eq!(question.session, "main");
            let status = *status.lock().unwrap();
            opened.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Ok::<_, NotFound>(session(&question.tenant, status, 1)))
        };
        responder.endpoint(SESSIONS_OPEN, open).await.unwrap();
        numbers
    }

    /// Tells everyone where the session of an account stands now.
    async fn tell(&self, tenant: &str, status: SessionStatus, version: u64) {
        *self.status.lock().unwrap() = status;
        let state = session(tenant, status, version);
        let subject = subject::sessions_updated(&tenant.parse().unwrap(), &NodeToken::new("main"));
        let id = format!("{tenant}-{version}");
        self.bus.publish(Fact::new(subject, &state, id, TraceContext::root())).await.unwrap();
    }
}

fn session(tenant: &str, status: SessionStatus, version: u64) -> v1::Session {
    let qr = if status == SessionStatus::ScanQr { QR } else { "" };
    v1::Session {
        tenant: tenant.to_owned(),
        id: "main".to_owned(),
        status: status.into(),
        qr: qr.to_owned(),
        reason: if status == SessionStatus::Failed { "no_connector".to_owned() } else { String::new() },
        version,
        ..v1::Session::default()
    }
}

fn conversation(tenant: &str) -> v1::Conversation {
    v1::Conversation {
        id: "0d9a4a5e-0000-4000-8000-000000000001".to_owned(),
        tenant: tenant.to_owned(),
        token: "5491100000001".to_owned(),
        unread_count: 2,
        started_at_ms: 1_700_000_000_000,
        channel: Some(v1::Channel {
            kind: v1::ChannelKind::WhatsappLinked.into(),
            id: "main".to_owned(),
            ..v1::Channel::default()
        }),
        ..v1::Conversation::default()
    }
}

/// Persistence with one conversation, in the account of `u1`.
async fn one_conversation(world: &World) -> Responder {
    let responder = Responder::start(&world.bus, PERSISTENCE, "played by the test", CancellationToken::new());
    let responder = responder.await.unwrap();
    let get = |question: v1::GetConversation, _| {
        let known = question.tenant == "user-u1" && question.conversation == CONTACT;
        std::future::ready(if known { Ok(conversation("user-u1")) } else { Err(NotFound) })
    };
    responder.endpoint(CONVERSATIONS_GET, get).await.unwrap();
    let list = |question: v1::ListConversations, _| {
        let found = (question.tenant == "user-u1").then(|| conversation("user-u1"));
        let page = v1::ConversationPage { conversations: found.into_iter().collect(), next: String::new() };
        std::future::ready(Ok::<_, NotFound>(page))
    };
    responder.endpoint(CONVERSATIONS_LIST, list).await.unwrap();
    let messages = |question: v1::ListMessages, _| {
        let message = v1::Message {
            id: "m1".to_owned(),
            sender_type: v1::SenderType::User.into(),
            r#type: v1::MessageType::Text.into(),
            text: "hola".to_owned(),
            occurred_at_ms: 1_700_000_000_000,
            ..v1::Message::default()
        };
        let stored = v1::StoredMessage { message: Some(message), status: 0, seq: 1 };
        let page = v1::MessagePage { messages: vec![stored], next: String::new() };
        let known = question.tenant == "user-u1" && question.conversation == CONTACT;
        std::future::ready(if known { Ok(page) } else { Err(NotFound) })
    };
    responder.endpoint(MESSAGES_LIST, messages).await.unwrap();
    responder
}

async fn front_end(node: &Node) -> Client {
    let mut client = Client::at(&format!("http://{}", node.address), r#"{"transports":["websocket"]}"#);
    client.hears("connect").await;
    client
}

fn emit(client: &mut Client, name: &str, payload: &Value) {
    client.tell(&json!({ "emit": name, "arguments": [payload] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_14_wab_23_from_join_to_the_closed_session() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let numbers = Numbers::start(&world).await;
    let mut client = front_end(&node).await;
    emit(&mut client, "get-qr", &json!({ "token": jwt(&json!({ "id": "u1" })) }));
    // Answered before there is a QR: it comes as an event, once.
    wait_for(DEADLINE, "the session is opened", async || {
        (numbers.opened.load(Ordering::Relaxed) > 0).then_some(())
    })
    .await;
    // The QR of another account is not for this one.
    numbers.tell("user-u2", SessionStatus::Connected, 1).await;
    numbers.tell("user-u1", SessionStatus::ScanQr, 2).await;
    assert_eq!(client.hears_event("qr-code").await, QR);
    numbers.tell("user-u1", SessionStatus::Connected, 3).await;
    assert_eq!(client.hears_event("session-ready").await, json!({ "success": true }));

    // WAB-31: a front end that comes back, to whatever node, is told how its session stands.
    let other = Node::start(&world, "two", &[]).await;
    let mut again = front_end(&other).await;
    emit(&mut again, "join", &json!({ "token": jwt(&json!({ "id": "u1" })) }));
    assert_eq!(again.hears_event("session-ready").await, json!({ "success": true }));

    numbers.tell("user-u1", SessionStatus::LoggedOut, 4).await;
    for client in [&mut client, &mut again] {
        assert_eq!(client.hears_event("session-closed").await, json!({ "reason": "logged_out" }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_16_a_message_is_durable_before_it_is_called_sent() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let (numbers, _persistence) = (Numbers::start(&world).await, one_conversation(&world).await);
    let tenant: Tenant = "user-u1".parse().unwrap();
    let token: ConversationToken = "5491100000001".parse().unwrap();
    let out = subject::live(&subject::messages_out(&tenant, &token));
    let mut stored = world.bus.client().subscribe(out.as_str().to_owned()).await.unwrap();
    world.bus.barrier().await.unwrap();
    let mut client = front_end(&node).await;
    let whole = |conversation: &str| {
        json!({ "token": jwt(&json!({ "id": "u1" })), "conversationId": conversation, "textContent": "hola",
            "attachments": [] })
    };
    *numbers.status.lock().unwrap() = SessionStatus::ScanQr;
    emit(&mut client, "send-message", &whole(CONTACT));
    assert_eq!(client.hears_event("error").await, "WhatsApp no está conectado: escanee el código QR");
    numbers.tell("user-u1", SessionStatus::Connected, 1).await;
    client.hears_event("session-ready").await;
    emit(&mut client, "send-message", &whole(CONTACT));
    let sent = client.hears_event("message-sent").await;
    assert_eq!((&sent["success"], &sent["conversationId"]), (&json!(true), &json!(CONTACT)));
    let message = timeout(DEADLINE, stored.next()).await.unwrap().unwrap();
    let message = v1::Message::decode(message.payload).unwrap();
    assert_eq!(json!(message.id), sent["messageId"]);
    assert_eq!((message.text.as_str(), message.sender_id.as_str()), ("hola", "u1"));
    assert_eq!(message.channel.unwrap().id, "main");

    emit(&mut client, "send-message", &whole("5491100000002@s.whatsapp.net"));
    assert_eq!(client.hears_event("error").await, "Conversación no encontrada");
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_22_what_is_wrong_comes_as_a_bare_string_and_the_connection_stays() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let mut client = front_end(&node).await;
    for (name, payload, names) in [
        ("join", json!({}), "Falta el parámetro token"),
        ("join", json!("x"), "join espera un objeto {token}"),
        ("get-qr", json!({ "token": "x" }), "Token inválido"),
        (
            "get-qr",
            json!({ "token": jwt(&json!({ "id": "u1", "phone": "5491100000001" })) }),
            "Token inválido",
        ),
        ("send-message", json!({ "token": jwt(&json!({ "id": "u1" })) }), "conversationId"),
        ("get-qr", json!({ "token": jwt(&json!({ "id": "u1" })) }), "no está disponible"),
    ] {
        emit(&mut client, name, &payload);
        let error = client.hears_event("error").await;
        assert!(error.as_str().is_some_and(|error| error.contains(names)), "{error} should say {names}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_09_to_wab_13_the_same_over_http() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("users_are_staff", "false")]).await;
    let (numbers, _persistence) = (Numbers::start(&world).await, one_conversation(&world).await);
    let get = async |path: &str, token: Option<String>| {
        let request = reqwest::Client::new().get(format!("http://{}/api/whatsapp/{path}", node.address));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    let (u1, u2) = (|| Some(jwt(&json!({ "id": "u1" }))), || Some(jwt(&json!({ "id": "u2" }))));

    *numbers.status.lock().unwrap() = SessionStatus::ScanQr;
    let (status, body) = get("qr", u1()).await;
    assert_eq!(
        (status, &body["data"]["qr"], &body["connected"]),
        (StatusCode::OK, &json!(QR), &json!(false))
    );
    *numbers.status.lock().unwrap() = SessionStatus::Connected;
    assert_eq!(get("qr", u1()).await.1["connected"], true);

    let (_, body) = get("get_conversations", u1()).await;
    assert_eq!(body["conversations"][0]["external_id"], CONTACT);
    assert_eq!(body["conversations"][0]["unread_count"], 2);
    assert_eq!(get("get_conversations", u2()).await.1["conversations"], json!([]), "WAB-27");
    let tenants = |role: &str| Some(jwt(&json!({ "id": "u3", "tenant": "user-u1", "role": role })));
    assert_eq!(
        get("get_conversations", tenants("user")).await.0,
        StatusCode::UNAUTHORIZED,
        "its staff's alone"
    );
    assert_eq!(
        get("get_conversations", tenants("staff")).await.1["conversations"][0]["external_id"],
        CONTACT
    );
    let (_, body) = get(&format!("get_messages?conversationId={CONTACT}"), u1()).await;
    assert_eq!(
        body["messages"][0],
        json!({ "id": "m1", "sender_type": "user", "message_type": "text", "text_content": "hola",
            "media_url": null, "created_at": "2023-11-14T22:13:20.000Z", "direction": "" })
    );
    for (path, token, status, names) in [
        ("qr", None, StatusCode::UNAUTHORIZED, "Authorization"),
        ("get_conversations", Some("x".to_owned()), StatusCode::UNAUTHORIZED, "Token inválido"),
        ("get_messages", u1(), StatusCode::BAD_REQUEST, "conversationId"),
        ("get_messages?conversationId=1&limit=0", u1(), StatusCode::BAD_REQUEST, "limit"),
        ("get_messages?conversationId=5491100000001", u2(), StatusCode::NOT_FOUND, "no encontrada"),
    ] {
        let (answered, body) = get(path, token).await;
        assert_eq!((answered, &body["success"]), (status, &json!(false)), "{path}");
        assert!(body["message"].as_str().unwrap().contains(names), "{path}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_39_who_waits_for_a_qr_is_told_why_there_will_be_none() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("users_are_staff", "false")]).await;
    let numbers = Numbers::start(&world).await;
    let token = jwt(&json!({ "id": "u1" }));
    let url = format!("http://{}/api/whatsapp/qr", node.address);
    let waiting = tokio::spawn(reqwest::Client::new().get(url).bearer_auth(token).send());
    wait_for(DEADLINE, "the session is opened", async || {
        (numbers.opened.load(Ordering::Relaxed) > 0).then_some(())
    })
    .await;
    numbers.tell("user-u1", SessionStatus::Failed, 2).await;
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body: Value = answer.json().await.unwrap();
    assert!(body["message"].as_str().unwrap().contains("no_connector"), "{body}");
}
