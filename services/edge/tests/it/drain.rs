//! Nodes that stop: their clients are sent away in order, and lose nothing.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::world::{Client, DEADLINE, Node, World, jwt};

#[tokio::test(flavor = "multi_thread")]
async fn crm_13_a_node_that_stops_sends_its_clients_away_in_batches_and_says_when_to_come_back() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("drain_ms", "2000")]).await;
    let url = format!("ws://{}/ws", node.address);
    let mut clients = Vec::new();
    for index in 0..65 {
        // Nobody has so many connections: each is somebody else.
        let token = jwt(&json!({ "id": format!("u{index}") }));
        let mut client = Client::open(&format!("{url}?token={token}")).await;
        assert_eq!(client.frame().await["data"]["reconnect_ms_max"], 5_000);
        clients.push(client);
    }
    let address = node.address;
    let stopped = tokio::spawn(node.stop());
    let begun = Instant::now();
    let closings = clients.iter_mut().map(async |client| {
        let closing = loop {
            if let Err(closing) = client.frame_or_close().await {
                break closing;
            }
        };
        (closing, begun.elapsed())
    });
    let closings = join_all(closings).await;
    for (closing, _) in &closings {
        assert_eq!(*closing, Some((4000, "going away; retry in 0-5 s".to_owned())));
    }
    let mut moments: Vec<Duration> = closings.iter().map(|(_, at)| *at).collect();
    moments.sort();
    let first_to_last = moments[64].abs_diff(moments[0]);
    assert!(first_to_last >= Duration::from_millis(40), "four batches: {moments:?}");
    stopped.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8), "in time");
    assert!(Client::try_open(&format!("ws://{address}/ws")).await.is_none());
}

/// What is written last.
const LAST: &str = "the end";

/// A client that comes back wherever somebody answers, with the cursor of what it saw.
struct Reader {
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    token: String,
    cursor: Option<(String, u64)>,
    /// How often each text was shown.
    seen: BTreeMap<String, u32>,
}

impl Reader {
    /// Reads until it has seen the last text.
    async fn read(mut self, start: usize) -> BTreeMap<String, u32> {
        let mut turn = start;
        while !self.seen.contains_key(LAST) {
            let address = {
                let addresses = self.addresses.lock().unwrap();
                addresses[turn % addresses.len()]
            };
            turn += 1;
            let Some(mut client) = Client::try_open(&format!("ws://{address}/ws")).await else { continue };
            let since = self.cursor.as_ref().map(|(epoch, seq)| json!({ "epoch": epoch, "seq": seq }));
            client.say(&json!({ "type": "connect", "data": { "token": self.token, "since": since } })).await;
            while !self.seen.contains_key(LAST) {
                let Ok(frame) = client.frame_or_close().await else { break };
                self.take(&frame);
            }
        }
        self.seen
    }

    fn take(&mut self, frame: &Value) {
        match frame["type"].as_str().unwrap() {
            "connected" => {
                assert!(self.cursor.is_none() || frame["data"]["recovered"] == true, "{frame}");
                let epoch = frame["data"]["epoch"].as_str().unwrap().to_owned();
                self.cursor = Some((epoch, frame["seq"].as_u64().unwrap()));
            }
            "new_message" => {
                let text = frame["data"]["message"]["text_content"].as_str().unwrap();
                *self.seen.entry(text.to_owned()).or_default() += 1;
            }
            _ => {}
        }
        if let (Some(seq), Some((_, cursor))) = (frame["seq"].as_u64(), &mut self.cursor) {
            *cursor = seq.max(*cursor);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_restarted_in_turn_lose_and_double_nothing_for_clients_that_resume() {
    const CLIENTS: usize = 30;
    let world = Arc::new(World::start().await);
    let settings = [("drain_ms", "500"), ("user_connections_max", "0")];
    let mut nodes = Vec::new();
    for name in ["one", "two", "three"] {
        nodes.push(Node::start(&world, name, &settings).await);
    }
    let addresses = Arc::new(Mutex::new(nodes.iter().map(|node| node.address).collect::<Vec<_>>()));
    let token = jwt(&json!({ "id": "agent-1" }));
    // Who comes fresh sees what happens from then on: everyone is in before the first message.
    let epoch = nodes[0].staff("default", None).await.frame().await;
    let cursor = (epoch["data"]["epoch"].as_str().unwrap().to_owned(), epoch["seq"].as_u64().unwrap());
    let done = CancellationToken::new();
    let writer = tokio::spawn({
        let (done, world) = (done.clone(), world.clone());
        async move {
            let mut count = 0;
            while !done.is_cancelled() {
                world.contact_writes(&format!("549110000000{}", count % 5), &format!("text {count}")).await;
                count += 1;
            }
            world.contact_writes("5491100000001", LAST).await;
            count + 1
        }
    });
    let readers: Vec<JoinHandle<_>> = (0..CLIENTS)
        .map(|index| {
            let (addresses, token) = (addresses.clone(), token.clone());
            let reader = Reader { addresses, token, cursor: Some(cursor.clone()), seen: BTreeMap::new() };
            tokio::spawn(reader.read(index))
        })
        .collect();
    for index in 0..3 {
        let old = nodes.remove(0);
        old.stop().await;
        let node = Node::start(&world, ["four", "five", "six"][index], &settings).await;
        addresses.lock().unwrap()[index] = node.address;
        nodes.push(node);
    }
    done.cancel();
    let texts = writer.await.unwrap();
    let seen = tokio::time::timeout(DEADLINE * 2, join_all(readers)).await.expect("everyone sees everything");
    for seen in seen {
        let seen = seen.unwrap();
        assert_eq!(seen.len(), texts);
        let doubled: Vec<_> = seen.iter().filter(|(_, times)| **times != 1).collect();
        assert!(doubled.is_empty(), "shown more than once: {doubled:?}");
    }
}
