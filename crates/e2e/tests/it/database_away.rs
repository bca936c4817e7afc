//! The database is away for ten seconds.

use crate::world::{A_SECOND, Cluster, Load, Meta, Staff};

#[tokio::test(flavor = "multi_thread")]
async fn while_postgresql_is_away_webhooks_are_taken_and_shown_and_all_is_stored_afterwards() {
    let cluster = Cluster::with_breakable_database("database-away").await;
    let (staff, meta) = (Staff::open(&cluster, 1).await, Meta::new(&cluster));
    let load = Load::start(&cluster);
    load.goes_on_for(A_SECOND).await;
    cluster.postgres().stop().await;
    let refused = load.refused();
    // Ten seconds, measured in what goes on meanwhile.
    load.goes_on_for(9 * A_SECOND).await;
    for persistence in &cluster.persistences {
        persistence.is_ready(false).await;
    }
    meta.text("5491100000601", "nobody stores this yet").await;
    staff.messages_until("nobody stores this yet").await;
    load.goes_on_for(A_SECOND).await;
    assert_eq!(load.refused(), refused, "a webhook was refused because of the database");
    assert!(cluster.messages(0, "5491100000601").await.is_empty(), "the database was not away");
    cluster.postgres().start().await.unwrap();
    for persistence in &cluster.persistences {
        persistence.is_ready(true).await;
    }
    load.goes_on_for(A_SECOND).await;
    let written = load.stop().await;
    meta.text("5491100000601", "the end").await;
    assert_eq!(staff.texts_until("the end", &written).await, written);
    assert_eq!(cluster.stored_texts(2, &written).await, written);
    assert_eq!(cluster.stored(2, "5491100000601", 2).await.len(), 2);
}
