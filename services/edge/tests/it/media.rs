//! Files of messages: brought by front ends, shown to them, fetched when they are not here yet.

use bytes::Bytes;
use chasqui_kit::{Code, Coded, TraceContext, publish::Fact, serve::Responder};
use chasqui_media::{Config, FileId, Incoming, MediaError, MediaStore, Properties};
use chasqui_proto::{
    service::{
        CONVERSATIONS_GET, MEDIA_FETCH, MESSAGES_GET, MESSAGES_LIST, PERSISTENCE, SESSIONS_OPEN, WHATSAPP,
    },
    subject::{self, NodeToken},
    v1::{self, SessionStatus},
};
use futures::StreamExt;
use prost::Message as _;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    socketio_client,
    world::{DEADLINE, Node, World, jwt, token},
};

const CONTACT: &str = "5491100000001";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0 a picture";

#[derive(Debug, thiserror::Error)]
#[error("there is no such thing")]
struct NotFound;

impl Coded for NotFound {
    fn code(&self) -> Code {
        Code::NotFound
    }
}

fn media() -> (TempDir, Config) {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        store: directory.path().display().to_string(),
        url_key: Some("a-key-for-addresses".into()),
        image_bytes_max: 1_000,
        sticker_bytes_max: 1_000,
        ..Config::default()
    };
    (directory, config)
}

/// What a contact sent, as the provider tells it.
fn picture(tenant: &str) -> v1::Message {
    v1::Message {
        id: uuid::Uuid::now_v7().to_string(),
        tenant: tenant.to_owned(),
        conversation: CONTACT.to_owned(),
        channel: Some(v1::Channel {
            kind: v1::ChannelKind::WhatsappCloud.into(),
            id: "102290129340398".to_owned(),
            ..v1::Channel::default()
        }),
        direction: v1::Direction::In.into(),
        sender_type: v1::SenderType::User.into(),
        r#type: v1::MessageType::Image.into(),
        media: Some(v1::Media {
            id: "900000000000009".to_owned(),
            mime_type: "image/jpeg".to_owned(),
            url: "https://provider.example.com/secret".to_owned(),
            ..v1::Media::default()
        }),
        occurred_at_ms: 1_700_000_000_000,
        received_at_ms: 1_700_000_000_000,
        ..v1::Message::default()
    }
}

/// Persistence with one conversation and one message in it.
async fn persistence(world: &World, message: v1::Message) -> Responder {
    let responder = Responder::start(&world.bus, PERSISTENCE, "the test", CancellationToken::new()).await;
    let responder = responder.unwrap();
    let conversation = v1::Conversation {
        tenant: message.tenant.clone(),
        token: CONTACT.to_owned(),
        channel: message.channel.clone(),
        ..v1::Conversation::default()
    };
    let stored = v1::StoredMessage { message: Some(message.clone()), ..v1::StoredMessage::default() };
    let get = move |question: v1::GetConversation, _| {
        let is_known = question.tenant == conversation.tenant;
        std::future::ready(is_known.then(|| conversation.clone()).ok_or(NotFound))
    };
    responder.endpoint(CONVERSATIONS_GET, get).await.unwrap();
    let page = v1::MessagePage { messages: vec![stored.clone()], next: String::new() };
    let list = move |_: v1::ListMessages, _| std::future::ready(Ok::<_, NotFound>(page.clone()));
    responder.endpoint(MESSAGES_LIST, list).await.unwrap();
    let one = move |question: v1::GetMessage, _| {
        let is_known = (&question.tenant, &question.message_id) == (&message.tenant, &message.id);
        std::future::ready(is_known.then(|| stored.clone()).ok_or(NotFound))
    };
    responder.endpoint(MESSAGES_GET, one).await.unwrap();
    responder
}

/// The owner of the numbers: it has every file, and tells which it was asked for.
async fn numbers(world: &World, config: &Config) -> (Responder, mpsc::UnboundedReceiver<v1::FetchMedia>) {
    let responder = Responder::start(&world.bus, WHATSAPP, "the test", CancellationToken::new()).await;
    let responder = responder.unwrap();
    let (asked, questions) = mpsc::unbounded_channel();
    let store = MediaStore::open(config).unwrap();
    let fetch = move |question: v1::FetchMedia, _| {
        let store = store.clone();
        asked.send(question.clone()).unwrap();
        async move {
            let properties = Properties { mime_type: "image/jpeg".to_owned(), filename: String::new() };
            let incoming = Incoming { properties, bytes_max: 1_000, sha256: None };
            let (tenant, id) = (question.tenant.parse().unwrap(), question.message_id.parse().unwrap());
            let content = futures::stream::iter([Ok::<_, MediaError>(Bytes::from_static(JPEG))]);
            store.put(&tenant, id, incoming, content).await
        }
    };
    responder.endpoint(MEDIA_FETCH, fetch).await.unwrap();
    (responder, questions)
}

/// What is written to the contact.
async fn written(world: &World, tenant: &str) -> async_nats::Subscriber {
    let out = subject::live(&subject::messages_out(&tenant.parse().unwrap(), &token(CONTACT)));
    let heard = world.bus.client().subscribe(out.as_str().to_owned()).await.unwrap();
    world.bus.barrier().await.unwrap();
    heard
}

async fn next(heard: &mut async_nats::Subscriber) -> v1::Message {
    let message = timeout(DEADLINE, heard.next()).await.unwrap().unwrap();
    v1::Message::decode(message.payload).unwrap()
}

async fn upload(
    node: &Node,
    path: &str,
    mime_type: &str,
    bytes: Vec<u8>,
    token: &str,
) -> (StatusCode, Value) {
    let request = Client::new().post(format!("http://{}{path}", node.address)).bearer_auth(token);
    let response = request.header("content-type", mime_type).body(bytes).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contacts_picture_is_shown_under_our_own_address_and_fetched_when_somebody_looks() {
    let world = World::start().await;
    let (_directory, config) = media();
    let one = Node::start_with_media(&world, "one", &config).await;
    let other = Node::start_with_media(&world, "two", &config).await;
    let message = picture("default");
    let _persistence = persistence(&world, message.clone()).await;
    let (_numbers, mut asked) = numbers(&world, &config).await;
    let mut staff = one.staff("default", None).await;
    let connected = staff.frame().await;
    let subject = subject::messages_in(&world.tenant, &token(CONTACT));
    world.bus.publish(Fact::new(subject, &message, message.id.clone(), TraceContext::root())).await.unwrap();
    let shown = staff.frame().await;
    let url = shown["data"]["message"]["media"]["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&format!("/media/default/{}?expires=", message.id)), "{url}");
    assert_eq!(shown["data"]["conversation"]["last_message"]["media"]["url"], url);

    // Who comes back to another node is shown it there, from what is stored.
    let (epoch, since) = (connected["data"]["epoch"].as_str().unwrap(), connected["seq"].as_u64().unwrap());
    let mut back = other.staff("default", Some((epoch, since))).await;
    assert_eq!(back.frame().await["data"]["recovered"], true);
    let again = back.frame().await;
    let again = again["data"]["message"]["media"]["url"].as_str().unwrap();
    assert!(again.starts_with(&format!("/media/default/{}?", message.id)), "{again}");

    // Any node has it fetched, once.
    for _ in 0..2 {
        let response = reqwest::get(format!("http://{}{url}", other.address)).await.unwrap();
        assert_eq!(
            (response.status(), &response.headers()["content-type"]),
            (StatusCode::OK, &"image/jpeg".parse().unwrap())
        );
        assert_eq!(response.bytes().await.unwrap(), JPEG);
    }
    let question = asked.recv().await.unwrap();
    assert_eq!((question.session.as_str(), &question.message_id), ("102290129340398", &message.id));
    assert_eq!(question.media.unwrap().id, "900000000000009");
    assert!(asked.try_recv().is_err());

    let forged = url.replace("/default/", "/other/");
    let response = reqwest::get(format!("http://{}{forged}", one.address)).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    // The same in what is read over HTTP.
    let token = jwt(&json!({ "id": "agent-1", "tenant": "default" }));
    let path = format!("http://{}/api/conversations/{CONTACT}/messages", one.address);
    let page: Value = Client::new().get(path).bearer_auth(token).send().await.unwrap().json().await.unwrap();
    assert_eq!(page["messages"][0]["media"]["url"], url);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_staff_uploads_goes_out_with_its_message() {
    let world = World::start().await;
    let (_directory, config) = media();
    let node = Node::start_with_media(&world, "one", &config).await;
    let _persistence = persistence(&world, picture("default")).await;
    let mut heard = written(&world, "default").await;
    let staff = jwt(&json!({ "id": "agent-1", "tenant": "default" }));
    let (status, file) =
        upload(&node, "/api/media?filename=foto.jpg", "image/jpeg", JPEG.to_vec(), &staff).await;
    assert_eq!(
        (status, &file["mime_type"], &file["size"]),
        (StatusCode::CREATED, &json!("image/jpeg"), &json!(JPEG.len()))
    );
    let shown =
        reqwest::get(format!("http://{}{}", node.address, file["url"].as_str().unwrap())).await.unwrap();
    assert_eq!(shown.bytes().await.unwrap(), JPEG);

    let mut client = node.staff("default", None).await;
    assert_eq!(client.frame().await["type"], "connected");
    let attachment = json!({ "id": file["id"] });
    let data = json!({ "conversation_id": CONTACT, "text": "mirá", "attachment": attachment });
    client.say(&json!({ "type": "send_message", "data": data })).await;
    let message = next(&mut heard).await;
    let sent = message.media.clone().unwrap();
    assert_eq!((message.r#type(), message.text.as_str()), (v1::MessageType::Image, "mirá"));
    assert_eq!(
        (json!(sent.id), sent.filename.as_str(), sent.url.as_str()),
        (file["id"].clone(), "foto.jpg", "")
    );
    assert_eq!(message.channel.unwrap().id, "102290129340398", "the number the conversation is known by");
    let absent = json!({ "conversation_id": CONTACT, "attachment": { "id": FileId::now().to_string() } });
    client.say(&json!({ "type": "send_message", "data": absent })).await;
    let refused = loop {
        let frame = client.frame().await;
        if frame["type"] == "error" {
            break frame;
        }
    };
    assert_eq!(refused["data"]["code"], "not_found");

    let form =
        "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n%PDF\r\n--x--\r\n";
    let (status, file) =
        upload(&node, "/api/media", "multipart/form-data; boundary=x", form.into(), &staff).await;
    assert_eq!(
        (status, &file["mime_type"], &file["filename"]),
        (StatusCode::CREATED, &json!("application/pdf"), &json!("a.pdf"))
    );
    let contact = jwt(&json!({ "id": CONTACT, "phone": CONTACT, "tenant": "default" }));
    for (mime_type, bytes, token, status, names) in [
        ("image/jpeg", JPEG.to_vec(), "x", StatusCode::UNAUTHORIZED, ""),
        ("image/jpeg", JPEG.to_vec(), &*contact, StatusCode::FORBIDDEN, ""),
        ("image/jpeg", Vec::new(), &*staff, StatusCode::BAD_REQUEST, "file: "),
        ("image/jpeg", vec![0; 1_001], &*staff, StatusCode::PAYLOAD_TOO_LARGE, "1000"),
        ("multipart/form-data; boundary=y", form.into(), &*staff, StatusCode::BAD_REQUEST, "form"),
        ("multipart/form-data", form.into(), &*staff, StatusCode::BAD_REQUEST, "form"),
    ] {
        let (answered, body) = upload(&node, "/api/media", mime_type, bytes, token).await;
        assert_eq!(answered, status, "{body}");
        assert!(body["message"].as_str().unwrap().contains(names), "{body}");
    }
}

/// What the account's session is told to be, once it was asked for.
async fn opens(world: &World, tenant: &str, status: SessionStatus) -> Responder {
    let responder = Responder::start(&world.bus, WHATSAPP, "the test", CancellationToken::new()).await;
    let (responder, bus, tenant) = (responder.unwrap(), world.bus.clone(), tenant.to_owned());
    let open = move |_: v1::OpenSession, _| {
        let (bus, tenant) = (bus.clone(), tenant.clone());
        async move {
            let session = |status: SessionStatus, version| v1::Session {
                tenant: tenant.clone(),
                id: "main".to_owned(),
                status: status.into(),
                version,
                ..v1::Session::default()
            };
            let told = session(status, 2);
            let subject = subject::sessions_updated(&tenant.parse().unwrap(), &NodeToken::new("main"));
            bus.publish(Fact::new(subject, &told, "told".to_owned(), TraceContext::root())).await.unwrap();
            Ok::<_, NotFound>(session(SessionStatus::Starting, 1))
        }
    };
    responder.endpoint(SESSIONS_OPEN, open).await.unwrap();
    responder
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_16_wab_32_a_device_sends_files_through_a_session_that_is_started_for_it() {
    let world = World::start().await;
    let (_directory, config) = media();
    let node = Node::start_with_media(&world, "one", &config).await;
    let _persistence = persistence(&world, picture("user-u1")).await;
    let _numbers = opens(&world, "user-u1", SessionStatus::Connected).await;
    let mut heard = written(&world, "user-u1").await;
    let owner = jwt(&json!({ "id": "u1" }));
    let (status, file) = upload(&node, "/api/whatsapp/media", "image/png", JPEG.to_vec(), &owner).await;
    assert_eq!(status, StatusCode::CREATED, "{file}");
    let (status, refused) = upload(&node, "/api/whatsapp/media", "image/png", JPEG.to_vec(), "x").await;
    assert_eq!((status, &refused["success"]), (StatusCode::UNAUTHORIZED, &json!(false)));

    let mut client =
        socketio_client::Client::at(&format!("http://{}", node.address), r#"{"transports":["websocket"]}"#);
    client.hears("connect").await;
    let mut send = |attachments: Value| {
        let payload = json!({ "token": owner, "conversationId": CONTACT, "textContent": "hola",
            "attachments": attachments });
        client.tell(&json!({ "emit": "send-message", "arguments": [payload] }));
    };
    send(json!([
        { "id": file["id"] },
        { "url": "https://example.com/nota.ogg" },
        { "data": "aG9sYQ==", "mimetype": "text/plain", "filename": "hola.txt" },
    ]));
    let (picture, voice, text) = (next(&mut heard).await, next(&mut heard).await, next(&mut heard).await);
    assert_eq!((picture.r#type(), picture.text.as_str()), (v1::MessageType::Image, "hola"));
    assert_eq!(json!(picture.media.unwrap().id), file["id"]);
    let link = voice.media.clone().unwrap();
    assert_eq!((voice.r#type(), link.url.as_str()), (v1::MessageType::Audio, "https://example.com/nota.ogg"));
    let kept = text.media.clone().unwrap();
    assert_eq!(
        (text.r#type(), kept.filename.as_str(), kept.size_bytes),
        (v1::MessageType::Document, "hola.txt", 4)
    );
    let id: FileId = kept.id.parse().unwrap();
    MediaStore::open(&config).unwrap().head(&"user-u1".parse().unwrap(), id).await.unwrap();

    send(json!([{ "id": FileId::now().to_string() }]));
    assert_eq!(client.hears_event("session-ready").await["success"], true);
    assert_eq!(client.hears_event("message-sent").await["success"], true);
    assert_eq!(client.hears_event("error").await, "attachments[0].id: no existe ese archivo");
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_32_a_session_that_wants_to_be_scanned_first_refuses() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let _persistence = persistence(&world, picture("user-u1")).await;
    let _numbers = opens(&world, "user-u1", SessionStatus::ScanQr).await;
    let mut client =
        socketio_client::Client::at(&format!("http://{}", node.address), r#"{"transports":["websocket"]}"#);
    client.hears("connect").await;
    let owner = jwt(&json!({ "id": "u1" }));
    let payload = json!({ "token": owner, "conversationId": CONTACT, "textContent": "hola" });
    client.tell(&json!({ "emit": "send-message", "arguments": [payload] }));
    assert_eq!(client.hears_event("error").await, "WhatsApp no está conectado: escanee el código QR");
}

/// WAB-25: `media_url` beside the text.
#[tokio::test(flavor = "multi_thread")]
async fn wab_25_a_devices_message_tells_where_its_file_is_shown() {
    let world = World::start().await;
    let (_directory, config) = media();
    let node = Node::start_with_media(&world, "one", &config).await;
    let message = picture("user-u1");
    let _persistence = persistence(&world, message.clone()).await;
    let path = format!("http://{}/api/whatsapp/get_messages?conversationId={CONTACT}", node.address);
    let token = jwt(&json!({ "id": "u1" }));
    let page: Value = Client::new().get(path).bearer_auth(token).send().await.unwrap().json().await.unwrap();
    let url = page["messages"][0]["media_url"].as_str().unwrap();
    assert!(url.starts_with(&format!("/media/user-u1/{}?expires=", message.id)), "{url}");
}
