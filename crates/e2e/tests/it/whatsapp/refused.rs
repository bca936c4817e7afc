//! What WhatsApp refuses, delays or leaves unanswered.

use serde_json::json;

use super::{Sender, text};
use crate::world::{Cluster, FrontDoor, Outside, text_of};

fn contact(number: usize) -> String {
    format!("54911000005{number:02}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_ends_as_its_class_says_and_nothing_is_sent_twice() {
    let settings =
        [("CHASQUI__WHATSAPP__SEND_WAIT_MS", "1500"), ("CHASQUI__WHATSAPP__UNCERTAIN_WAIT_MS", "4000")];
    let cluster = Cluster::connected("refused", &settings).await;
    let (door, outside) = (FrontDoor::open(&cluster).await, Outside::of(&cluster));
    let sender = Sender::new(&cluster, &door);
    sender.is_connected().await;
    outside.opens_every_window().await;
    // What befalls the first message to each contact, and what becomes of it.
    let stories = [
        (json!({ "code": 130_429, "http": 429 }), "read"),
        (json!({ "code": 131_000, "http": 500 }), "read"),
        (json!("http_500_html"), "read"),
        (json!({ "code": 131_056, "http": 429 }), "read"),
        // It was taken, and the statuses say so.
        (json!("timeout_after_write"), "read"),
        // It was not, and nobody ever says so: not sent on a guess.
        (json!("timeout_before"), "failed"),
        (json!({ "code": 131_026, "http": 400 }), "failed"),
        (json!({ "async_failed": 131_026 }), "failed"),
    ];
    let mut sent = Vec::new();
    for (number, (fault, outcome)) in stories.iter().enumerate() {
        let to = contact(number);
        outside.fault(json!({ "match": { "to": to }, "then": fault })).await;
        let id = sender.sends(&text(&to, &format!("historia {number}"))).await;
        sent.push((to, id, outcome, fault));
    }
    for (to, id, outcome, fault) in &sent {
        let status = sender.status_is(to, id, &[outcome]).await;
        assert_eq!(&status, *outcome, "{fault}");
    }
    let stats = outside.stats().await;
    assert_eq!((&stats["duplicates"], &stats["pair_violations"]), (&json!(0), &json!(0)), "{stats}");
    let letters = cluster.tool(&["dlq", "list"]).await;
    assert!(letters.contains("uncertain"), "what nobody answered can be replayed: {letters}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_window_is_answered_with_the_template_where_there_is_one() {
    let cluster = Cluster::shared().await;
    let (door, outside) = (FrontDoor::open(&cluster).await, Outside::of(&cluster));
    let sender = Sender::new(&cluster, &door);
    sender.is_connected().await;
    let (with, without) = (contact(21), contact(22));
    let template = json!({ "name": "seguimos", "language": { "code": "es" } });
    let mut message = text(&with, "hola otra vez");
    message["fallback_template"] = template;
    let (replaced, refused) = (sender.sends(&message).await, sender.sends(&text(&without, "hola")).await);
    sender.status_is(&with, &replaced, &["read"]).await;
    assert_eq!(outside.phone_has(&with, 1).await[0]["body"]["template"]["name"], "seguimos");
    sender.status_is(&without, &refused, &["failed"]).await;
    // The contact writes: now anything goes.
    outside.writes(&without, json!({ "text": "acá estoy" })).await;
    let taken = sender.sends(&text(&without, "¡hola!")).await;
    sender.status_is(&without, &taken, &["read"]).await;
    assert_eq!(text_of(&outside.phone_has(&without, 1).await[0]), "¡hola!");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_stops_the_number_and_loses_nothing() {
    let cluster = Cluster::connected("token", &[]).await;
    let (door, outside) = (FrontDoor::open(&cluster).await, Outside::of(&cluster));
    let sender = Sender::new(&cluster, &door);
    sender.is_connected().await;
    outside.opens_every_window().await;
    outside.fault(json!({ "match": {}, "then": { "code": 190, "http": 401 }, "times": 1 })).await;
    let mut ids = Vec::new();
    for number in 31..36 {
        ids.push((contact(number), sender.tries(&text(&contact(number), "hola"), None).await));
    }
    // The token is good again: whoever runs the number opens it, or it is looked at again by itself.
    let url = format!("{}/100000000000001/api/wapp-session/init", cluster.ingests[0].url(""));
    crate::world::http().post(url).header("x-api-key", Cluster::api_key()).send().await.unwrap();
    for (to, (status, answer)) in &ids {
        if status.is_success() {
            sender.status_is(to, answer["messageId"].as_str().unwrap(), &["read"]).await;
        } else {
            assert_eq!(answer["error"], "Cliente de WhatsApp no está conectado", "SHC-08");
        }
    }
    assert_eq!(outside.stats().await["duplicates"], 0);
}
