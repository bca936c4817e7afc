//! Owners of numbers are killed while they send.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use chasqui_testkit::wait_for;
use serde_json::{Value, json};

use super::{Sender, text};
use crate::world::{Cluster, DEADLINE, FrontDoor, FrontEnd, Outside, Phone, http};

/// Messages that are under way when an owner is killed.
const MESSAGES: usize = 400;
/// Within this a number has another owner.
const TAKEN_OVER_MAX: Duration = Duration::from_secs(10);

fn contact(number: usize) -> String {
    format!("5491100{number:06}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_killed_in_the_middle_leaves_no_message_unsent_twice_or_unknown() {
    let settings = [("CHASQUI__WHATSAPP__UNCERTAIN_WAIT_MS", "5000")];
    let cluster = Cluster::connected("killed-sending", &settings).await;
    let (door, outside) = (FrontDoor::open(&cluster).await, Outside::of(&cluster));
    let sender = Sender::new(&cluster, &door);
    sender.is_connected().await;
    outside.behaves(json!({ "window": "off", "read_after_ms": 300 })).await;
    let mut ids = HashMap::new();
    for number in 0..MESSAGES {
        ids.insert(sender.sends(&text(&contact(number), "hola")).await, contact(number));
    }
    // Whichever owns the number is among them; each is killed in the middle of what is left.
    for (share, whatsapp) in [4, 2].into_iter().zip(&cluster.whatsapps) {
        wait_for(DEADLINE, "some are sent", async || {
            (outside.taken().await.len() >= MESSAGES / share).then_some(())
        })
        .await;
        whatsapp.kill().await;
        whatsapp.start().await;
        whatsapp.is_ready(true).await;
    }
    let is_known = async |id: &str, contact: &str| sender.status_is(contact, id, &["read", "failed"]).await;
    let mut failed = Vec::new();
    for (id, contact) in &ids {
        if is_known(id, contact).await == "failed" {
            failed.push(id.clone());
        }
    }
    let stats = outside.stats().await;
    assert_eq!(stats["duplicates"], 0, "{stats}");
    let taken: Vec<Value> = outside.taken().await;
    assert_eq!(taken.len() + failed.len(), MESSAGES, "each is on its phone, or told as failed");
    for id in &failed {
        assert!(!taken.iter().any(|message| message["biz_opaque_callback_data"] == **id), "{id} was taken");
    }
    // Between the note that bytes may be written and the writing there is next to nothing.
    assert!(failed.len() <= MESSAGES / 20, "{} of {MESSAGES} are uncertain", failed.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_31_a_linked_session_outlives_its_owner() {
    let cluster = Cluster::connected("killed-owner", &[]).await;
    let (door, phone, outside) =
        (FrontDoor::open(&cluster).await, Phone::of(&cluster), Outside::of(&cluster));
    let (token, account) = (cluster.tool(&["token", "--user", "dueno-7"]).await, "user-dueno-7");
    let mut front_end = FrontEnd::open("whatsapp-web.mjs", &[&door.http(), &token]);
    front_end.does(&json!({ "do": "get-qr" }));
    front_end.says("qr-code").await;
    phone.scan(account).await;
    front_end.says("session-ready").await;
    phone.writes(account, "5491100000471", "hola").await;
    front_end.says("chats-updated").await;
    let send = json!({ "send": "buen día", "to": "5491100000471@s.whatsapp.net" });
    for whatsapp in &cluster.whatsapps {
        whatsapp.kill().await;
        let killed = Instant::now();
        front_end.does(&send);
        front_end.says("message-sent").await;
        let received = async || {
            let url = cluster.outside.url(&format!("/linked/{account}/main"));
            let shown: Value = http().get(url).send().await.ok()?.json().await.ok()?;
            Some(
                shown["messages"]
                    .as_array()?
                    .iter()
                    .filter(|message| message["direction"] == "received")
                    .count(),
            )
        };
        let before = cluster.whatsapps.iter().position(|one| std::ptr::eq(one, whatsapp)).unwrap();
        wait_for(DEADLINE, "the message is on the contact's phone", async || {
            received().await.filter(|count| *count > before)
        })
        .await;
        assert!(killed.elapsed() < TAKEN_OVER_MAX, "taken over after {:?}", killed.elapsed());
        whatsapp.start().await;
        whatsapp.is_ready(true).await;
    }
    assert_eq!(outside.stats().await["duplicates"], 0);
}
