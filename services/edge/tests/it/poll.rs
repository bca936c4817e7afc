//! Long polling, one request after another, each to another node.

use std::time::{Duration, Instant};

use chasqui_testkit::wait_for;
use reqwest::Client as Http;
use serde_json::{Value, json};

use crate::world::{DEADLINE, Node, World, jwt};

const NUMBER: &str = "5491100000001";

/// What a client keeps between its requests.
struct Poller {
    http: Http,
    token: String,
    cursor: String,
}

impl Poller {
    fn new(claims: &Value) -> Self {
        Self { http: Http::new(), token: jwt(claims), cursor: String::new() }
    }

    fn staff() -> Self {
        Self::new(&json!({ "id": "agent-1", "tenant": "default" }))
    }

    async fn asks(&self, node: &Node, query: &str) -> (u16, Value) {
        let url = format!("http://{}/api/events?{query}", node.address);
        let response = self.http.get(url).bearer_auth(&self.token).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Asks with its cursor, and takes the next one.
    async fn polls(&mut self, node: &Node, wait: u64) -> Value {
        let (status, answer) = self.asks(node, &format!("since={}&wait={wait}", self.cursor)).await;
        assert_eq!((status, &answer["success"]), (200, &json!(true)), "{answer}");
        answer["cursor"].as_str().unwrap().clone_into(&mut self.cursor);
        answer
    }
}

fn messages(answer: &Value) -> Vec<(String, u64)> {
    let frames = answer["events"].as_array().unwrap().iter();
    frames
        .filter(|frame| frame["type"] == "new_message")
        .map(|frame| {
            let text = frame["data"]["message"]["text_content"].as_str().unwrap();
            (text.to_owned(), frame["seq"].as_u64().unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_polls_three_nodes_in_turn_loses_and_doubles_nothing_while_messages_flow() {
    let world = World::start().await;
    let nodes = [
        Node::start(&world, "one", &[]).await,
        Node::start(&world, "two", &[]).await,
        Node::start(&world, "three", &[("linger_ms", "1")]).await,
    ];
    let mut poller = Poller::staff();
    assert_eq!(poller.polls(&nodes[0], 25).await["recovered"], false, "it brought no cursor");
    let writing = async {
        let mut written = Vec::new();
        for index in 0..600 {
            let text = format!("{index}");
            written.push((text.clone(), world.contact_writes(NUMBER, &text).await));
        }
        written
    };
    let polling = async {
        let (mut read, mut round) = (Vec::new(), 0);
        while read.len() < 600 {
            let answer = poller.polls(&nodes[round % 3], 10).await;
            assert_eq!(answer["recovered"], true);
            read.extend(messages(&answer));
            round += 1;
        }
        read
    };
    let (written, read) = tokio::join!(writing, polling);
    assert_eq!(read, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_is_answered_when_something_happens_or_when_its_time_is_over() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let mut poller = Poller::staff();
    let began = Instant::now();
    poller.polls(&node, 50).await;
    assert!(began.elapsed() < Duration::from_secs(5), "without a cursor it is told the current one at once");
    let quiet = poller.polls(&node, 0).await;
    assert_eq!((quiet["events"].as_array().unwrap().len(), &quiet["recovered"]), (0, &json!(true)));
    let (answer, seq) = tokio::join!(poller.polls(&node, 40), world.contact_writes(NUMBER, "hola"));
    assert_eq!(messages(&answer), [("hola".to_owned(), seq)]);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_for_one_answer_comes_with_the_next() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let mut poller = Poller::staff();
    poller.polls(&node, 0).await;
    let mut written = Vec::new();
    for index in 0..450 {
        let text = format!("{index}");
        written.push((text.clone(), world.contact_writes(NUMBER, &text).await));
    }
    let mut read = Vec::new();
    for expected in [200, 200, 50] {
        let answer = poller.polls(&node, 5).await;
        let messages = messages(&answer);
        assert_eq!(messages.len(), expected);
        read.extend(messages);
    }
    assert_eq!(read, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_polls_what_concerns_it() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let mut poller = Poller::new(&json!({ "id": NUMBER, "phone": NUMBER }));
    poller.polls(&node, 0).await;
    world.bot_replies("5491100000002", "for another").await;
    world.bot_replies(NUMBER, "for you").await;
    let answer = poller.polls(&node, 10).await;
    let texts: Vec<String> = messages(&answer).into_iter().map(|(text, _)| text).collect();
    assert_eq!(texts, ["for you"]);
    assert!(answer["events"][0]["data"]["conversation"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_cannot_be_answered_says_why_and_a_stopping_node_does_not_keep_it() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("sockets_max", "1")]).await;
    let poller = Poller::staff();
    for (query, says) in [("since=7", "since"), ("wait=51", "wait must be 0 to 50"), ("wait=long", "wait")] {
        let (status, answer) = poller.asks(&node, query).await;
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_input")));
        assert!(answer["message"].as_str().unwrap().contains(says), "{answer}");
    }
    let stranger = Poller { token: "a.b.c".to_owned(), ..Poller::staff() };
    assert_eq!(stranger.asks(&node, "").await.0, 401);
    let (_, lost) = poller.asks(&node, "since=abc.7&wait=50").await;
    assert_eq!((&lost["recovered"], lost["events"].as_array().unwrap().len()), (&json!(false), 0));
    let query = format!("since={}&wait=50", lost["cursor"].as_str().unwrap());
    let waiting = tokio::spawn({
        let (url, token) = (format!("http://{}/api/events?{query}", node.address), poller.token.clone());
        async move {
            loop {
                let response = Http::new().get(&url).bearer_auth(&token).send().await.unwrap();
                // The only place was just taken by the one who looks whether it is.
                if response.status() != 503 {
                    return response.status().as_u16();
                }
            }
        }
    });
    wait_for(DEADLINE, "it has the only place", async || {
        (poller.asks(&node, "").await.0 == 503).then_some(())
    })
    .await;
    node.stop().await;
    assert_eq!(waiting.await.unwrap(), 200, "it goes on at another node");
}
