//! Contacts that share one set of subscriptions of their tenant.

use std::time::Duration;

use chasqui_kit::{TraceContext, request::RequestError};
use chasqui_proto::{subject, v1};
use chasqui_testkit::wait_for;
use futures::StreamExt;
use serde_json::{Value, json};

use crate::cable::Cable;
use crate::world::{Client, DEADLINE, Node, World, jwt, token};

const NUMBERS: [&str; 4] = ["5491100000001", "5491100000002", "5491100000003", "5491100000004"];

/// A contact's widget on a node that lets contacts in by their token, once it is live.
async fn widget(node: &Node, number: &str) -> Client {
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", node.address);
    let mut client = Client::open(&url).await;
    assert!(client.packet().await.starts_with('0'));
    let auth = json!({ "token": jwt(&json!({ "id": number, "phone": number })) });
    client.say_text(&format!("40{auth}")).await;
    assert_eq!(event(&mut client).await.0, "session");
    client
}

/// The next event's name and first argument; the answer to CONNECT is passed over.
async fn event(client: &mut Client) -> (String, Value) {
    loop {
        let packet = client.packet().await;
        if let Some(event) = packet.strip_prefix("42") {
            let mut event: Vec<Value> = serde_json::from_str(event).unwrap();
            return (event[0].as_str().unwrap().to_owned(), event.remove(1));
        }
    }
}

async fn reply(client: &mut Client) -> String {
    let (name, data) = event(client).await;
    assert_eq!(name, "bot-response");
    data["text"].as_str().unwrap().to_owned()
}

/// What the nodes say of a contact; `None` when none listens for it.
async fn found(world: &World, number: &str) -> Option<bool> {
    let subject = subject::edge_contacts(&world.tenant, &token(number));
    let wait = Duration::from_millis(500);
    let asked =
        world.bus.ask_subject(subject.as_str(), &v1::FindContact {}, TraceContext::root(), wait).await;
    match asked {
        Ok(v1::ContactFound { absent, .. }) => Some(!absent),
        Err(RequestError::NoResponders(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_06_contacts_beyond_the_bound_share_a_tap_and_each_gets_its_own_replies_only() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("contact_subscriptions_max", "2")]).await;
    let mut widgets = Vec::new();
    for number in NUMBERS {
        widgets.push(widget(&node, number).await);
    }
    for round in 0..3 {
        for number in NUMBERS {
            world.bot_replies(number, &format!("{number} {round}")).await;
        }
    }
    for (client, number) in widgets.iter_mut().zip(NUMBERS) {
        for round in 0..3 {
            assert_eq!(reply(client).await, format!("{number} {round}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_10_kon_11_a_node_with_a_tap_answers_yes_and_no() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("contact_subscriptions_max", "1")]).await;
    let _with_a_line = widget(&node, NUMBERS[0]).await;
    assert_eq!(found(&world, NUMBERS[2]).await, None, "nobody listens for everybody");
    let riding = widget(&node, NUMBERS[1]).await;
    assert_eq!(found(&world, NUMBERS[0]).await, Some(true));
    assert_eq!(found(&world, NUMBERS[1]).await, Some(true));
    assert_eq!(found(&world, NUMBERS[2]).await, Some(false));
    drop(riding);
    let gone = async || (found(&world, NUMBERS[1]).await == Some(false)).then_some(());
    wait_for(DEADLINE, "the contact that rode on the tap counts as gone", gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_widget_that_comes_after_the_staff_is_shown_what_the_staff_is_shown() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let mut early = widget(&node, NUMBERS[0]).await;
    let mut staff = node.staff("default", None).await;
    staff.frame().await;
    let mut late = widget(&node, NUMBERS[1]).await;
    for (number, client) in [(NUMBERS[0], &mut early), (NUMBERS[1], &mut late)] {
        world.bot_replies(number, number).await;
        assert_eq!(reply(client).await, number);
        assert_eq!(staff.messages(1).await[0].0, number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_on_a_tap_miss_nothing_while_the_node_had_lost_the_broker() {
    let world = World::start().await;
    let cable = Cable::to(world.nats.port()).await;
    let node = Node::start_behind(&cable, &world, "one").await;
    let mut reads = world.bus.client().subscribe("$JS.API.DIRECT.GET.MESSAGES").await.unwrap();
    world.bus.barrier().await.unwrap();
    let mut staff = node.staff("default", None).await;
    staff.frame().await;
    // The look that is taken soon after a tap went live is over: it cannot be what finds the messages.
    tokio::time::timeout(DEADLINE, reads.next()).await.expect("the tap looks a second time").unwrap();
    let mut widgets = [widget(&node, NUMBERS[0]).await, widget(&node, NUMBERS[1]).await];
    cable.cut();
    for index in 0..10 {
        for number in &NUMBERS[..2] {
            world.bot_replies(number, &format!("unheard {index}")).await;
        }
    }
    cable.mend();
    for client in &mut widgets {
        for index in 0..10 {
            assert_eq!(reply(client).await, format!("unheard {index}"));
        }
    }
    assert_eq!(staff.messages(20).await.len(), 20);
}
