//! The broker dies and comes back.

use crate::world::{Cluster, Load, Meta, Staff};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_200_while_the_broker_died_is_stored_and_shown_once() {
    let cluster = Cluster::breakable("broker-restarts").await;
    let staff =
        [Staff::open(&cluster, 0).await, Staff::open(&cluster, 1).await, Staff::open(&cluster, 2).await];
    let load = Load::start(&cluster);
    for _ in 0..2 {
        load.goes_on_for(200).await;
        cluster.nats.kill();
        // While it is away, an honest ingest says so.
        let refused = load.refused();
        load.is_refused_more_than(refused).await;
        cluster.nats.restart().await.unwrap();
    }
    load.goes_on_for(200).await;
    let written = load.stop().await;
    Meta::new(&cluster).text("5491100000501", "the end").await;
    for console in &staff {
        assert_eq!(console.texts_until("the end", &written).await, written);
        assert_eq!(console.connections(), 1, "sockets stay while the broker is away");
    }
    assert_eq!(cluster.stored_texts(0, &written).await, written);
    for process in cluster.ingests.iter().chain(&cluster.persistences).chain(&cluster.edges) {
        process.is_ready(true).await;
    }
}
