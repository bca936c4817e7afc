//! An edge dies; its clients come back elsewhere.

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::{Cluster, Load, Meta, Staff, Widget};

const WIDGETS: [&str; 3] = ["5491100000401", "5491100000402", "5491100000403"];

/// A bot that answers one contact all the time; what it said.
fn bot(cluster: &Cluster, phone: &'static str, stop: CancellationToken) -> JoinHandle<Vec<String>> {
    let meta = Meta::new(cluster);
    tokio::spawn(async move {
        let mut said = Vec::new();
        while !stop.is_cancelled() {
            let text = format!("{phone} reply {}", said.len());
            meta.store_bot_reply(phone, &text).await;
            said.push(text);
        }
        said
    })
}

fn text(reply: &Value) -> String {
    reply["text"].as_str().expect("a reply has a text").to_owned()
}

/// Reads what the widget at the dead edge was shown, and the rest at another one.
async fn shown_until(cluster: &Cluster, mut widget: Widget, phone: &str, last: &str) -> Vec<String> {
    let before = widget.replies_before("disconnect").await;
    let seq = before.last().map_or(&widget.session["seq"], |reply| &reply["seq"]);
    let since = json!({ "auth": { "since": { "epoch": widget.session["epoch"], "seq": seq } } });
    let mut back = Widget::open_with(cluster, 2, phone, since).await;
    assert_eq!(back.session["recovered"], true);
    let mut shown: Vec<String> = before.iter().map(text).collect();
    while shown.last().is_none_or(|text| text != last) {
        shown.push(back.reply_text().await);
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_killed_edge_come_back_elsewhere_and_miss_nothing_and_see_nothing_twice() {
    let cluster = Cluster::breakable("edge-killed").await;
    let meta = Meta::new(&cluster);
    let mut staff = Vec::new();
    // Several at the edge that dies, and one that only watches.
    for edge in [0, 0, 0, 1] {
        staff.push(Staff::open(&cluster, edge).await);
    }
    let mut widgets = Vec::new();
    for phone in WIDGETS {
        widgets.push(Widget::open(&cluster, 0, phone).await);
    }
    let (load, quiet) = (Load::start(&cluster), CancellationToken::new());
    let bots = WIDGETS.map(|phone| bot(&cluster, phone, quiet.clone()));
    load.goes_on_for(200).await;
    cluster.edges[0].kill().await;
    load.goes_on_for(200).await;
    for console in &staff {
        console.is_live_away_from("edge-1").await;
    }
    // The dead one comes back while everything goes on, and another one goes.
    cluster.edges[0].start().await;
    cluster.edges[0].is_ready(true).await;
    cluster.edges[1].kill().await;
    for console in &staff {
        console.is_live_away_from("edge-2").await;
    }
    load.goes_on_for(200).await;
    quiet.cancel();
    let written = load.stop().await;
    let last = "the last one";
    for (phone, bot) in WIDGETS.into_iter().zip(bots) {
        let mut said = bot.await.unwrap();
        meta.store_bot_reply(phone, last).await;
        said.push(last.to_owned());
        let shown = shown_until(&cluster, widgets.remove(0), phone, last).await;
        assert_eq!(shown, said, "the widget of {phone}");
    }
    meta.text("5491100000404", "the end").await;
    for console in &staff {
        assert_eq!(console.texts_until("the end", &written).await, written);
    }
    assert_eq!(cluster.stored_texts(2, &written).await, written);
}
