//! Server-sent events, with the `eventsource` package from npm and by hand.

use chasqui_testkit::{Program, wait_for};
use reqwest::{Client as Http, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use crate::proxy::Proxy;
use crate::world::{DEADLINE, Node, World, jwt};

const NUMBER: &str = "5491100000001";

fn staff() -> String {
    jwt(&json!({ "id": "agent-1", "tenant": "default" }))
}

fn contact(number: &str) -> String {
    jwt(&json!({ "id": number, "phone": number }))
}

async fn get(node: &Node, token: &str, last_event_id: &str) -> Response {
    let request = Http::new().get(format!("http://{}/sse", node.address)).bearer_auth(token);
    request.header("last-event-id", last_event_id).send().await.unwrap()
}

/// One event, as its lines say it.
#[derive(Debug, Default)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) frame: Value,
    retry: Option<u64>,
}

/// A stream read by hand.
pub(crate) struct Stream {
    response: Response,
    read: String,
}

impl Stream {
    pub(crate) async fn open(node: &Node, token: &str) -> Self {
        Self::open_at(node, token, "").await
    }

    /// From a cursor on.
    pub(crate) async fn open_at(node: &Node, token: &str, cursor: &str) -> Self {
        let response = get(node, token, cursor).await;
        assert_eq!(response.status(), StatusCode::OK);
        Self { response, read: String::new() }
    }

    /// The next block of lines, comments included; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.read = rest;
                return Some(block);
            }
            let chunk = timeout(DEADLINE, self.response.chunk()).await.expect("the stream goes on").unwrap();
            self.read.push_str(str::from_utf8(&chunk?).unwrap());
        }
    }

    /// The next event that is not about who is online.
    pub(crate) async fn event(&mut self) -> Event {
        timeout(DEADLINE, self.any_event()).await.expect("the stream says something that is no comment")
    }

    async fn any_event(&mut self) -> Event {
        loop {
            let block = self.block().await.expect("the stream goes on");
            let mut event = Event::default();
            for line in block.lines() {
                match line.split_once(": ").unwrap() {
                    ("event", name) => name.clone_into(&mut event.name),
                    ("id", id) => event.id = Some(id.to_owned()),
                    ("data", data) => event.frame = serde_json::from_str(data).unwrap(),
                    ("retry", after_ms) => event.retry = Some(after_ms.parse().unwrap()),
                    ("", _) => {}
                    other => panic!("{other:?} is no line of an event"),
                }
            }
            if !event.name.is_empty() && event.name != "presence_changed" {
                return event;
            }
        }
    }
}

/// The real client, and the messages it was shown.
struct Page {
    program: Program,
    shown: Vec<(String, u64)>,
}

impl Page {
    fn open(url: &str) -> Self {
        Self { program: Program::node("sse.mjs", &[url]).unwrap(), shown: Vec::new() }
    }

    async fn hears(&mut self, what: &str) -> Value {
        loop {
            let line = self.program.json(DEADLINE, what).await;
            if line["name"] == "new_message" {
                let frame = &line["frame"];
                let seq = frame["seq"].as_u64().unwrap();
                assert!(line["id"].as_str().unwrap().ends_with(&format!(".{seq}")), "{line}");
                self.shown.push((frame["data"]["message"]["text_content"].as_str().unwrap().to_owned(), seq));
            }
            if line["is"] == what || line["name"] == what {
                return line;
            }
        }
    }

    async fn has_shown(&mut self, count: usize) {
        while self.shown.len() < count {
            self.hears("new_message").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_node_dies_goes_on_at_another_with_nothing_lost_and_nothing_twice() {
    let world = World::start().await;
    let nodes = [
        Node::start(&world, "one", &[]).await,
        Node::start(&world, "two", &[]).await,
        Node::start(&world, "three", &[]).await,
    ];
    let addresses = nodes.each_ref().map(|node| node.address);
    let proxy = Proxy::start(&addresses, |_, before| before % 3).await;
    let mut page = Page::open(&format!("{}/sse?token={}", proxy.url(), staff()));
    assert_eq!(page.hears("connected").await["frame"]["data"]["fresh"], true);
    let mut expected = Vec::new();
    for dead in 0..3 {
        for index in 0..40 {
            if index == 10 {
                proxy.cut(dead);
            }
            let text = format!("{dead}/{index}");
            expected.push((text.clone(), world.contact_writes(NUMBER, &text).await));
        }
        page.hears("error").await;
        assert_eq!(page.hears("connected").await["frame"]["data"]["recovered"], true);
        proxy.mend(dead);
        page.has_shown(expected.len()).await;
        assert_eq!(page.shown, expected);
    }
    assert_eq!(proxy.requests(), [2, 1, 1], "each node had the page, and the first one again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_with_its_cursor_and_nothing_keeps_it_from_arriving() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("heartbeat_interval_ms", "100")]).await;
    let mut stream = Stream::open(&node, &staff()).await;
    let header = |name: &str| stream.response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!((header("cache-control"), header("x-accel-buffering")), ("no-store".into(), "no".into()));
    let connected = stream.event().await;
    let data = &connected.frame["data"];
    let cursor = |seq: u64| Some(format!("{}.{seq}", data["epoch"].as_str().unwrap()));
    assert_eq!((connected.name.as_str(), connected.id), ("connected", cursor(data["seq"].as_u64().unwrap())));
    assert!(connected.retry.is_some_and(|after_ms| (1_000..3_000).contains(&after_ms)));
    let seq = world.contact_writes(NUMBER, "hola").await;
    let shown = stream.event().await;
    assert_eq!(
        (shown.name.as_str(), shown.id, &shown.frame["seq"]),
        ("new_message", cursor(seq), &json!(seq))
    );
    // What scripts do not see moves the cursor too.
    let heartbeat = format!(": heartbeat\nid: {}", cursor(seq).unwrap());
    while stream.block().await.expect("the stream goes on") != heartbeat {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_shown_its_own_messages_and_no_others() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let mut own = Stream::open(&node, &contact(NUMBER)).await;
    let mut other = Stream::open(&node, &contact("5491100000002")).await;
    assert_eq!((own.event().await.name, other.event().await.name), ("connected".into(), "connected".into()));
    world.bot_replies(NUMBER, "for the first").await;
    world.bot_replies("5491100000002", "for the second").await;
    for (stream, text) in [(&mut own, "for the first"), (&mut other, "for the second")] {
        let Event { frame, .. } = stream.event().await;
        assert_eq!(frame["data"]["message"]["text_content"], text);
        assert!(frame["data"]["conversation"].is_null(), "how its tenant sees it is for staff");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_listen_is_told_by_a_status() {
    let world = World::start().await;
    let settings = [("user_connections_max", "1"), ("user_connections_policy", "refuse_new")];
    let node = Node::start(&world, "one", &settings).await;
    let check = async |token: &str, last_event_id: &str, status: u16, says: &str| {
        let response = get(&node, token, last_event_id).await;
        assert_eq!(response.status(), status);
        let body: Value = response.json().await.unwrap();
        assert!(body["message"].as_str().unwrap().contains(says), "{body}");
        assert!(body["success"] == false && body["code"].is_string());
    };
    check("a.b.c", "", 401, "token is invalid").await;
    check(&jwt(&json!({ "id": "u", "exp": 1_000_000_000 })), "", 401, "expired").await;
    check(&staff(), "yesterday", 400, "Last-Event-ID: a cursor is <epoch>.<seq>").await;
    let mut only = Stream::open(&node, &staff()).await;
    only.event().await;
    check(&staff(), "", 429, "too many open connections").await;
    drop(only);
    wait_for(DEADLINE, "the one that left is noticed", async || {
        (get(&node, &staff(), "").await.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_cannot_be_honoured_is_said_so() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let response = get(&node, &staff(), "abc.7").await;
    let data = Stream { response, read: String::new() }.event().await.frame["data"].clone();
    assert_eq!((&data["recovered"], &data["fresh"]), (&json!(false), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_sends_its_streams_to_another_and_not_all_at_once() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let mut stream = Stream::open(&node, &staff()).await;
    stream.event().await;
    node.stop().await;
    let last = stream.event().await;
    assert_eq!((last.name.as_str(), &last.frame["data"]["code"]), ("closing", &json!(4000)));
    assert_eq!(last.frame["data"]["reconnect"], true);
    assert!(last.retry.is_some_and(|after_ms| after_ms < 5_000));
    assert_eq!(stream.block().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_token_ends_is_warned_and_ended_after_the_grace() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("token_grace_ms", "100")]).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let token = jwt(&json!({ "id": "agent-1", "exp": now + 2 }));
    let mut page = Page::open(&format!("http://{}/sse?token={token}", node.address));
    let warning = page.hears("token_expiring").await;
    assert!(warning["frame"]["data"]["expires_at"].is_string());
    let closing = page.hears("closing").await;
    assert_eq!(
        closing["frame"]["data"],
        json!({ "code": 4501, "reason": "token expired", "reconnect": false })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_is_given_up() {
    let world = World::start().await;
    let settings = [("sockets_max", "1"), ("outbox_bytes_max", "100000")];
    let node = Node::start(&world, "one", &settings).await;
    let mut deaf = TcpStream::connect(node.address).await.unwrap();
    let head = format!("GET /sse HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", staff());
    deaf.write_all(head.as_bytes()).await.unwrap();
    wait_for(DEADLINE, "it has the only place", async || {
        (get(&node, &staff(), "").await.status() == 503).then_some(())
    })
    .await;
    // More than the kernel holds for it.
    let long = "x".repeat(30_000);
    for index in 0..500 {
        world.contact_writes(NUMBER, &format!("{index} {long}")).await;
    }
    wait_for(DEADLINE, "its place is free", async || {
        (get(&node, &staff(), "").await.status() == 200).then_some(())
    })
    .await;
}
