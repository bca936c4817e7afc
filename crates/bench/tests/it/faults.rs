use chasqui_bench::{Credential, Dialect, Entrance, Findings, Mode, Options, PathReport, Report, run};
use chasqui_kit::{Bus, bus::NatsConfig};
use chasqui_proto::stream::BENCH;
use chasqui_testkit::NatsServer;

use crate::standin::{Fault, StandIn};

/// 200 messages, of which every tenth meets the fault.
const LATENCY: Mode = Mode::Latency { rate_per_s: 200, seconds: 1 };

pub(crate) fn options(mode: Mode, nats: &NatsServer, deployment: &StandIn) -> Options {
    let webhook = Entrance::Webhook { app_secret: "app-secret".into() };
    Options {
        ingest: deployment.url.clone(),
        edges: vec![deployment.url.clone()],
        nats: NatsConfig { url: nats.url(), ..NatsConfig::default() },
        connections: 4,
        conversations: 4,
        warmup_seconds: 0,
        stragglers_seconds: 3,
        verify_stored: true,
        ..Options::new(mode, webhook, Credential::Secret("jwt-secret".into()))
    }
}

async fn measured(fault: Fault) -> Report {
    let nats = NatsServer::start().await.unwrap();
    let deployment = StandIn::start(fault).await;
    run(options(LATENCY, &nats, &deployment)).await.unwrap()
}

fn path(report: &Report) -> &PathReport {
    match &report.findings {
        Findings::Path(path) => path,
        _ => panic!("messages were sent"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faultless_deployment_is_clean_and_so_are_both_floors() {
    let report = measured(Fault::None).await;
    assert!(report.is_clean(), "{report}");
    let path = path(&report);
    for measurement in [&path.floor, &path.bare, &path.chasqui] {
        let account = &measurement.account;
        assert_eq!((account.sent, account.acknowledged, account.delivered), (200, 200, 200), "{report}");
        assert!(measurement.delivery.p50_us > 0);
        assert!(measurement.cpu.iter().any(|usage| usage.name == "bench itself"));
    }
    assert_eq!(path.stored.map(|stored| (stored.expected, stored.found)), Some((200, 200)));
    assert!(path.warnings.iter().any(|warning| warning.contains("ingest's own process")), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_message_is_told() {
    let report = measured(Fault::Loses).await;
    assert_eq!(path(&report).chasqui.account.lost, 20, "{report}");
    assert!(!report.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_shown_twice_is_told() {
    let report = measured(Fault::Doubles).await;
    let account = &path(&report).chasqui.account;
    assert_eq!((account.duplicated, account.lost), (20, 0), "{report}");
    assert!(!report.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_missing_from_the_history_is_told() {
    let report = measured(Fault::Forgets).await;
    let stored = path(&report).stored.unwrap();
    assert_eq!((stored.expected, stored.found), (200, 180), "{report}");
    assert!(path(&report).chasqui.account.is_clean() && !report.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_is_not_awaited() {
    let report = measured(Fault::Refuses).await;
    let account = &path(&report).chasqui.account;
    assert_eq!((account.refused[&503], account.acknowledged, account.lost), (20, 180, 0), "{report}");
    assert!(report.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_loop_over_widgets_delivers_each_reply_to_its_contact_and_leaves_no_stream() {
    let nats = NatsServer::start().await.unwrap();
    let deployment = StandIn::start(Fault::None).await;
    let report = run(Options {
        entrance: Entrance::BotReply { api_key: "key".into() },
        dialect: Dialect::Widget,
        ..options(Mode::Throughput { seconds: 1 }, &nats, &deployment)
    });
    let report = report.await.unwrap();
    assert!(report.is_clean(), "{report}");
    let path = path(&report);
    assert_eq!(path.chasqui.sockets, 4);
    assert!(path.chasqui.account.acknowledged > 100, "{report}");
    // More than a page of each conversation was read.
    assert_eq!(path.stored.map(|stored| stored.found), Some(path.chasqui.account.acknowledged as usize));
    let config = NatsConfig { url: nats.url(), ..NatsConfig::default() };
    let bus = Bus::connect("test", &config).await.unwrap();
    assert!(bus.jetstream().get_stream(BENCH.name).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_sockets_of_both_kinds_are_opened_and_weighed() {
    let nats = NatsServer::start().await.unwrap();
    let deployment = StandIn::start(Fault::None).await;
    for dialect in [Dialect::Crm, Dialect::Widget] {
        // The edge is found by its port: it is this very process.
        let mode = Mode::Idle { sockets: 100, process: None };
        let report = run(Options { dialect, ..options(mode, &nats, &deployment) }).await.unwrap();
        let Findings::Idle(idle) = &report.findings else { panic!("sockets stood idle") };
        assert_eq!((idle.sockets, idle.closed_early), (100, 0), "{report}");
        assert!(idle.open_kib > 0 && idle.opening_seconds > 0.0, "{report}");
    }
}
