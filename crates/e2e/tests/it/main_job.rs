//! The main job: what a contact writes on WhatsApp is at every member of staff and in the database.

use chasqui_simulator::payload;
use chasqui_testkit::wait_for;
use serde_json::{Value, json};

use crate::world::{Cluster, DEADLINE, Meta, NUMBER, Shown, Staff};

const CONTACT: &str = "5491100000101";
const WITHOUT_NUMBER: &str = "AR.13491208655302741918";
const SECOND: &str = "5491100000102";
const THIRD: &str = "5491100000103";

/// Consoles at all three edges.
async fn staff_everywhere(cluster: &Cluster) -> [Staff; 3] {
    [Staff::open(cluster, 0).await, Staff::open(cluster, 1).await, Staff::open(cluster, 2).await]
}

/// Posts each message as a webhook of its own, to the ingests in turn; their types and WhatsApp's ids.
async fn deliver_every_type(meta: &Meta, from: &str) -> (Vec<&'static str>, Vec<String>) {
    let (mut types, mut wamids) = (Vec::new(), Vec::new());
    for (kind, message) in payload::every_type(from) {
        meta.deliver(&payload::webhook(NUMBER, std::slice::from_ref(&message))).await;
        types.push(kind);
        wamids.push(message["id"].as_str().unwrap().to_owned());
    }
    (types, wamids)
}

fn texts(messages: &[Value], member: &str) -> Vec<String> {
    messages.iter().map(|message| message[member].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_01_every_type_of_message_is_shown_once_in_order_on_every_edge_and_stored() {
    let cluster = Cluster::shared().await;
    let (meta, staff) = (Meta::new(&cluster), staff_everywhere(&cluster).await);
    for from in [CONTACT, WITHOUT_NUMBER] {
        let (types, wamids) = deliver_every_type(&meta, from).await;
        let last = format!("the last of {from}");
        let last_wamid = meta.text(from, &last).await;
        let wamids = [wamids, vec![last_wamid]].concat();
        let mut at_first_edge: Option<Vec<Shown>> = None;
        for console in &staff {
            let shown = console.messages_until(&last).await;
            let phone = shown.iter().find(|shown| shown.text == last).unwrap().phone.clone();
            let shown: Vec<Shown> = shown.into_iter().filter(|shown| shown.phone == phone).collect();
            let kinds: Vec<&str> = shown.iter().map(|shown| shown.kind.as_str()).collect();
            assert_eq!(kinds, [&types[..], &["text"]].concat(), "what {from} wrote");
            assert_eq!(*at_first_edge.get_or_insert_with(|| shown.clone()), shown, "edges differ");
        }
        let shown = at_first_edge.expect("there are three consoles");
        for (edge, conversation) in [(1, shown[0].phone.clone()), (2, shown[0].phone.clone())] {
            let stored = cluster.stored(edge, &conversation, wamids.len()).await;
            assert_eq!(texts(&stored, "provider_id"), wamids);
            assert_eq!(texts(&stored, "id"), shown.iter().map(|shown| shown.id.clone()).collect::<Vec<_>>());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_17_a_message_is_followed_by_its_conversation_and_the_counters() {
    let cluster = Cluster::shared().await;
    let (meta, [staff, ..]) = (Meta::new(&cluster), staff_everywhere(&cluster).await);
    let counted_before = staff.frames("stats_updated").last().map_or(0, messages_in);
    for text in ["hola", "¿están?", "¿hay alguien?"] {
        meta.text(SECOND, text).await;
    }
    // Two persistences may store the third before the second.
    let is_whole = |frame: &Value| {
        let conversation = &frame["data"]["conversation"];
        let is_last = conversation["last_message"]["text_content"] == "¿hay alguien?";
        let is_whole =
            is_last && conversation["unread_count"] == 3 && conversation["contact_name"] == "Contact 02";
        (frame["type"] == "conversation_updated" && is_whole).then(|| conversation.clone())
    };
    let shown = staff.sees("the conversation is shown with all three messages", is_whole).await;
    let counted = |frame: &Value| {
        (frame["type"] == "stats_updated" && messages_in(frame) >= counted_before + 3).then_some(())
    };
    staff.sees("the counters follow", counted).await;
    for edge in 0..3 {
        let listed = cluster.conversations(edge).await;
        let listed = listed.iter().find(|listed| listed["contact_phone"] == SECOND).expect("it is stored");
        for member in ["id", "uuid", "unread_count", "last_message", "last_message_at", "contact_name"] {
            assert_eq!(listed[member], shown[member], "{member} at edge {edge}");
        }
    }
    staff.says(json!({ "type": "mark_read", "data": { "conversation_id": shown["id"] } }));
    let is_read = |frame: &Value| {
        let conversation = &frame["data"]["conversation"];
        let updated = frame["type"] == "conversation_updated" && conversation["id"] == shown["id"];
        (updated && conversation["unread_count"] == 0).then_some(())
    };
    staff.sees("nothing is unread any more", is_read).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_02_a_status_reaches_every_edge_and_what_is_stored_only_moves_up() {
    let cluster = Cluster::shared().await;
    let (meta, staff) = (Meta::new(&cluster), staff_everywhere(&cluster).await);
    let wamid = meta.text(THIRD, "con estado").await;
    for status in ["sent", "read", "delivered"] {
        let status = payload::status(&wamid, THIRD, status);
        meta.deliver(&payload::status_webhook(NUMBER, &[status])).await;
    }
    let stored = cluster.stored(0, THIRD, 1).await;
    let (id, conversation) = (stored[0]["id"].clone(), stored[0]["conversation_id"].clone());
    for console in &staff {
        let claim = "the last status is shown";
        let is_last = |frame: &Value| {
            let data = &frame["data"];
            let ours = frame["type"] == "message_status_updated" && data["message_id"] == id;
            (ours && data["status"] == "read").then(|| data.clone())
        };
        let shown = console.sees(claim, is_last).await;
        assert_eq!(shown["conversation_id"], conversation);
    }
    meta.text(THIRD, "después").await;
    for console in &staff {
        console.messages_until("después").await;
        let shown = console.frames("message_status_updated");
        let shown = shown.iter().filter(|frame| frame["data"]["message_id"] == id);
        let shown: Vec<&str> = shown.map(|frame| frame["data"]["status"].as_str().unwrap()).collect();
        assert_eq!(shown, ["sent", "read"], "a status that comes late is no step back");
    }
    cluster.stored(1, THIRD, 2).await;
    wait_for(DEADLINE, "the highest status is stored", async || {
        (cluster.messages(2, THIRD).await[0]["status"] == "read").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_answer_is_accepted_and_shown_on_the_other_edges() {
    let cluster = Cluster::shared().await;
    let (meta, [here, there, _]) = (Meta::new(&cluster), staff_everywhere(&cluster).await);
    let phone = "5491100000104";
    meta.text(phone, "quiero un turno").await;
    cluster.stored(0, phone, 1).await;
    let answer = json!({ "conversation_id": phone, "text": "el lunes a las 10", "client_id": "c-1" });
    here.says(json!({ "type": "send_message", "data": answer }));
    let accepted = |frame: &Value| (frame["type"] == "message_accepted").then(|| frame["data"].clone());
    let accepted = here.sees("the answer is durable", accepted).await;
    assert_eq!(accepted["client_id"], "c-1");
    let shown = there.messages_until("el lunes a las 10").await;
    let shown = shown.iter().find(|shown| shown.text == "el lunes a las 10").expect("it was waited for");
    assert_eq!(shown.id, accepted["message_id"].as_str().unwrap());
    let stored = cluster.stored(2, phone, 2).await;
    assert_eq!((&stored[1]["direction"], &stored[1]["sender_type"]), (&json!("out"), &json!("agent")));
}

fn messages_in(frame: &Value) -> u64 {
    frame["data"]["stats"]["messages_in"].as_u64().expect("counters are numbers")
}
