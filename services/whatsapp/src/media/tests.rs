//! Files from a provider into the store: the test is the contact, the provider and the owner of the session.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_nats::{
    HeaderMap,
    service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE},
};
use bytes::Bytes;
use chasqui_kit::{Bus, TraceContext, bus::NatsConfig, publish::Fact, stream};
use chasqui_media::Config as MediaConfig;
use chasqui_proto::{
    ConversationToken, MessageId, Tenant,
    stream::WHATSAPP_MEDIA_CONSUMER,
    subject::{self, NodeToken},
    v1::{
        Channel, ChannelKind, LinkEvent, Message, MessageType, OwnerRequest, ProviderError,
        owner_request::What,
    },
};
use chasqui_testkit::{NatsServer, wait_for};
use futures::{StreamExt, future::BoxFuture, stream as streams};
use prost::Message as _;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::connector::{Connector, Fetched, Outcome, Outgoing};

const SOON: Duration = Duration::from_secs(20);
const SESSION: &str = "100000000000001";
const MEDIA: &str = "1234567890123456";

/// What the provider does with a request for a file.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Give(&'static [u8]),
    BreakOff,
    Refuse,
    Away,
}

/// The provider: does as scripted, then gives the file.
#[derive(Debug, Default)]
struct Provider {
    script: Mutex<VecDeque<Answer>>,
    asked: AtomicUsize,
}

impl Connector for Provider {
    fn run(&self, _: mpsc::Sender<LinkEvent>, _: CancellationToken) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn send<'a>(&'a self, _: &'a Outgoing) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::NotWritten("only files here".to_owned()) })
    }

    fn read<'a>(&'a self, _: &'a str, _: bool) -> BoxFuture<'a, Result<(), ConnectorError>> {
        Box::pin(async { Ok(()) })
    }

    fn fetch<'a>(&'a self, media: &'a Media) -> BoxFuture<'a, Result<Fetched, ConnectorError>> {
        assert_eq!(media.id, MEDIA);
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.script.lock().unwrap().pop_front().unwrap_or(Answer::Give(b"picture"));
        Box::pin(async move {
            // Whoever asks meanwhile finds it being brought.
            tokio::task::yield_now().await;
            let away = || ConnectorError::Away("the connection broke".to_owned());
            let pieces = match answer {
                Answer::Give(bytes) => vec![Ok(Bytes::from_static(bytes))],
                Answer::BreakOff => vec![Ok(Bytes::from_static(b"pic")), Err(away())],
                Answer::Refuse => return Err(ConnectorError::Refused(ProviderError::default())),
                Answer::Away => return Err(away()),
            };
            Ok(Fetched { mime_type: "image/png".to_owned(), content: streams::iter(pieces).boxed() })
        })
    }

    fn log_out(&self) -> BoxFuture<'_, Result<(), ConnectorError>> {
        Box::pin(async { Ok(()) })
    }
}

struct World {
    _server: NatsServer,
    _files: TempDir,
    fetcher: Fetcher,
    provider: Arc<Provider>,
    line: Line,
}

impl World {
    async fn with(script: impl IntoIterator<Item = Answer>) -> Self {
        let server = NatsServer::start().await.unwrap();
        let config = NatsConfig { url: server.url(), ..NatsConfig::default() };
        let bus = Bus::connect("whatsapp", &config).await.unwrap();
        stream::ensure_all(&bus).await.unwrap();
        let files = tempfile::tempdir().unwrap();
        let media = MediaConfig { store: files.path().display().to_string(), ..MediaConfig::default() };
        let fetcher = Fetcher::new(MediaStore::open(&media).unwrap(), media.limits());
        let provider =
            Arc::new(Provider { script: Mutex::new(script.into_iter().collect()), ..Provider::default() });
        let line = Line {
            bus,
            tenant: tenant(),
            session: NodeToken::new(SESSION),
            channel: channel(),
            node: NodeToken::new("whatsapp-1"),
            ownership: 1,
            connector: Arc::clone(&provider) as Arc<dyn Connector>,
            messages_per_second_max: None,
            fallback: None,
            stop: CancellationToken::new(),
        };
        Self { _server: server, _files: files, fetcher, provider, line }
    }

    async fn fetch(&self, request: &FetchMedia) -> Result<StoredMedia, FetchError> {
        self.fetcher.fetch(&self.line, request).await
    }

    fn asked(&self) -> usize {
        self.provider.asked.load(Ordering::Relaxed)
    }

    /// Answers what the owner of the session is asked.
    async fn own(&self) {
        let owned = subject::whatsapp_owner(&tenant(), &self.line.session);
        let mut requests = self.line.bus.client().subscribe(owned.as_str().to_owned()).await.unwrap();
        self.line.bus.barrier().await.unwrap();
        let (line, fetcher) = (self.line.clone(), self.fetcher.clone());
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let question = OwnerRequest::decode(request.payload).unwrap();
                let Some(What::Fetch(fetch)) = question.what else { panic!("only files here") };
                let mut headers = HeaderMap::new();
                let answer = match fetcher.fetch(&line, &fetch).await {
                    Ok(stored) => stored.encode_to_vec(),
                    Err(error) => {
                        let code = error.code().http_status().as_u16().to_string();
                        headers.insert(NATS_SERVICE_ERROR_CODE, code.as_str());
                        headers.insert(NATS_SERVICE_ERROR, "not brought");
                        Vec::new()
                    }
                };
                let reply = request.reply.unwrap();
                line.bus.client().publish_with_headers(reply, headers, answer.into()).await.unwrap();
            }
        });
    }

    /// A contact sends a picture.
    async fn arrive(&self) -> FileId {
        let message = Message {
            id: MessageId::now().to_string(),
            tenant: "default".to_owned(),
            channel: Some(channel()),
            r#type: MessageType::Image.into(),
            media: Some(Media { id: MEDIA.to_owned(), ..Media::default() }),
            ..Message::default()
        };
        let conversation: ConversationToken = "5491100000001".parse().unwrap();
        let subject = subject::messages_in(&tenant(), &conversation);
        let fact = Fact::new(subject, &message, message.id.as_str(), TraceContext::root());
        self.line.bus.publish(fact).await.unwrap();
        message.id.parse().unwrap()
    }

    /// Everything that arrived was dealt with.
    async fn settled(&self) {
        wait_for(SOON, "every message is acknowledged", async || {
            let jetstream = self.line.bus.jetstream();
            let stream = jetstream.get_stream(chasqui_proto::stream::MESSAGES.name).await.ok()?;
            let info = stream.consumer_info(WHATSAPP_MEDIA_CONSUMER).await.ok()?;
            (info.num_pending == 0 && info.num_ack_pending == 0 && info.ack_floor.stream_sequence > 0)
                .then_some(())
        })
        .await;
    }

    fn consume(&self) -> tokio::task::JoinHandle<()> {
        let (bus, store, stop) =
            (self.line.bus.clone(), self.fetcher.store().clone(), self.line.stop.clone());
        tokio::spawn(async move { run(bus, store, stop).await.unwrap() })
    }
}

fn tenant() -> Tenant {
    "default".parse().unwrap()
}

fn channel() -> Channel {
    Channel { kind: ChannelKind::WhatsappCloud.into(), id: SESSION.to_owned(), ..Channel::default() }
}

fn wanted(sha256: &str) -> FetchMedia {
    let media = Media { id: MEDIA.to_owned(), sha256: sha256.to_owned(), ..Media::default() };
    FetchMedia {
        tenant: "default".to_owned(),
        session: SESSION.to_owned(),
        message_id: MessageId::now().to_string(),
        media: Some(media),
    }
}

#[tokio::test]
async fn a_file_that_many_ask_for_is_brought_once() {
    let world = World::with([]).await;
    let request = wanted("");
    let all = futures::future::join_all((0..10).map(|_| world.fetch(&request))).await;
    for stored in all {
        assert_eq!(stored.unwrap().id, request.message_id);
    }
    assert_eq!(world.asked(), 1);
    assert_eq!(world.fetch(&request).await.unwrap().mime_type, "image/png");
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn a_file_that_breaks_off_or_is_another_than_announced_is_not_kept() {
    let world = World::with([Answer::BreakOff, Answer::Give(b"virus"), Answer::Give(b"virus")]).await;
    let announced = hex::encode("a hash of thirty-two bytes: it is");
    let request = wanted(&announced[..64]);
    let broken = world.fetch(&request).await.unwrap_err();
    assert!(matches!(broken, FetchError::Connector(ConnectorError::Away(_))), "{broken}");
    let altered = world.fetch(&request).await.unwrap_err();
    assert!(matches!(altered, FetchError::Store(MediaError::Altered(_))), "{altered}");
    let base64 = STANDARD.encode([7; 32]);
    assert!(matches!(world.fetch(&wanted(&base64)).await, Err(FetchError::Store(MediaError::Altered(_)))));
    assert_eq!(world.asked(), 3);
    assert!(world.fetch(&wanted("nobody knows this spelling")).await.is_ok());
}

#[tokio::test]
async fn a_request_for_a_file_names_what_is_wrong_with_it() {
    let world = World::with([]).await;
    let (bus, store) = (&world.line.bus, world.fetcher.store());
    for (request_of, field) in [
        (FetchMedia { message_id: "17".to_owned(), ..wanted("") }, "message_id"),
        (FetchMedia { tenant: "No Tenant".to_owned(), ..wanted("") }, "tenant"),
        (FetchMedia { session: String::new(), ..wanted("") }, "session"),
    ] {
        let told = request(bus, store, &request_of, TraceContext::root()).await.unwrap_err();
        assert!(told.to_string().starts_with(&format!("{field}: expected ")), "{told}");
        assert_eq!(told.code(), Code::InvalidInput);
    }
    let told = world.fetch(&FetchMedia { media: None, ..wanted("") }).await.unwrap_err();
    assert_eq!(told.to_string(), "media.id: expected the provider's id of a file");
    let nobody = request(bus, store, &wanted(""), TraceContext::root()).await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_contacts_file_is_in_the_store_soon_after_its_message() {
    let world = World::with([Answer::Away, Answer::BreakOff]).await;
    world.own().await;
    let running = world.consume();
    let id = world.arrive().await;
    let stored =
        wait_for(SOON, "the file is there", async || world.fetcher.store().head(&tenant(), id).await.ok());
    assert_eq!((stored.await.size_bytes, world.asked()), (7, 3));
    world.settled().await;
    world.line.stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_file_that_the_provider_refuses_is_not_asked_for_again() {
    let world = World::with([Answer::Refuse]).await;
    world.own().await;
    let running = world.consume();
    let refused = world.arrive().await;
    world.settled().await;
    assert!(matches!(world.fetcher.store().head(&tenant(), refused).await, Err(MediaError::NotFound)));
    assert_eq!(world.asked(), 1);
    world.line.stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_file_of_a_session_without_an_owner_waits_for_one() {
    let world = World::with([]).await;
    let running = world.consume();
    let id = world.arrive().await;
    wait_for(SOON, "the message was tried", async || {
        let stream =
            world.line.bus.jetstream().get_stream(chasqui_proto::stream::MESSAGES.name).await.ok()?;
        let info = stream.consumer_info(WHATSAPP_MEDIA_CONSUMER).await.ok()?;
        (info.num_redelivered > 0).then_some(())
    })
    .await;
    world.own().await;
    wait_for(SOON, "the file is there", async || world.fetcher.store().head(&tenant(), id).await.ok()).await;
    world.line.stop.cancel();
    running.await.unwrap();
}
