//! Chats between users and agents while nodes die and the broker is away.

use chasqui_testkit::wait_for;
use serde_json::{Value, json};

use crate::world::{Cluster, DEADLINE, Dialect, FrontDoor, FrontEnd, Meta, Native};

/// Long enough to come back, short enough for a story.
const GRACE_MS: &str = "3000";

async fn agent(cluster: &Cluster, number: usize) {
    let (id, user) = (format!("a-{number}"), format!("asesor-{number}"));
    cluster.tool(&["admin", "user", "put", &user, "--name", "Asesor"]).await;
    cluster.tool(&["admin", "agent", "put", &id, "--user", &user]).await;
}

/// An agent at one edge, once that edge has heard that it is one.
async fn agent_at(cluster: &Cluster, edge: usize, number: usize) -> Native {
    let token = Cluster::token_of(&format!("asesor-{number}"), "default");
    loop {
        let front_end = Native::open(cluster, edge, Dialect::Chat, &token).await;
        if !front_end.frames("agent_connected").is_empty() {
            return front_end;
        }
    }
}

/// Writes a message until it is accepted: its client does that after a broken connection, or an error.
async fn writes(writer: &Native, chat: &str, user: Option<&str>, text: &str) {
    let client_id = json!(text);
    let frame = match user {
        Some(user) => json!({ "event": "chat_message", "chat_id": chat, "sender_id": user, "message": text,
            "client_id": client_id }),
        None => {
            json!({ "event": "agent_chat_message", "chat_id": chat, "message": text, "client_id": client_id })
        }
    };
    let mut answered_before = usize::MAX;
    let mut connections_before = 0;
    wait_for(DEADLINE, &format!("{text:?} is accepted"), async || {
        if writer.frames("message_accepted").iter().any(|frame| frame["client_id"] == client_id) {
            return Some(());
        }
        let everything = writer.everything();
        let refused = |frame: &&Value| frame.get("error").is_some() || frame["event"] == "error";
        let (refusals, connections) = (everything.iter().filter(refused).count(), writer.greetings().0);
        if writer.edge().is_some() && (refusals != answered_before || connections != connections_before) {
            (answered_before, connections_before) = (refusals, connections);
            writer.says(&frame);
        }
        None
    })
    .await;
}

fn agents_of_chat(front_end: &Native) -> Vec<Value> {
    let told = front_end.frames("chat_assigned");
    told.iter().map(|frame| frame["chat"]["agent_id"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_25_an_agent_of_a_killed_node_keeps_its_chat_within_grace_and_loses_it_after() {
    let grace = [("CHASQUI__PERSISTENCE__AGENT_GRACE_MS", GRACE_MS)];
    let cluster = Cluster::breakable_with("chats-under-faults", &grace).await;
    agent(&cluster, 1).await;
    agent(&cluster, 2).await;
    let first = agent_at(&cluster, 0, 1).await;
    let token = Cluster::token_of("socia", "default");
    let user = Native::open(&cluster, 2, Dialect::Chat, &token).await;
    writes(&user, "socia", Some("socia"), "hola").await;
    let chat = first.sees("the chat is the first agent's", |frame| {
        (frame["event"] == "chat_message").then(|| frame["chat_id"].as_str().unwrap().to_owned())
    });
    let chat = chat.await;
    let second = agent_at(&cluster, 2, 2).await;

    // Its node dies, and it is back at another one at once: the chat stays, with what was written meanwhile.
    cluster.edges[0].kill().await;
    writes(&user, "socia", Some("socia"), "¿sigues ahí?").await;
    first.is_live_away_from(0).await;
    writes(&first, &chat, None, "aquí sigo").await;
    let said = ["hola", "¿sigues ahí?", "aquí sigo"];
    assert_eq!(user.texts_until(said[2]).await, said);
    assert_eq!(first.texts_until(said[2]).await, said);
    assert_eq!(agents_of_chat(&user), ["a-1"], "within grace nothing changes hands");

    // The next time it does not come back: after the grace the chat is the other agent's, with all that was said.
    first.is_the_last_time();
    let edge = first.edge().expect("it is live");
    cluster.edges[edge].kill().await;
    first.ends().await;
    writes(&user, "socia", Some("socia"), "¿hay alguien?").await;
    second
        .sees("the chat is the second agent's", |frame| {
            (frame["event"] == "chat_assigned" && frame["chat"]["agent_id"] == "a-2").then_some(())
        })
        .await;
    writes(&second, &chat, None, "soy otra persona").await;
    let said = ["hola", "¿sigues ahí?", "aquí sigo", "¿hay alguien?", "soy otra persona"];
    assert_eq!(user.texts_until(said[4]).await, said);
    assert_eq!(
        second.texts_until(said[4]).await,
        said,
        "the second agent is shown what was said before it came"
    );
    assert_eq!(agents_of_chat(&user), ["a-1", "a-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_44_while_the_broker_is_away_chats_and_widgets_wait_and_then_show_everything_once() {
    let cluster = Cluster::breakable("broker-away-chats").await;
    agent(&cluster, 1).await;
    let (door, meta) = (FrontDoor::open(&cluster).await, Meta::new(&cluster));
    let phone = "5491100000711";
    let mut widget = FrontEnd::open("konecte.mjs", &[&door.http(), phone]);
    widget.says("connect").await;
    let agent = agent_at(&cluster, 0, 1).await;
    let user = Native::open(&cluster, 1, Dialect::Chat, &Cluster::token_of("socio", "default")).await;
    writes(&user, "socio", Some("socio"), "uno").await;
    let chat = agent.sees("the agent has the chat", |frame| {
        (frame["event"] == "chat_message").then(|| frame["chat_id"].as_str().unwrap().to_owned())
    });
    let chat = chat.await;
    meta.store_bot_reply(phone, "antes").await;
    assert_eq!(widget.says("message").await["text"], "antes");

    cluster.nats.kill();
    for edge in &cluster.edges {
        edge.is_ready(false).await;
    }
    let written = async {
        // Errors meanwhile; each is sent again under its own name until it is accepted.
        tokio::join!(
            writes(&user, "socio", Some("socio"), "dos"),
            writes(&agent, &chat, None, "tres"),
            meta.store_bot_reply(phone, "durante"),
        );
    };
    let restarted = async {
        let is_refused = |frame: &Value| frame.get("error").is_some().then_some(());
        user.sees("the user is told that it cannot be stored", is_refused).await;
        cluster.nats.restart().await.unwrap();
    };
    tokio::join!(written, restarted);
    writes(&user, "socio", Some("socio"), "fin").await;
    meta.store_bot_reply(phone, "fin").await;
    for front_end in [&user, &agent] {
        let texts = front_end.texts_until("fin").await;
        let mut sorted = texts.clone();
        sorted.sort();
        assert_eq!(sorted, ["dos", "fin", "tres", "uno"], "{texts:?}");
        assert_eq!(front_end.greetings(), (1, 0), "sockets stay while the broker is away");
    }
    assert_eq!(widget.says("message").await["text"], "durante");
    assert_eq!(widget.says("message").await["text"], "fin");
}
