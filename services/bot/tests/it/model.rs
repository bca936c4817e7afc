//! Stories with the language model, whose server the simulator plays.

use anyhow::{Context as _, Result};
use chasqui_kit::telemetry::Metrics;
use chasqui_proto::{
    subject,
    v1::{Channel, ChannelKind, Message, MessageType, Typing},
};
use chasqui_testkit::{first_free_port, wait_for};
use futures::StreamExt as _;
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::world::{CONTACT, SOON, World, message};

/// The model answers whatever is said.
const ANSWERED_BY_THE_MODEL: &str = r#"
    [model]
    debounce_ms = 0
    on_failure = { handoff = "Te paso con una persona." }

    [[personalities]]
    id = "0192f0c1-2f3a-7d57-8d0e-2f4a5c6b7a80"
    name = "recepción"
    prompt = "Eres quien atiende."

    [[rules]]
    name = "whatever"
    all = true
    model = true
"#;

/// The server of the model.
pub(crate) struct Server {
    port: u16,
    _stop: DropGuard,
}

impl Server {
    async fn start() -> Result<Self> {
        // Between finding a port and binding it, another test must not find the same one.
        static STARTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _starting = STARTING.lock().await;
        let port = first_free_port(15_900).context("a free port")?;
        let config = chasqui_simulator::Config {
            port,
            app_secret: Some("of-a-test".into()),
            ..chasqui_simulator::Config::default()
        };
        let stop = CancellationToken::new();
        tokio::spawn(chasqui_simulator::run(config, Metrics::install(), None, stop.clone()));
        wait_for(SOON, "the simulator listens", async || TcpStream::connect(("127.0.0.1", port)).await.ok())
            .await;
        Ok(Self { port, _stop: stop.drop_guard() })
    }

    /// A request to the hands on it; the answer with its headers.
    pub(crate) async fn tell(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let length = body.len();
        let request = format!(
            "{method} /openai/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Ok(answer)
    }

    async fn befall(&self, then: &str) -> Result<()> {
        self.tell("POST", "faults", &format!(r#"{{"then":{then}}}"#)).await.map(drop)
    }

    pub(crate) async fn asked(&self) -> Result<usize> {
        Ok(self.tell("GET", "requests", "").await?.matches(r#""seq":"#).count())
    }
}

pub(crate) async fn world() -> Result<(World, Server)> {
    world_with(ANSWERED_BY_THE_MODEL).await
}

pub(crate) async fn world_with(definition: &str) -> Result<(World, Server)> {
    let (server, mut world) = (Server::start().await?, World::with(definition).await?);
    world.config.openai_api_key = Some("local-openai-key".into());
    world.config.openai_base_url = format!("http://127.0.0.1:{}/v1", server.port);
    Ok((world, server))
}

fn in_widget(text: &str) -> Message {
    let channel = Channel { kind: ChannelKind::Widget.into(), ..Channel::default() };
    Message { channel: Some(channel), ..message(CONTACT, text) }
}

#[tokio::test]
async fn an_answer_that_broke_off_is_asked_for_again_and_said_once() -> Result<()> {
    let (world, server) = world().await?;
    server.befall(r#""cut""#).await?;
    let replica = world.replica("a").await?;
    world.writes(CONTACT, "hola").await?;
    assert_eq!(world.hears(CONTACT, 1).await[0].text, "Dijiste: hola");
    world.settled().await;
    assert_eq!(world.texts(CONTACT).await?, ["Dijiste: hola"]);
    assert_eq!(server.asked().await?, 2);
    world.each_once(CONTACT).await?;
    replica.stop().await
}

#[tokio::test]
async fn the_model_is_told_of_what_has_no_words() -> Result<()> {
    let (world, _server) = world().await?;
    let replica = world.replica("a").await?;
    world.sends(Message { r#type: MessageType::Audio.into(), ..message(CONTACT, "") }).await?;
    world.sends(Message { r#type: MessageType::Image.into(), ..message("5491100000002", "mi pie") }).await?;
    assert_eq!(world.hears(CONTACT, 1).await[0].text, "Dijiste: [audio]");
    assert_eq!(world.hears("5491100000002", 1).await[0].text, "Dijiste: [image] mi pie");
    replica.stop().await
}

#[tokio::test]
async fn a_contact_whom_the_model_does_not_answer_is_given_to_people() -> Result<()> {
    let (world, server) = world().await?;
    server.befall(r#"{"http":{"status":401}}"#).await?;
    let replica = world.replica("a").await?;
    world.writes(CONTACT, "hola").await?;
    assert_eq!(world.hears(CONTACT, 1).await[0].text, "Te paso con una persona.");
    world.settled().await;
    assert_eq!(world.opened(), [(CONTACT.to_owned(), "failure".to_owned())]);
    assert_eq!(server.asked().await?, 1);
    replica.stop().await
}

#[tokio::test]
async fn a_draft_in_a_widget_becomes_the_message_of_the_same_id() -> Result<()> {
    let (world, server) = world().await?;
    server.tell("PUT", "settings", r#"{"answers":["uno dos tres"],"token_after_ms":60}"#).await?;
    let of_all = subject::typing_of_all().as_str().to_owned();
    let mut typing = world.bus.client().subscribe(of_all).await?;
    world.bus.barrier().await?;
    let replica = world.replica("a").await?;
    world.sends(in_widget("hola")).await?;
    let said = world.hears(CONTACT, 1).await.remove(0);
    let mut draft = String::new();
    loop {
        let told = tokio::time::timeout(SOON, typing.next()).await?.context("it is told")?;
        let told = Typing::decode(told.payload)?;
        if !told.typing {
            break;
        }
        if let Some(piece) = told.draft {
            assert_eq!(piece.message_id, said.id);
            draft.push_str(&piece.delta);
        }
    }
    assert!(!draft.is_empty() && said.text.starts_with(&draft), "{draft:?} of {:?}", said.text);
    replica.stop().await
}

#[tokio::test]
async fn another_replica_asks_again_when_one_dies_over_its_question() -> Result<()> {
    let (mut world, server) = world().await?;
    world.config.model_timeout_ms = 2_000;
    server.befall(r#""hang""#).await?;
    let first = world.replica("a").await?;
    world.writes(CONTACT, "hola").await?;
    wait_for(SOON, "the model is asked", async || (server.asked().await.ok()? == 1).then_some(())).await;
    first.kill().await;
    let second = world.replica("b").await?;
    assert_eq!(world.hears(CONTACT, 1).await[0].text, "Dijiste: hola");
    world.settled().await;
    assert_eq!(server.asked().await?, 2);
    world.each_once(CONTACT).await?;
    second.stop().await
}
