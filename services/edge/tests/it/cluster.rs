//! Three brokers, copies on each: what one of them does not know yet must not be missing.

use crate::world::{Node, World};

/// How many clients come and go while the contact writes.
const RETURNS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_come_back_while_messages_flow_through_a_cluster_miss_nothing() {
    let world = World::start_cluster().await;
    let nodes = [
        Node::start(&world, "one", &[]).await,
        Node::start(&world, "two", &[]).await,
        Node::start(&world, "three", &[("linger_ms", "1")]).await,
    ];
    let mut client = nodes[0].staff("default", None).await;
    let greeting = client.frame().await;
    let epoch = greeting["data"]["epoch"].as_str().unwrap().to_owned();
    let first = greeting["data"]["seq"].as_u64().unwrap();
    let (mut expected, mut received, mut cursor) = (Vec::new(), Vec::new(), first);
    for round in 0..RETURNS {
        for index in 0..5 {
            let text = format!("{round}/{index}");
            expected.push((text.clone(), world.contact_writes("5491100000001", &text).await));
        }
        // Back on another node, right after the broker acknowledged: replicas and routes are still behind.
        client = nodes[round % nodes.len()].staff("default", Some((&epoch, cursor))).await;
        assert_eq!(client.frame().await["data"]["recovered"], true);
        received.extend(client.messages(5).await);
        cursor = received.last().unwrap().1;
        assert_eq!(received.len(), expected.len());
    }
    assert_eq!(received, expected);
}
