use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
};

use chasqui_kit::{TraceContext, publish::Fact};
use chasqui_proto::{Tenant, subject, v1::Message};
use chasqui_testkit::NatsServer;
use serde_json::Value;

use super::{SOON, command, connect, start};

fn golden(name: &str) -> File {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/tests/golden/v1").join(name);
    File::open(path).expect("the golden file is there")
}

fn decoded(arguments: &[&str], input: File) -> Value {
    let mut command: Command = command(arguments, &[]);
    let ended = command.stdin(Stdio::from(input)).output().expect("the binary starts");
    serde_json::from_slice(&ended.stdout).expect("it prints JSON")
}

#[test]
fn decode_needs_nothing_but_the_payload() {
    let message = decoded(&["decode"], golden("message.bin"));
    assert_eq!(message["direction"], "in");
    assert_eq!(message["raw"]["id"], "wamid.A");
    assert_eq!(message["received_at"], "2025-10-09T08:53:20.456Z");
    assert_eq!(decoded(&["decode"], golden("canary.bin"))["node"], "edge-1");
    assert_eq!(decoded(&["decode", "--type", "GetStats"], golden("get-stats.bin"))["tenant"], "default");
    let question = decoded(&["decode", "--subject", "persistence.stats.get"], golden("get-stats.bin"));
    assert_eq!(question["tenant"], "default");
}

#[tokio::test]
async fn tap_shows_a_message_in_one_line_until_it_is_interrupted() {
    let nats = NatsServer::start().await.unwrap();
    let bus = connect(&nats).await;
    let mut tap = start(&["tap", "--live"], &[("NATS_URL", &nats.url())]);
    let tenant: Tenant = "default".parse().unwrap();
    let conversation = "5491100000001".parse().unwrap();
    let message = Message { text: "hola".to_owned(), ..Message::default() };
    // Published again and again, since nothing outside tells when the tap listens.
    let publish_for_ever = async {
        for number in 0.. {
            let to = subject::messages_in(&tenant, &conversation);
            let fact = Fact::new(to, &message, format!("m-{number}"), TraceContext::root());
            bus.publish(fact).await.unwrap();
        }
    };
    let line = tokio::select! {
        line = tap.json(SOON, "the tap shows a message") => line,
        () = publish_for_ever => unreachable!("there is always a next number"),
    };
    assert_eq!(line["subject"], "live.messages.in.default.5491100000001");
    assert_eq!(line["type"], "Message");
    assert_eq!(line["payload"]["text"], "hola");
    assert!(line["seq"].as_u64().is_some() && line["trace"].as_str().is_some(), "{line}");
    tap.interrupt();
    assert!(tap.ended(SOON).await.success());
}
