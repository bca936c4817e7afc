//! Meta delivers more often than once.

use chasqui_simulator::payload;
use futures::future::join_all;

use crate::world::{Cluster, Meta, NUMBER, Staff};

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_delivered_twice_to_both_ingests_at_once_is_stored_and_shown_once() {
    let cluster = Cluster::shared().await;
    let (meta, staff) = (Meta::new(&cluster), Staff::open(&cluster, 2).await);
    let phone = "5491100000201";
    let mut expected = Vec::new();
    for index in 0..20 {
        let text = format!("twice {index}");
        let webhook = payload::webhook(NUMBER, &[payload::text(phone, &payload::wamid(), &text)]);
        // Both at the same time, and once more when both are through.
        let answers = join_all([meta.try_once(0, &webhook), meta.try_once(1, &webhook)]).await;
        for answer in answers {
            assert_eq!(answer.unwrap(), 200);
        }
        assert_eq!(meta.try_once(index % 2, &webhook).await.unwrap(), 200);
        expected.push(text);
    }
    let last = "the last of the duplicates";
    meta.text(phone, last).await;
    expected.push(last.to_owned());
    let shown = staff.messages_until(last).await;
    let shown: Vec<String> =
        shown.into_iter().filter(|shown| shown.phone == phone).map(|shown| shown.text).collect();
    assert_eq!(shown, expected);
    let stored = cluster.stored(1, phone, expected.len()).await;
    assert_eq!(stored.len(), expected.len());
    let listed = cluster.conversations(0).await;
    let listed = listed.iter().find(|listed| listed["contact_phone"] == phone).expect("it is stored");
    assert_eq!(listed["unread_count"], expected.len());
}
