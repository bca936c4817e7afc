//! A message that nobody can handle.

use chasqui_proto::{ConversationToken, Tenant, subject};
use chasqui_testkit::wait_for;
use serde_json::Value;

use crate::world::{Cluster, DEADLINE, Meta, Staff};

#[tokio::test(flavor = "multi_thread")]
async fn garbage_goes_to_the_dead_letters_with_its_reason_and_holds_nothing_up() {
    let cluster = Cluster::shared().await;
    let (meta, staff) = (Meta::new(&cluster), Staff::open(&cluster, 0).await);
    let phone = "5491100000701";
    meta.text(phone, "before").await;
    let tenant: Tenant = "default".parse().unwrap();
    let conversation: ConversationToken = phone.parse().unwrap();
    let garbage = subject::messages_in(&tenant, &conversation);
    let nats = async_nats::connect(cluster.nats.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(nats);
    let poison = b"\xff\xffthis is no protobuf".as_slice();
    jetstream.publish(garbage.as_str().to_owned(), poison.into()).await.unwrap().await.unwrap();
    meta.text(phone, "after").await;
    let shown = staff.messages_until("after").await;
    let shown: Vec<&str> =
        shown.iter().filter(|shown| shown.phone == phone).map(|shown| shown.text.as_str()).collect();
    assert_eq!(shown, ["before", "after"]);
    assert_eq!(cluster.stored(1, phone, 2).await.len(), 2);
    let letter: Value = wait_for(DEADLINE, "the letter is listed", async || {
        let listed = cluster.tool(&["dlq", "list"]).await;
        let letters = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        letters
            .into_iter()
            .find(|letter| letter["subject"] == garbage.as_str() && letter["service"] == "persistence")
    })
    .await;
    assert_eq!(letter["reason"], "undecodable");
    assert!(!letter["last_error"].as_str().unwrap().is_empty(), "{letter}");
    let seq = letter["seq"].to_string();
    let whole: Value = serde_json::from_str(&cluster.tool(&["dlq", "show", &seq]).await).unwrap();
    assert_eq!((&whole["letter"]["seq"], &whole["message"]["subject"]), (&letter["seq"], &letter["subject"]));
    assert_eq!(whole["stream"], "MESSAGES");
    // Replayed, it dies once more: the letter goes, another comes, and nothing else happens.
    cluster.tool(&["dlq", "replay", &seq]).await;
    wait_for(DEADLINE, "the letter comes again", async || {
        let listed = cluster.tool(&["dlq", "list"]).await;
        let letters: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let is_ours =
            |other: &&Value| other["subject"] == letter["subject"] && other["service"] == "persistence";
        let ours: Vec<&Value> = letters.iter().filter(is_ours).collect();
        (ours.len() == 1 && ours[0]["seq"] != letter["seq"]).then_some(())
    })
    .await;
}
