//! Connection state recovery with the real `socket.io-client`, which knows nothing of us.

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::proxy::Proxy;
use crate::socketio_client::Client;
use crate::world::{self, DEADLINE, Node, World};

const NUMBER: &str = "5491100000001";
const OPEN: &[(&str, &str)] = &[("widget_anonymous", "true")];

/// Two nodes behind a proxy that sends each request to the other one.
struct Nodes {
    world: World,
    _edges: [Node; 2],
    proxy: Proxy,
}

impl Nodes {
    async fn start() -> Self {
        let world = World::start().await;
        let nodes = [Node::start(&world, "one", OPEN).await, Node::start(&world, "two", OPEN).await];
        let proxy = Proxy::start(&nodes.each_ref().map(|node| node.address), |_, before| before).await;
        Self { world, _edges: nodes, proxy }
    }

    fn widget(&self, transports: &str) -> Client {
        let options = format!(r#"{{"transports":{transports},"query":{{"userPhone":"{NUMBER}"}}}}"#);
        Client::at(&self.proxy.url(), &options)
    }
}

async fn replies(client: &mut Client, expected: &[&str]) {
    for text in expected {
        assert_eq!(client.hears_event("bot-response").await["text"], *text);
    }
}

async fn breaks(client: &mut Client) {
    client.tell(&json!({"do": "break"}));
    client.hears("disconnect").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmodified_client_whose_connection_broke_is_given_what_it_missed_once_and_says_recovered() {
    for transports in [r#"["websocket"]"#, r#"["polling"]"#] {
        let nodes = Nodes::start().await;
        let mut client = nodes.widget(transports);
        assert_eq!(client.hears("connect").await["recovered"], false);
        assert_eq!(client.hears_event("session").await["recovered"], false);
        // Twice: recovery must work again after a recovery, and each time on the node it was not on before.
        for round in ["first", "second"] {
            nodes.world.bot_replies(NUMBER, &format!("{round} seen")).await;
            replies(&mut client, &[&format!("{round} seen")]).await;
            nodes.proxy.cut(0);
            nodes.proxy.cut(1);
            breaks(&mut client).await;
            nodes.world.bot_replies(NUMBER, &format!("{round} missed")).await;
            nodes.world.bot_replies(NUMBER, &format!("{round} missed too")).await;
            nodes.proxy.mend(0);
            nodes.proxy.mend(1);
            assert_eq!(client.hears("connect").await["recovered"], true, "{transports} {round}");
            assert_eq!(client.hears_event("session").await["recovered"], true);
            replies(&mut client, &[&format!("{round} missed"), &format!("{round} missed too")]).await;
        }
        nodes.world.bot_replies(NUMBER, "live").await;
        replies(&mut client, &["live"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_before_its_node_knows_that_it_left_has_one_connection() {
    let nodes = Nodes::start().await;
    let mut client = nodes.widget(r#"["websocket"]"#);
    client.hears("connect").await;
    let mut session = client.hears_event("session").await["session"].clone();
    let mut stranded = nodes.proxy.strand();
    for round in ["first", "second", "third"] {
        nodes.proxy.cut(0);
        nodes.proxy.cut(1);
        breaks(&mut client).await;
        nodes.world.bot_replies(NUMBER, &format!("{round} missed")).await;
        nodes.proxy.mend(0);
        nodes.proxy.mend(1);
        assert_eq!(client.hears("connect").await["recovered"], true, "{round}");
        let same = client.hears_event("session").await["session"].clone();
        assert_eq!(std::mem::replace(&mut session, same.clone()), same, "{round}");
        replies(&mut client, &[&format!("{round} missed")]).await;
        timeout(DEADLINE, stranded.hears_close(4003)).await.expect("the one it lost is closed for it");
    }
    nodes.world.bot_replies(NUMBER, "live").await;
    replies(&mut client, &["live"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_share_a_ticket_the_one_that_is_fenced_comes_back_as_somebody_else() {
    let nodes = Nodes::start().await;
    let mut first = nodes.widget(r#"["websocket"]"#);
    first.hears("connect").await;
    let ticket = first.hears_event("session").await["session"].clone();
    let auth = json!({ "session": ticket });
    let options = json!({
        "transports": ["websocket"], "query": { "userPhone": NUMBER }, "auth": auth, "reconnection": false,
    });
    let mut second = Client::at(&nodes.proxy.url(), &options.to_string());
    second.hears("connect").await;
    second.hears_event("session").await;
    first.hears("disconnect").await;
    // It brings its pid, and is another session from now on: else the two would close each other for ever.
    assert_eq!(first.hears("connect").await["recovered"], false);
    let own = first.hears_event("session").await["session"].clone();
    assert_ne!(own.as_str().unwrap().split_once('.'), ticket.as_str().unwrap().split_once('.'));
    nodes.world.bot_replies(NUMBER, "to both").await;
    replies(&mut first, &["to both"]).await;
    replies(&mut second, &["to both"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_saw_an_event_is_recovered_too() {
    let nodes = Nodes::start().await;
    let mut client = nodes.widget(r#"["websocket"]"#);
    client.hears("connect").await;
    client.hears_event("session").await;
    nodes.proxy.cut(0);
    nodes.proxy.cut(1);
    breaks(&mut client).await;
    nodes.world.bot_replies(NUMBER, "missed").await;
    nodes.proxy.mend(0);
    nodes.proxy.mend(1);
    assert_eq!(client.hears("connect").await["recovered"], true);
    client.hears_event("session").await;
    replies(&mut client, &["missed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_offset_means_nothing_here_is_new_and_says_so() {
    let world = World::start().await;
    let node = Node::start(&world, "one", OPEN).await;
    for offset in [json!("18a5.1"), json!("a QR code that was the last text"), json!(7), Value::Null] {
        let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket&userPhone={NUMBER}", node.address);
        let mut client = world::Client::open(&url).await;
        assert!(client.packet().await.starts_with('0'));
        client.say_text(&format!("40{}", json!({ "pid": "known", "offset": offset }))).await;
        let connected = client.packet().await;
        let connected: Value = serde_json::from_str(connected.strip_prefix("40").unwrap()).unwrap();
        assert!(connected["pid"].is_string() && connected["pid"] != "known", "{offset}: {connected}");
        let session = client.packet().await;
        assert!(session.contains(r#""recovered":false"#), "{offset}: {session}");
        world.bot_replies(NUMBER, "live").await;
        assert!(client.packet().await.contains("live"));
    }
}
