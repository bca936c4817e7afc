//! Clients of the Cloud API, with nothing changed but the base URL and the token.

use anyhow::{Context as _, Result};
use chasqui_directory::{NewKey, key_of};
use chasqui_ingest::Config;
use chasqui_kit::{Bus, Code, Coded, bus::NatsConfig, serve::Responder};
use chasqui_media::MediaStore;
use chasqui_proto::{
    MessageId, address, service, stream,
    v1::{
        AliasKind, ApiKeyEntry, ChannelKind, Direction, DirectoryEntry, Message, MessageRead, MessageType,
        NumberEntry, Priority, ReadMessage, SenderType, SessionStatus, directory_entry::Entry,
    },
};
use chasqui_testkit::{NatsOptions, wait_for};
use prost::Message as _;
use reqwest::{
    RequestBuilder,
    multipart::{Form, Part},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    whatsapp::Whatsapp,
    world::{API_KEY, CONTACT, NUMBER, SOON, World, answer, config},
};

const ACME_NUMBER: &str = "100000000000002";
const OTHER_NUMBER: &str = "100000000000003";
const MEDIA_BASE_URL: &str = "https://chat.example.com";

/// Ingest with a place for files, and keys of two tenants.
struct Door {
    world: World,
    files: TempDir,
    acme: NewKey,
    other: NewKey,
}

impl Door {
    async fn start() -> Result<Self> {
        Self::start_with(|config| config).await
    }

    async fn start_with(change: impl FnOnce(Config) -> Config) -> Result<Self> {
        let files = TempDir::new()?;
        let config = Config { media: media(&files), phone_number_id: Some(NUMBER.into()), ..config() };
        let world = World::start_with(change(config), NatsOptions::default()).await?;
        let door = Self { world, files, acme: NewKey::generate(), other: NewKey::generate() };
        for (key, tenant, number) in [(&door.acme, "acme", ACME_NUMBER), (&door.other, "other", OTHER_NUMBER)]
        {
            door.tell(key_entry(key, tenant, "send")).await?;
            let display_phone_number = "+54 911 0000-0099".to_owned();
            let (tenant, id) = (tenant.to_owned(), number.to_owned());
            door.tell(Entry::Number(NumberEntry {
                tenant,
                id,
                display_phone_number,
                ..NumberEntry::default()
            }))
            .await?;
        }
        let is_known = async || {
            let shown = door.get(OTHER_NUMBER, &door.other).send().await.ok()?;
            shown.status().is_success().then_some(())
        };
        wait_for(SOON, "the directory knows keys and numbers", is_known).await;
        Ok(door)
    }

    /// Puts an entry where persistence would.
    async fn tell(&self, entry: Entry) -> Result<()> {
        let entry = DirectoryEntry { entry: Some(entry) };
        let jetstream = async_nats::jetstream::new(self.world.nats_client().await?);
        let bucket = jetstream.get_key_value(stream::DIRECTORY_BUCKET).await?;
        bucket.put(key_of(&entry).context("a whole entry")?, entry.encode_to_vec().into()).await?;
        Ok(())
    }

    fn post(&self, path: &str, key: &str) -> RequestBuilder {
        self.world.post(path).bearer_auth(key)
    }

    fn get(&self, object: &str, key: &NewKey) -> RequestBuilder {
        self.world.get(&format!("/v21.0/{object}")).bearer_auth(key.secret.expose_secret())
    }

    fn delete(&self, object: &str, key: &NewKey) -> RequestBuilder {
        let url = self.get(object, key).build().expect("a request").url().clone();
        self.world.client.delete(url).bearer_auth(key.secret.expose_secret())
    }

    /// A message of the default tenant.
    fn message(&self, body: &Value) -> RequestBuilder {
        self.post(&format!("/v21.0/{NUMBER}/messages"), API_KEY).json(body)
    }

    fn upload(&self, form: Form) -> RequestBuilder {
        let path = format!("/v21.0/{ACME_NUMBER}/media");
        self.post(&path, self.acme.secret.expose_secret()).multipart(form)
    }

    /// The messages that are stored, oldest first.
    async fn sent(&self) -> Result<Vec<Message>> {
        self.world.stored().await?.iter().map(crate::world::Stored::decode).collect()
    }

    /// Status, code, subcode and details of a refusal, whose shape is checked.
    async fn refusal(request: RequestBuilder) -> Result<(u16, i64, Option<i64>, String)> {
        let (status, body) = answer(request.send().await?).await?;
        let error = &body["error"];
        let kind = if error["error_subcode"].is_null() { "OAuthException" } else { "GraphMethodException" };
        assert_eq!(error["type"], kind, "{body}");
        assert_eq!(error["error_data"]["messaging_product"], "whatsapp", "{body}");
        assert_eq!(error["fbtrace_id"].as_str().map(str::len), Some(32), "{body}");
        assert_eq!(error["is_transient"] == true, status == 503, "{body}");
        let code = error["code"].as_i64().context("a code")?;
        let message = error["message"].as_str().context("a message")?;
        let is_named = message.starts_with(&format!("(#{code}) ")) || code == 190 || kind != "OAuthException";
        assert!(is_named, "{body}");
        let details = error["error_data"]["details"].as_str().context("details")?.to_owned();
        Ok((status, code, error["error_subcode"].as_i64(), details))
    }
}

fn media(files: &TempDir) -> chasqui_media::Config {
    chasqui_media::Config {
        store: files.path().display().to_string(),
        url_key: Some("key-of-the-addresses".into()),
        base_url: MEDIA_BASE_URL.to_owned(),
        image_bytes_max: 64 * 1024,
        sticker_bytes_max: 64 * 1024,
        ..chasqui_media::Config::default()
    }
}

fn key_entry(key: &NewKey, tenant: &str, scope: &str) -> Entry {
    let (tenant, id, sha256) = (tenant.into(), format!("{tenant}-{scope}"), key.sha256.clone());
    Entry::ApiKey(ApiKeyEntry { tenant, id, sha256, scopes: vec![scope.into()], ..ApiKeyEntry::default() })
}

/// A whole body of a message of this type.
fn body(kind: &str, content: &Value) -> Value {
    json!({ "messaging_product": "whatsapp", "recipient_type": "individual", "to": CONTACT, "type": kind, kind: content })
}

fn text(text: &str) -> Value {
    body("text", &json!({ "body": text }))
}

/// Each type with a content of it.
fn contents() -> Vec<(&'static str, MessageType, Value)> {
    let file = "0192f0c1-2222-7000-8000-000000000001";
    vec![
        ("text", MessageType::Text, json!({ "body": "hola", "preview_url": false })),
        ("image", MessageType::Image, json!({ "id": file, "caption": "foto" })),
        ("audio", MessageType::Audio, json!({ "link": "https://example.org/a.ogg" })),
        ("video", MessageType::Video, json!({ "id": "1013859600285441", "caption": "video" })),
        (
            "document",
            MessageType::Document,
            json!({ "link": "https://example.org/a.pdf", "filename": "a.pdf" }),
        ),
        ("sticker", MessageType::Sticker, json!({ "id": file })),
        (
            "location",
            MessageType::Location,
            json!({ "latitude": -34.6, "longitude": -58.4, "name": "Obelisco" }),
        ),
        ("reaction", MessageType::Reaction, json!({ "message_id": "wamid.A", "emoji": "👍" })),
        ("contacts", MessageType::Contacts, json!([{ "name": { "formatted_name": "Contact" } }])),
        (
            "interactive",
            MessageType::Interactive,
            json!({
                "type": "button",
                "body": { "text": "¿Confirma?" },
                "action": { "buttons": [{ "type": "reply", "reply": { "id": "si", "title": "Sí" } }] },
            }),
        ),
        ("template", MessageType::Template, json!({ "name": "saludo", "language": { "code": "es_AR" } })),
    ]
}

#[tokio::test]
async fn every_type_is_accepted_and_published_with_its_content() -> Result<()> {
    let door = Door::start().await?;
    for (kind, r#type, content) in contents() {
        let (status, told) = answer(door.message(&body(kind, &content)).send().await?).await?;
        assert_eq!(status, 200, "{kind}: {told}");
        let wamid = told["messages"][0]["id"].as_str().unwrap_or_default().to_owned();
        let id = MessageId::of_wamid(&wamid).context("an id of ours")?;
        let exactly = json!({
            "messaging_product": "whatsapp",
            "contacts": [{ "input": CONTACT, "wa_id": CONTACT }],
            "messages": [{ "id": wamid, "message_status": "accepted" }],
        });
        assert_eq!(told, exactly);
        let stored = door.world.stored().await?;
        let stored = stored.last().context("it is stored")?;
        assert_eq!(stored.subject, format!("messages.out.default.{CONTACT}"));
        let message: Message = stored.decode()?;
        assert_eq!((message.id.clone(), message.r#type()), (id.to_string(), r#type), "{kind}");
        let channel = message.channel.clone().unwrap_or_default();
        assert_eq!((channel.kind(), channel.id.as_str()), (ChannelKind::WhatsappCloud, NUMBER));
        assert_eq!((message.direction(), message.sender_type()), (Direction::Out, SenderType::Ai));
        assert_eq!(message.contact.clone().unwrap_or_default().aliases, [address::phone(CONTACT)]);
        check_content(kind, &content, &message)?;
    }
    door.world.stop().await
}

fn check_content(kind: &str, content: &Value, message: &Message) -> Result<()> {
    let media = message.media.clone().unwrap_or_default();
    let context = message.context.clone().unwrap_or_default();
    match kind {
        "text" => assert_eq!(message.text, "hola"),
        "image" => assert_eq!(
            (media.id.as_str(), message.text.as_str()),
            ("0192f0c1-2222-7000-8000-000000000001", "foto")
        ),
        "audio" => assert_eq!(media.url, "https://example.org/a.ogg"),
        "video" => assert_eq!(media.id, "1013859600285441"),
        "document" => assert_eq!((media.filename.as_str(), message.text.as_str()), ("a.pdf", "")),
        "sticker" => assert_eq!(media.id, "0192f0c1-2222-7000-8000-000000000001"),
        "location" => assert_eq!(
            (message.location.clone().context("a place")?.name, message.text.as_str()),
            ("Obelisco".into(), "Obelisco")
        ),
        "reaction" => {
            assert_eq!((message.emoji.as_str(), context.provider_message_id.as_str()), ("👍", "wamid.A"))
        }
        _ => {
            assert_eq!(serde_json::from_slice::<Value>(&message.raw)?, json!({ "type": kind, kind: content }))
        }
    }
    let is_template = message.r#type() == MessageType::Template;
    assert_eq!(message.priority() == Priority::Transactional, is_template);
    Ok(())
}

#[tokio::test]
async fn a_number_is_taken_in_every_spelling_and_a_hidden_one_by_its_id() -> Result<()> {
    let door = Door::start().await?;
    let bsuid = "AR.13491208655302741918";
    let hola = json!({ "messaging_product": "whatsapp", "text": { "body": "hola" } });
    let to = |to: Value, recipient: Value| {
        let mut body = hola.clone();
        (body["to"], body["recipient"]) = (to, recipient);
        body
    };
    let contact = |input: &str, key: &str, value: &str| json!([{ "input": input, key: value }]);
    let spelled = "+54 911 0000-0001";
    for (body, expected) in [
        (to(json!(spelled), Value::Null), contact(spelled, "wa_id", CONTACT)),
        (to(json!(5_491_100_000_001_u64), Value::Null), contact(CONTACT, "wa_id", CONTACT)),
        (to(json!(CONTACT), json!(bsuid)), contact(CONTACT, "wa_id", CONTACT)),
        (to(Value::Null, json!(bsuid)), contact(bsuid, "user_id", bsuid)),
    ] {
        let (status, told) = answer(door.message(&body).send().await?).await?;
        assert_eq!((status, &told["contacts"]), (200, &expected));
    }
    let last = door.sent().await?.pop().context("four messages")?;
    assert_eq!(last.contact.unwrap_or_default().aliases[0].kind(), AliasKind::Bsuid);
    for (body, code, details) in [
        (to(Value::Null, Value::Null), 131_008, "to is needed"),
        (to(json!("visitor-7"), Value::Null), 131_009, "to must be a phone number with its country code"),
        (to(Value::Null, json!(CONTACT)), 131_009, "recipient must be a business-scoped user id"),
        (to(json!([CONTACT]), Value::Null), 100, "to must be a string"),
    ] {
        let refusal = Door::refusal(door.message(&body)).await?;
        assert_eq!(refusal, (400, code, None, details.to_owned()));
    }
    door.world.stop().await
}

#[tokio::test]
async fn an_answer_names_what_it_answers_and_data_comes_along() -> Result<()> {
    let door = Door::start().await?;
    let first = answer(door.message(&text("hola")).send().await?).await?.1;
    let mut second = text("¿sí?");
    second["context"] = json!({ "message_id": first["messages"][0]["id"] });
    second["biz_opaque_callback_data"] = json!("order 7");
    door.message(&second).send().await?.error_for_status()?;
    let sent = door.sent().await?;
    assert_eq!(sent[1].context.clone().unwrap_or_default().message_id, sent[0].id);
    assert_eq!(sent[1].callback_data, "order 7");
    door.world.stop().await
}

#[tokio::test]
async fn what_is_wrong_is_told_in_whatsapps_words_and_not_stored() -> Result<()> {
    let door = Door::start().await?;
    let with = |key: &str, value: Value| {
        let mut body = text("hola");
        body[key] = value;
        body
    };
    for (body, code, details) in [
        (with("messaging_product", Value::Null), 131_008, "messaging_product is needed"),
        (with("messaging_product", json!("sms")), 131_009, "messaging_product must be whatsapp"),
        (
            with("recipient_type", json!("group")),
            131_009,
            "recipient_type must be individual: groups cannot be written to",
        ),
        (with("text", json!({ "body": "" })), 131_008, "text.body is needed"),
        (
            with("text", json!({ "body": "ñ".repeat(4_097) })),
            131_009,
            "text.body must have 1 to 4096 characters",
        ),
        (with("text", json!([])), 100, "text must be an object"),
        (with("type", json!("image")), 131_008, "image is needed"),
        (with("status", json!("typing")), 131_009, "status must be read"),
        (with("status", json!("read")), 131_008, "message_id is needed"),
        (json!([]), 100, "the body is not a JSON object"),
    ] {
        let refusal = Door::refusal(door.message(&body)).await?;
        assert_eq!(refusal, (400, code, None, details.to_owned()), "{body}");
    }
    let poll = Door::refusal(door.message(&with("type", json!("poll")))).await?;
    assert_eq!((poll.0, poll.1), (400, 131_051));
    let refusal = Door::refusal(door.message(&text("hola")).body("{")).await?;
    assert_eq!((refusal.0, refusal.1), (400, 100));
    let long = Door::refusal(door.message(&text(&"x".repeat(300 * 1024)))).await?;
    assert_eq!(long, (400, 100, None, "the body must not be larger than 262144 bytes".to_owned()));
    for key in [String::new(), "k".repeat(256)] {
        let refusal = Door::refusal(door.message(&text("hola")).header("Idempotency-Key", key)).await?;
        assert_eq!((refusal.0, refusal.1), (400, 100));
    }
    assert!(door.world.stored().await?.is_empty());
    door.world.stop().await
}

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
    let sent = door.world.stored().await?;
    assert_eq!(sent[0].subject, format!("messages.out.acme.{CONTACT}"));
    assert_eq!(sent[0].decode::<Message>()?.sender_id, "acme-send");
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
async fn a_call_repeated_under_its_key_is_one_message() -> Result<()> {
    let door = Door::start().await?;
    let send = async |key: &str| -> Result<Value> {
        let request = door.message(&text("hola")).header("Idempotency-Key", key);
        Ok(answer(request.send().await?.error_for_status()?).await?.1)
    };
    let (one, again, two) = (send("one").await?, send("one").await?, send("two").await?);
    assert_eq!(one, again);
    assert_ne!(one, two);
    let another = door.message(&text("adiós")).header("Idempotency-Key", "one");
    let details = "Idempotency-Key: it was used for another message";
    assert_eq!(Door::refusal(another).await?, (400, 100, None, details.to_owned()));
    assert_eq!(door.world.stored().await?.len(), 2);
    door.world.stop().await
}

#[tokio::test]
async fn nothing_is_accepted_that_is_not_stored() -> Result<()> {
    let door = Door::start().await?;
    door.world.nats.kill();
    let response = door.message(&text("hola")).send().await?;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let read = json!({ "messaging_product": "whatsapp", "status": "read", "message_id": "wamid.A" });
    for body in [text("hola"), read] {
        let (status, code, ..) = Door::refusal(door.message(&body)).await?;
        assert_eq!((status, code), (503, 2));
    }
    door.world.nats.restart().await?;
    wait_for(SOON, "messages are taken again", async || {
        let response = door.message(&text("hola")).send().await.ok()?;
        response.status().is_success().then_some(())
    })
    .await;
    assert_eq!(door.world.stored().await?.len(), 1);
    door.world.stop().await
}

/// What a stand-in for the owner of numbers answers.
#[derive(Debug, thiserror::Error)]
#[error("the provider refused")]
struct Refused;

impl Coded for Refused {
    fn code(&self) -> Code {
        Code::InvalidInput
    }
}

#[tokio::test]
async fn a_message_is_marked_read_by_the_owner_of_the_number() -> Result<()> {
    let door = Door::start().await?;
    let read = |id: &str| json!({ "messaging_product": "whatsapp", "status": "read", "message_id": id });
    let nobody = Door::refusal(door.message(&read("wamid.A"))).await?;
    assert_eq!((nobody.0, nobody.1), (503, 2), "nobody owns the number");
    let config = NatsConfig { url: door.world.nats.url(), ..NatsConfig::default() };
    let (bus, stop) = (Bus::connect("whatsapp", &config).await?, CancellationToken::new());
    let responder = Responder::start(&bus, service::WHATSAPP, "a stand-in", stop.clone()).await?;
    let (asked, mut questions) = mpsc::unbounded_channel();
    let take = move |question: ReadMessage, _| {
        let is_known = question.provider_message_id != "wamid.unknown";
        asked.send(question).expect("the test is there");
        async move { is_known.then(MessageRead::default).ok_or(Refused) }
    };
    responder.endpoint(service::WHATSAPP_READ, take).await?;
    bus.barrier().await?;
    let success = (200, json!({ "success": true }));
    assert_eq!(answer(door.message(&read("wamid.A")).send().await?).await?, success);
    let mut typing = read("wamid.B");
    typing["typing_indicator"] = json!({ "type": "text" });
    assert_eq!(answer(door.message(&typing).send().await?).await?, success);
    let question = |id: &str, typing| ReadMessage {
        tenant: "default".into(),
        session: NUMBER.into(),
        provider_message_id: id.into(),
        typing,
    };
    assert_eq!(questions.recv().await, Some(question("wamid.A", false)));
    assert_eq!(questions.recv().await, Some(question("wamid.B", true)));
    let refusal = Door::refusal(door.message(&read("wamid.unknown"))).await?;
    assert_eq!(refusal, (400, 100, None, "the provider refused".to_owned()));
    typing["typing_indicator"] = json!({ "type": "voice" });
    let refusal = Door::refusal(door.message(&typing)).await?;
    assert_eq!(refusal, (400, 131_009, None, "typing_indicator.type must be text".to_owned()));
    let ours = Door::refusal(door.message(&read(&MessageId::now().to_wamid()))).await?;
    assert_eq!((ours.0, ours.1), (400, 131_009));
    assert!(door.world.stored().await?.is_empty());
    stop.cancel();
    responder.stopped().await;
    door.world.stop().await
}

fn form(part: Part) -> Form {
    Form::new().text("messaging_product", "whatsapp").part("file", part)
}

fn photo(bytes: usize) -> Result<Part> {
    Ok(Part::bytes(vec![7; bytes]).file_name("foto.jpg").mime_str("image/jpeg")?)
}

#[tokio::test]
async fn a_file_is_uploaded_shown_sent_and_deleted_by_its_tenant_alone() -> Result<()> {
    let door = Door::start().await?;
    let (status, told) = answer(door.upload(form(photo(50_000)?)).send().await?).await?;
    let id = told["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!((status, &told), (200, &json!({ "id": id })));
    let (status, mut shown) = answer(door.get(&id, &door.acme).send().await?).await?;
    let url = shown["url"].take();
    assert!(
        url.as_str()
            .is_some_and(|url| url.starts_with(&format!("{MEDIA_BASE_URL}/media/acme/{id}?expires=")))
    );
    let sha256 = hex::encode(Sha256::digest(vec![7; 50_000]));
    let expected = json!({
        "messaging_product": "whatsapp",
        "url": null,
        "mime_type": "image/jpeg",
        "sha256": sha256,
        "file_size": 50_000,
        "id": id,
    });
    assert_eq!((status, &shown), (200, &expected));
    let kept = MediaStore::open(&media(&door.files))?.head(&"acme".parse()?, id.parse()?).await?;
    assert_eq!((kept.filename.as_str(), kept.size_bytes), ("foto.jpg", 50_000));
    let others = Door::refusal(door.get(&id, &door.other)).await?;
    assert_eq!((others.0, others.1, others.2), (400, 100, Some(33)));
    assert_eq!(Door::refusal(door.delete(&id, &door.other)).await?.2, Some(33));
    let path = format!("/v21.0/{ACME_NUMBER}/messages");
    let send = door.post(&path, door.acme.secret.expose_secret()).json(&body("image", &json!({ "id": id })));
    send.send().await?.error_for_status()?;
    assert_eq!(door.sent().await?[0].media.clone().unwrap_or_default().id, id);
    let removed = answer(door.delete(&id, &door.acme).send().await?).await?;
    assert_eq!(removed, (200, json!({ "success": true })));
    for request in [door.get(&id, &door.acme), door.delete(&id, &door.acme)] {
        assert_eq!(Door::refusal(request).await?.2, Some(33), "it is gone");
    }
    door.world.stop().await
}

#[tokio::test]
async fn a_form_that_is_none_leaves_no_file_behind() -> Result<()> {
    let door = Door::start().await?;
    let refused = async |form: Form, details: &str| -> Result<()> {
        let refusal = Door::refusal(door.upload(form)).await?;
        assert_eq!(refusal, (400, 100, None, details.to_owned()));
        Ok(())
    };
    refused(Form::new().text("messaging_product", "whatsapp"), "file is needed").await?;
    refused(Form::new().part("file", photo(5)?), "messaging_product must be whatsapp").await?;
    refused(form(photo(5)?).part("file", photo(5)?), "only one file can be uploaded at a time").await?;
    let nonsense = "type must be a type of file such as image/jpeg";
    refused(Form::new().text("type", "photo").part("file", photo(5)?), nonsense).await?;
    refused(form(photo(64 * 1024 + 1)?), "the file has more than 65536 bytes").await?;
    refused(form(photo(4 * 1024 * 1024)?), "the file has more than 65536 bytes").await?;
    let path = format!("/v21.0/{ACME_NUMBER}/media");
    let raw = |body: &str, kind: &str| {
        let request = door.post(&path, door.acme.secret.expose_secret());
        request.header("content-type", kind.to_owned()).body(body.to_owned())
    };
    let headers_without_end = format!("--b\r\nX: {}", "x".repeat(3 * 1024 * 1024));
    for (body, kind) in [
        ("x", "application/json"),
        ("x", "multipart/form-data"),
        (
            "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhalf",
            "multipart/form-data; boundary=b",
        ),
        ("nothing", "multipart/form-data; boundary=b"),
    ] {
        let (status, code, ..) = Door::refusal(raw(body, kind)).await?;
        assert_eq!((status, code), (400, 100), "{kind}");
    }
    let (status, _, _, details) =
        Door::refusal(raw(&headers_without_end, "multipart/form-data; boundary=b")).await?;
    assert_eq!((status, details.ends_with("the form did not arrive whole")), (400, true), "{details}");
    let kept = walk(door.files.path())?;
    assert!(kept.is_empty(), "{kept:?}");
    door.world.stop().await
}

#[tokio::test]
async fn the_type_before_the_file_counts_and_the_limit_is_that_types() -> Result<()> {
    let door = Door::start().await?;
    let bytes = Part::bytes(vec![7; 100_000]).file_name("a.bin");
    let typed = Form::new()
        .text("messaging_product", "whatsapp")
        .text("type", "audio/ogg; codecs=opus")
        .part("file", bytes);
    let id = answer(door.upload(typed).send().await?.error_for_status()?).await?.1["id"].clone();
    let shown = answer(door.get(id.as_str().unwrap_or_default(), &door.acme).send().await?).await?.1;
    assert_eq!(
        (&shown["mime_type"], &shown["file_size"]),
        (&json!("audio/ogg; codecs=opus"), &json!(100_000))
    );
    door.world.stop().await
}

#[tokio::test]
async fn without_a_key_for_addresses_there_are_no_files_and_messages_go_on() -> Result<()> {
    let door =
        Door::start_with(|config| Config { media: chasqui_media::Config::default(), ..config }).await?;
    let refusal = Door::refusal(door.upload(form(photo(5)?))).await?;
    assert_eq!(refusal, (503, 131_000, None, "no files are kept here: media.url_key is not set".to_owned()));
    assert_eq!(door.message(&text("hola")).send().await?.status(), 200);
    door.world.stop().await
}

#[tokio::test]
async fn shc_30_a_client_that_is_too_fast_is_told_when_to_come_again() -> Result<()> {
    let slow = std::num::NonZeroU32::new(5).context("five")?;
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

#[tokio::test]
async fn any_version_is_answered_and_other_paths_are_as_unknown_as_before() -> Result<()> {
    let door = Door::start().await?;
    for version in ["v1.0", "v21.0", "v99.12"] {
        let path = format!("/{version}/{NUMBER}/messages");
        assert_eq!(door.post(&path, API_KEY).json(&text("hola")).send().await?.status(), 200);
    }
    for path in ["/videos/7", "/v21/7", "/v21.0.1/7", "/vx.y/7/messages"] {
        for request in [door.world.get(path), door.world.post(path)] {
            let (status, body) = answer(request.send().await?).await?;
            assert_eq!(status, 404, "{path}");
            assert!(body["error"].as_str().is_some_and(|error| error.ends_with(path)), "{body}");
        }
    }
    assert_eq!(door.world.get("/v21.0").send().await?.status(), 404);
    let get = door.world.get(&format!("/v21.0/{NUMBER}/messages")).bearer_auth(API_KEY);
    let (status, code, subcode, _) = Door::refusal(get).await?;
    assert_eq!((status, code, subcode), (400, 100, Some(33)));
    door.world.stop().await
}

/// Every file below a directory.
fn walk(directory: &std::path::Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(walk(&path)?) } else { found.push(path) }
    }
    Ok(found)
}
