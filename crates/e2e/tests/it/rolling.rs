//! A new version: one edge after the other is stopped and started, under load.

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::{Cluster, Dialect, FrontDoor, FrontEnd, Load, Meta, Native, Staff};

const WIDGETS: [&str; 4] = ["5491100000721", "5491100000722", "5491100000723", "5491100000724"];
/// Short, so that the story is.
const DRAIN_MS: &str = "2000";
const LAST: &str = "the last one";

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

/// The texts a page that listens with `EventSource` was shown.
async fn events(page: &mut FrontEnd, last: &str) -> Vec<String> {
    let mut shown: Vec<String> = Vec::new();
    while shown.last().is_none_or(|text| text != last) {
        let event = page.finds("event", |line| line["name"] == "new_message").await;
        shown.push(event["frame"]["data"]["message"]["text_content"].as_str().unwrap().to_owned());
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_30_three_edges_are_restarted_under_load_and_no_client_loses_or_doubles_anything() {
    let drain = [("CHASQUI__EDGE__DRAIN_MS", DRAIN_MS), ("CHASQUI__EDGE__USER_CONNECTIONS_MAX", "0")];
    let cluster = Cluster::breakable_with("rolling", &drain).await;
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
    meta.text("5491100000725", LAST).await;

    for console in &staff {
        assert_eq!(console.texts_until(LAST, &written).await, written);
    }
    let all = written.values().map(Vec::len).sum::<usize>();
    for console in &consoles {
        console.texts_until(LAST).await;
        assert_eq!(once(&console.everything()), all, "what contacts wrote, each once");
        let (greetings, reloads) = console.greetings();
        assert!(greetings >= 2 && reloads == 0, "{greetings} connections, {reloads} reloads");
        let closes = console.closes();
        assert!(!closes.is_empty() && closes.iter().all(|code| *code == 4000), "{closes:?}");
    }
    let shown = events(&mut page, LAST).await;
    let mut of_contacts: Vec<&String> = shown.iter().filter(|text| is_of_contact(text)).collect();
    let count = of_contacts.len();
    of_contacts.sort();
    of_contacts.dedup();
    assert_eq!((of_contacts.len(), count), (all, all), "the page shows what contacts wrote, each once");
    for (widget, bot) in widgets.iter_mut().zip(bots) {
        assert_eq!(replies(widget).await, bot.await.unwrap());
    }
}

/// What contacts write in the load: their number and a count.
fn is_of_contact(text: &str) -> bool {
    text.starts_with("549110000000") || text.starts_with("5491100000020")
}

/// How many texts of contacts were shown.
///
/// # Panics
/// When one was shown twice.
fn once(frames: &[Value]) -> usize {
    let shown = frames.iter().filter_map(crate::world::text_of).filter(|text| is_of_contact(text));
    let mut texts: Vec<&str> = shown.collect();
    let count = texts.len();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), count, "something was shown twice");
    count
}
