//! A new version: one edge after the other is stopped and started, under load.

use std::collections::BTreeSet;

use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::world::{Cluster, DEADLINE, Dialect, FrontDoor, FrontEnd, Load, Meta, Native, Staff};

const WIDGETS: [&str; 4] = ["5491100000721", "5491100000722", "5491100000723", "5491100000724"];
/// Short, so that the story is.
const DRAIN_MS: &str = "2000";
/// What each bot says last, and what a contact writes when everybody else is done.
const LAST: &str = "the last one";
const END: &str = "the end";

/// A bot that answers one contact all the time; what it said.
fn bot(cluster: &Cluster, phone: &'static str, stop: CancellationToken) -> JoinHandle<Vec<String>> {
    let meta = Meta::new(cluster);
    tokio::spawn(async move {
        let mut said = Vec::new();
        let mut pace = tokio::time::interval(std::time::Duration::from_millis(50));
        while stop.run_until_cancelled(pace.tick()).await.is_some() {
            let text = format!("{phone} reply {}", said.len());
            meta.store_bot_reply(phone, &text).await;
            said.push(text);
        }
        meta.store_bot_reply(phone, LAST).await;
        said.push(LAST.to_owned());
        said
    })
}

/// The texts a widget was shown over all its connections.
async fn replies(widget: &mut FrontEnd) -> Vec<String> {
    let mut shown = Vec::new();
    while shown.last().is_none_or(|text| text != LAST) {
        let reply = widget.finds("event", |line| line["name"] == "bot-response").await;
        shown.push(reply["arguments"][0]["text"].as_str().unwrap().to_owned());
    }
    shown
}

/// The texts a page that listens with `EventSource` was shown, over all its connections.
async fn events(page: &mut FrontEnd, last: &str) -> Vec<String> {
    let mut shown: Vec<String> = Vec::new();
    while shown.last().is_none_or(|text| text != last) {
        let event = page.says("event").await;
        let data = &event["frame"]["data"];
        match event["name"].as_str() {
            Some("connected") => assert_eq!(data["recovered"], true, "the page is told to reload: {event}"),
            Some("new_message") => shown.push(data["message"]["text_content"].as_str().unwrap().to_owned()),
            _ => {}
        }
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_30_three_edges_are_restarted_under_load_and_no_client_loses_or_doubles_anything() {
    let settings = [
        ("CHASQUI__EDGE__DRAIN_MS", DRAIN_MS),
        ("CHASQUI__EDGE__USER_CONNECTIONS_MAX", "0"),
        // Less than some client misses: it is let go, and gets ahead each time it comes back.
        ("CHASQUI__EDGE__OUTBOX_BYTES_MAX", "131072"),
    ];
    let cluster = Cluster::breakable_with("rolling", &settings).await;
    let (door, meta) = (FrontDoor::open(&cluster).await, Meta::new(&cluster));
    let staff = [Staff::open(&cluster, 0).await, Staff::open(&cluster, 1).await];
    let mut consoles = Vec::new();
    for edge in [0, 1, 2, 2] {
        consoles.push(Native::open(&cluster, edge, Dialect::Crm, &cluster.token).await);
    }
    let mut widgets = Vec::new();
    for (number, phone) in WIDGETS.into_iter().enumerate() {
        // With polling first, as by default, and with WebSocket alone.
        let mut options = json!({ "query": { "userPhone": phone } });
        if number % 2 == 1 {
            options["transports"] = json!(["websocket"]);
        }
        let mut widget = FrontEnd::open("socketio.mjs", &[&door.http(), &options.to_string()]);
        widget.says("connect").await;
        widgets.push(widget);
    }
    let sse = format!("{}/sse?token={}", door.http(), cluster.token);
    let mut page = FrontEnd::open("sse.mjs", &[&sse]);
    page.finds("event", |line| line["name"] == "connected").await;

    let (load, quiet) = (Load::start(&cluster), CancellationToken::new());
    let bots = WIDGETS.map(|phone| bot(&cluster, phone, quiet.clone()));
    load.goes_on_for(100).await;
    for edge in &cluster.edges {
        let ended = edge.stop().await;
        assert_eq!(ended.code(), Some(0), "{}", edge.address());
        load.goes_on_for(100).await;
        edge.start().await;
        edge.is_ready(true).await;
        load.goes_on_for(100).await;
    }
    quiet.cancel();
    let written = load.stop().await;
    let mut said = Vec::new();
    for bot in bots {
        said.push(bot.await.unwrap());
    }
    meta.text("5491100000725", END).await;

    for console in &staff {
        assert_eq!(console.texts_until(END, &written).await, written);
    }
    let all: BTreeSet<&str> = written.values().flatten().map(String::as_str).collect();
    for console in &consoles {
        let shown = console.texts_until(END).await;
        once(shown.iter().map(String::as_str), &all);
        let (greetings, reloads) = console.greetings();
        assert!(greetings >= 2 && reloads == 0, "{greetings} connections, {reloads} reloads");
        let closes = console.closes();
        assert!(closes.contains(&4000), "{closes:?}");
    }
    let shown =
        timeout(DEADLINE, events(&mut page, END)).await.expect("the page gets ahead whenever it is back");
    once(shown.iter().map(String::as_str), &all);
    for (widget, said) in widgets.iter_mut().zip(said) {
        assert_eq!(replies(widget).await, said);
    }
}

/// Of what was shown, each of the texts that were written stands there once.
fn once<'a>(shown: impl IntoIterator<Item = &'a str>, written: &BTreeSet<&str>) {
    let mut seen = BTreeSet::new();
    for text in shown.into_iter().filter(|text| written.contains(text)) {
        assert!(seen.insert(text), "{text:?} was shown twice");
    }
    let missing: Vec<&&str> = written.difference(&seen).collect();
    assert!(missing.is_empty(), "never shown: {missing:?}");
}
