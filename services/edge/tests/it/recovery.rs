//! Connection state recovery with the real `socket.io-client`, which knows nothing of us.

use serde_json::{Value, json};

use crate::proxy::Proxy;
use crate::socketio_client::Client;
use crate::world::{self, Node, World};

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
