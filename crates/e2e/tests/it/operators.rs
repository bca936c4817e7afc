//! What an operator sees and is told.

use std::io::Write;
use std::process::Stdio;

use chasqui_testkit::Program;
use serde_json::{Value, json};

use crate::world::{Cluster, DEADLINE, Meta, http};

#[tokio::test(flavor = "multi_thread")]
async fn tap_shows_what_happens_and_where_it_stands_in_the_stream() {
    let cluster = Cluster::shared().await;
    let (meta, phone) = (Meta::new(&cluster), "5491100000901");
    let mut tap = Program::start(&cluster.command(&["tap", "messages.in.>", "--live"]).await).unwrap();
    // Nothing says when it listens: contacts write until it shows one of them.
    let shown = tokio::select! {
        shown = tap.find(DEADLINE, "tap shows the message", |line| {
            (line["payload"]["text"] == "se ve en tap").then(|| line.clone())
        }) => shown,
        () = async { loop { meta.text(phone, "se ve en tap").await; } } => unreachable!("contacts never stop"),
    };
    assert_eq!(shown["subject"], format!("live.messages.in.default.{phone}"));
    assert_eq!(shown["type"], "Message");
    assert!(shown["seq"].is_u64(), "{shown}");
    tap.interrupt();
    assert_eq!(tap.ended(DEADLINE).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn decode_turns_a_payload_into_json_and_leaves_what_is_none() {
    let cluster = Cluster::shared().await;
    let (meta, phone) = (Meta::new(&cluster), "5491100000902");
    let nats = async_nats::connect(cluster.nats.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(nats);
    let stream = jetstream.get_stream("MESSAGES").await.unwrap();
    let wamid = meta.text(phone, "para decode").await;
    let (tenant, conversation) = ("default".parse().unwrap(), phone.parse().unwrap());
    let subject = chasqui_proto::subject::messages_in(&tenant, &conversation);
    let stored = stream.direct_get_last_for_subject(subject.as_str()).await.unwrap();
    let decoded: Value = serde_json::from_str(&decode(&cluster, &stored.payload).await).unwrap();
    assert_eq!(
        (&decoded["text"], &decoded["provider_id"]),
        (&json!("para decode"), &json!(wamid)),
        "{decoded}"
    );
    assert_eq!(decode(&cluster, b"just words").await.trim(), "\"just words\"");
}

async fn decode(cluster: &Cluster, payload: &[u8]) -> String {
    let mut command = cluster.command(&["decode"]).await;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().expect("it was asked for").write_all(payload).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn check_lists_every_mistake_at_once_and_nothing_when_there_is_none() {
    let cluster = Cluster::shared().await;
    let effective = cluster.tool(&["check"]).await;
    assert!(effective.contains("edge.jwt_secret = (set)"), "{effective}");
    let mut command = cluster.command(&["check"]).await;
    command.env("JWT_SECRET", "short").env("CHASQUI__EDGE__SOCKETS_MAX", "many");
    command.env("CHASQUI__EGDE__SOCKETS_MAX", "5").env_remove("DATABASE_URL");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    for name in ["edge.jwt_secret", "edge.sockets_max", "egde", "persistence.database_url"] {
        assert!(said.contains(name), "{name} is missing in\n{said}");
    }
    // No service starts with it either.
    let started = command.args(["edge"]).env("PORT", "0");
    assert_eq!(started.output().unwrap().status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_says_whether_a_process_is_ready() {
    let cluster = Cluster::shared().await;
    for process in [&cluster.ingests[0], &cluster.persistences[1], &cluster.edges[2]] {
        let report = cluster.tool(&["healthcheck", "--url", &process.url("/readyz")]).await;
        assert!(report.contains("\"ready\":true"), "{report}");
        let metrics = http().get(process.url("/metrics")).send().await.unwrap().text().await.unwrap();
        assert!(metrics.contains("# TYPE chasqui_"), "{metrics}");
    }
    let nobody = cluster.run(&["healthcheck", "--url", "http://127.0.0.1:9/readyz"]).await;
    assert_eq!(nobody.status.code(), Some(1));
}
