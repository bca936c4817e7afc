//! A conversation over a number of the Cloud API.

use serde_json::{Value, json};

use super::{Sender, text};
use crate::world::{Cluster, FrontDoor, Outside, Staff, http, text_of};

const CONTACT: &str = "5491100000461";
const OTHER: &str = "5491100000462";

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_and_a_contact_write_to_each_other_and_see_how_far_it_got() {
    let cluster = Cluster::shared().await;
    let (door, outside) = (FrontDoor::open(&cluster).await, Outside::of(&cluster));
    let (sender, staff) = (Sender::new(&cluster, &door), Staff::open(&cluster, 1).await);
    sender.is_connected().await;
    outside.writes(CONTACT, json!({ "text": "¿tienen turnos?" })).await;
    let conversation = staff
        .sees("the contact's message", |frame| {
            let message = &frame["data"]["message"];
            (message["text_content"] == "¿tienen turnos?").then(|| message["conversation_id"].clone())
        })
        .await;

    // Who may answer is asked of what is stored.
    cluster.stored(0, CONTACT, 1).await;
    staff.says(json!({ "type": "send_message", "data": { "conversation_id": conversation, "text": "mañana a las 9" } }));
    assert_eq!(text_of(&outside.phone_has(CONTACT, 1).await[0]), "mañana a las 9");
    let id = staff
        .sees("the agent's own message", |frame| {
            let message = &frame["data"]["message"];
            (message["text_content"] == "mañana a las 9").then(|| message["id"].clone())
        })
        .await;
    for status in ["delivered", "read"] {
        staff
            .sees(&format!("CRM-02: the message is {status}"), |frame| {
                let is_it = frame["type"] == "message_status_updated" && frame["data"]["message_id"] == id;
                (is_it && frame["data"]["status"] == status).then_some(())
            })
            .await;
    }

    // The same from a back end; repeated under its key it is one message.
    let (first, second) = (
        sender.tries(&text(CONTACT, "su turno quedó agendado"), Some("turno-7")).await,
        sender.tries(&text(CONTACT, "su turno quedó agendado"), Some("turno-7")).await,
    );
    assert_eq!((first.0.as_u16(), second.0.as_u16()), (200, 200));
    assert_eq!(first.1["messageId"], second.1["messageId"]);
    sender.status_is(CONTACT, first.1["messageId"].as_str().unwrap(), &["read"]).await;
    assert_eq!(outside.phone_has(CONTACT, 2).await.len(), 2, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_reaches_staff_by_an_address_that_opens_it_and_no_other() {
    let cluster = Cluster::shared().await;
    let (outside, staff) = (Outside::of(&cluster), Staff::open(&cluster, 2).await);
    outside.writes(OTHER, json!({ "type": "image" })).await;
    let url = staff
        .sees("the picture has an address", |frame| {
            let message = &frame["data"]["message"];
            let is_it = message["external_id"].as_str().is_some_and(|id| id.starts_with(OTHER));
            let media_url = message["media_url"].as_str().or_else(|| message["media"]["url"].as_str());
            media_url.filter(|_| is_it).map(str::to_owned)
        })
        .await;
    let path = &url[url.find("/media/").expect("it is one of ours")..];
    // Any edge serves it.
    for edge in &cluster.edges {
        let answer = http().get(edge.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], "image/jpeg");
        assert!(!answer.bytes().await.unwrap().is_empty());
    }
    let forged = path.replace("/media/default/", "/media/another/");
    let refused = http().get(cluster.edges[0].url(&forged)).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    let body: Value = refused.json().await.unwrap();
    assert!(body["error"].is_string(), "{body}");
}
