//! History over HTTP.

use chasqui_kit::{Code, Coded, serve::Responder};
use chasqui_proto::{
    service::{CONVERSATIONS_LIST, MESSAGES_LIST, PERSISTENCE},
    v1,
};
use reqwest::{Client, Method, RequestBuilder, header};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::world::{Node, World, jwt};

#[derive(Debug, thiserror::Error)]
#[error("conversation is unknown")]
struct Unknown;

impl Coded for Unknown {
    fn code(&self) -> Code {
        Code::NotFound
    }
}

/// Persistence as the test plays it: one conversation of `default`, and it remembers what it was asked.
async fn persistence(world: &World) -> Responder {
    let responder =
        Responder::start(&world.bus, PERSISTENCE, "the test", CancellationToken::new()).await.unwrap();
    let list = async |question: v1::ListConversations, _| {
        let conversation = v1::Conversation {
            tenant: question.tenant.clone(),
            token: "5491100000001".to_owned(),
            number: 7,
            unread_count: question.limit,
            ..v1::Conversation::default()
        };
        Ok::<_, Unknown>(v1::ConversationPage { conversations: vec![conversation], next: question.cursor })
    };
    responder
        .endpoint(CONVERSATIONS_LIST, move |question, trace| Box::pin(list(question, trace)))
        .await
        .unwrap();
    let messages = |question: v1::ListMessages, _| {
        let known = question.conversation == "7" && question.tenant == "default";
        let stored = v1::StoredMessage {
            message: Some(v1::Message { text: "hola".to_owned(), ..v1::Message::default() }),
            status: v1::Status::Read.into(),
            seq: 3,
        };
        let page = v1::MessagePage { messages: vec![stored], next: String::new() };
        std::future::ready(if known { Ok(page) } else { Err(Unknown) })
    };
    responder.endpoint(MESSAGES_LIST, messages).await.unwrap();
    world.bus.barrier().await.unwrap();
    responder
}

fn get(node: &Node, path: &str, tenant: &str) -> RequestBuilder {
    let token = jwt(&json!({ "id": 7, "tenant": tenant }));
    Client::new().get(format!("http://{}{path}", node.address)).bearer_auth(token)
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_14_a_client_that_polls_reads_the_same_as_one_that_listens() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let _persistence = persistence(&world).await;
    let (status, page) = answer(get(&node, "/api/conversations?limit=9&cursor=c", "default")).await;
    assert_eq!((status, &page["next"]), (200, &json!("c")));
    let conversation = &page["conversations"][0];
    assert_eq!((&conversation["id"], &conversation["unread_count"]), (&json!(7), &json!(9)));
    assert_eq!(conversation["external_id"], "5491100000001@s.whatsapp.net");
    let (status, page) = answer(get(&node, "/api/conversations/7/messages", "default")).await;
    assert_eq!((status, &page["next"]), (200, &Value::Null));
    assert_eq!(
        (&page["messages"][0]["text_content"], &page["messages"][0]["status"]),
        (&json!("hola"), &json!("read"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_says_why() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let (status, away) = answer(get(&node, "/api/conversations", "default")).await;
    assert_eq!((status, &away["code"]), (503, &json!("unavailable")));
    let _persistence = persistence(&world).await;
    // Another tenant's conversation is unknown to it.
    for (path, tenant) in
        [("/api/conversations/8/messages", "default"), ("/api/conversations/7/messages", "acme")]
    {
        let (status, unknown) = answer(get(&node, path, tenant)).await;
        assert_eq!((status, &unknown["message"]), (404, &json!("conversation is unknown")));
    }
    for query in ["limit=0", "limit=201", "limit=many"] {
        let (status, wrong) = answer(get(&node, &format!("/api/conversations?{query}"), "default")).await;
        assert_eq!(status, 400);
        assert!(wrong["message"].as_str().unwrap().contains("limit"), "{wrong}");
    }
    let url = format!("http://{}/api/conversations", node.address);
    for request in [Client::new().get(&url), Client::new().get(&url).bearer_auth("a.b.c")] {
        let (status, refused) = answer(request).await;
        assert_eq!((status, &refused["success"]), (401, &json!(false)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_22_wab_08_only_pages_of_the_allowed_origins_may_read_and_connect() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("allowed_origins", "https://app.example.org")]).await;
    let url = format!("http://{}/api/conversations", node.address);
    let preflight = async |origin: &str| {
        let request = Client::new()
            .request(Method::OPTIONS, &url)
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "GET")
            .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization");
        let headers = request.send().await.unwrap().headers().clone();
        let name = |header| headers.get(header).map(|value| value.to_str().unwrap().to_owned());
        (name(header::ACCESS_CONTROL_ALLOW_ORIGIN), name(header::ACCESS_CONTROL_ALLOW_CREDENTIALS))
    };
    let allowed = (Some("https://app.example.org".to_owned()), Some("true".to_owned()));
    assert_eq!(preflight("https://app.example.org").await, allowed);
    assert_eq!(preflight("https://evil.example.org").await.0, None);
    let socket = Client::new()
        .get(format!("http://{}/ws", node.address))
        .header(header::ORIGIN, "https://evil.example.org")
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(socket.send().await.unwrap().status(), 403);
}
