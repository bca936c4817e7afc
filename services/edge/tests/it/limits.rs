//! How many connections a user may have in the cluster, and which one is a session's.

use serde_json::{Value, json};

use crate::world::{Client, Node, World, jwt};

/// Rounds of two clients that come at once.
const DUELS: usize = 10;

async fn open(node: &Node, user: &str, tenant: &str, session: Option<&str>) -> Client {
    let token = jwt(&json!({ "id": user, "tenant": tenant }));
    let session = session.map(|session| format!("&session={session}")).unwrap_or_default();
    Client::open(&format!("ws://{}/ws?token={token}{session}", node.address)).await
}

/// A connection that was let in, and the ticket of its session.
async fn connect(node: &Node, user: &str, session: Option<&str>) -> (Client, String) {
    let mut client = open(node, user, "default", session).await;
    let greeting = client.frame().await;
    assert_eq!(greeting["type"], "connected", "{greeting}");
    (client, greeting["data"]["session"].as_str().unwrap().to_owned())
}

async fn is_alive(client: &mut Client) {
    client.say(&json!({ "type": "ping" })).await;
    assert_eq!(client.frame().await["type"], "pong");
}

async fn two_nodes(world: &World, settings: &[(&str, &str)]) -> [Node; 2] {
    [Node::start(world, "one", settings).await, Node::start(world, "two", settings).await]
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_30_the_sixth_connection_of_a_user_closes_its_first_wherever_that_is() {
    let world = World::start().await;
    let nodes = two_nodes(&world, &[]).await;
    // Another user, and the same id in another tenant, do not count.
    let mut bystanders =
        [open(&nodes[0], "u2", "default", None).await, open(&nodes[1], "u1", "acme", None).await];
    for bystander in &mut bystanders {
        assert_eq!(bystander.frame().await["type"], "connected");
    }
    let mut clients = Vec::new();
    for index in 0..8 {
        clients.push(connect(&nodes[index % 2], "u1", None).await.0);
    }
    let (evicted, stayed) = clients.split_at_mut(3);
    for client in evicted {
        assert_eq!(client.close_code().await, 4504);
    }
    for client in stayed.iter_mut().chain(&mut bystanders) {
        is_alive(client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_is_empty_again_as_soon_as_its_client_has_left() {
    let world = World::start().await;
    let settings = [("user_connections_max", "1"), ("user_connections_policy", "refuse_new")];
    let [one, two] = two_nodes(&world, &settings).await;
    let (mut first, _) = connect(&one, "u1", None).await;
    let mut second = open(&two, "u1", "default", None).await;
    assert_eq!(second.close_code().await, 4504);
    let mut third = open(&one, "u1", "default", None).await;
    let refusal = third.frame().await;
    assert_eq!((&refusal["type"], &refusal["data"]["code"]), (&json!("error"), &json!("rate_limited")));
    assert_eq!(third.close_code().await, 4504, "refused at once where the other one is");
    is_alive(&mut first).await;
    drop(first);
    // The second node may not have heard yet: whoever comes too early is told so.
    loop {
        let mut again = open(&two, "u1", "default", None).await;
        let frame: Value = again.frame().await;
        if frame["type"] == "connected" {
            is_alive(&mut again).await;
            break;
        }
        assert_eq!(again.close_code().await, 4504);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_come_to_two_nodes_at_once_exactly_one_stays_whatever_the_policy() {
    for policy in ["evict_oldest", "refuse_new"] {
        let world = World::start().await;
        let settings = [("user_connections_max", "1"), ("user_connections_policy", policy)];
        let [one, two] = two_nodes(&world, &settings).await;
        for duel in 0..DUELS {
            let user = format!("u{duel}");
            let (mut near, mut far) =
                tokio::join!(open(&one, &user, "default", None), open(&two, &user, "default", None));
            let (code, survivor) = tokio::select! {
                code = near.close_code() => (code, &mut far),
                code = far.close_code() => (code, &mut near),
            };
            assert_eq!(code, 4504, "{policy}");
            survivor.say(&json!({ "type": "ping" })).await;
            while survivor.frame().await["type"] != "pong" {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_session_fences_its_earlier_connection_on_another_node() {
    let world = World::start().await;
    let [one, two] = two_nodes(&world, &[]).await;
    let (mut old, ticket) = connect(&one, "u1", None).await;
    let (mut new, next_ticket) = connect(&two, "u1", Some(&ticket)).await;
    assert_eq!(old.close_code().await, 4003);
    let session = |ticket: &str| ticket.split_once('.').unwrap().0.to_owned();
    assert_eq!(session(&next_ticket), session(&ticket));
    // The fenced one comes back with its old ticket: it gets a session of its own, and nobody is closed for it.
    let (mut again, third_ticket) = connect(&two, "u1", Some(&ticket)).await;
    assert_ne!(session(&third_ticket), session(&ticket));
    is_alive(&mut new).await;
    is_alive(&mut again).await;
    // On the same node too.
    let (mut newest, _) = connect(&two, "u1", Some(&next_ticket)).await;
    assert_eq!(new.close_code().await, 4003);
    is_alive(&mut newest).await;
    is_alive(&mut again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_ticket_fences_nobody() {
    let world = World::start().await;
    let [one, two] = two_nodes(&world, &[]).await;
    let (mut victim, ticket) = connect(&one, "u1", None).await;
    let (mut thief, _) = connect(&one, "u2", Some(&ticket)).await;
    let (mut nonsense, _) = connect(&two, "u1", Some("nonsense")).await;
    for client in [&mut victim, &mut thief, &mut nonsense] {
        is_alive(client).await;
    }
}
