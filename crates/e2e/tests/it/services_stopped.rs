//! Other services die, or are stopped for a new version.

use crate::world::{Cluster, Load, Meta, Staff};

#[tokio::test(flavor = "multi_thread")]
async fn a_persistence_is_killed_and_every_service_restarted_under_load_and_nothing_is_lost() {
    let cluster = Cluster::breakable("services-stopped").await;
    let staff = [Staff::open(&cluster, 0).await, Staff::open(&cluster, 1).await];
    let load = Load::start(&cluster);
    load.goes_on_for(200).await;
    cluster.persistences[0].kill().await;
    load.goes_on_for(200).await;
    cluster.persistences[0].start().await;
    cluster.persistences[0].is_ready(true).await;
    for process in [&cluster.ingests[0], &cluster.persistences[1], &cluster.edges[0]] {
        let ended = process.stop().await;
        assert_eq!(ended.code(), Some(0), "{}", process.address());
        load.goes_on_for(100).await;
        process.start().await;
        process.is_ready(true).await;
    }
    load.goes_on_for(100).await;
    let written = load.stop().await;
    Meta::new(&cluster).text("5491100000801", "the end").await;
    for console in &staff {
        assert_eq!(console.texts_until("the end", &written).await, written);
    }
    assert_eq!(cluster.stored_texts(2, &written).await, written);
}
