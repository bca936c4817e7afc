//! How a number sends, and how listeners are served, against a stand-in for both the deployment and the simulator.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use chasqui_bench::{Credential, Entrance, Findings, Mode, Options, Report, run};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

const SENDING: Mode = Mode::Sending { rate_per_s: 100, seconds: 1, pair_seconds: 0 };
/// 50 messages to six listeners.
const LISTENERS: Mode = Mode::Listeners { listeners: 6, hanging: 1, failing: 1, rate_per_s: 50, seconds: 1 };
/// As many as the real one lets through at once.
const BURST_MAX: usize = 45;

/// What the stand-in does wrong with one message in every ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Loses,
    Doubles,
    /// It takes no webhook at all.
    Refuses,
    /// Its records are cleared during the run.
    Forgets,
    /// It sends one more to the contact than it may get.
    TooMany,
}

struct Shared {
    fault: Fault,
    /// What has arrived at the provider.
    arrived: Mutex<Vec<Value>>,
    to: Mutex<HashMap<String, usize>>,
    listeners: Mutex<BTreeSet<String>>,
}

struct StandIn {
    url: String,
    shared: Arc<Shared>,
    _running: JoinSet<()>,
}

impl StandIn {
    async fn start(fault: Fault) -> Self {
        let shared = Arc::new(Shared {
            fault,
            arrived: Mutex::default(),
            to: Mutex::default(),
            listeners: Mutex::default(),
        });
        let routes = Router::new()
            .route("/api/whatsapp/send", post(send))
            .route("/graph/settings", get(async || Json(json!({ "messages_per_second_max": 100 }))))
            .route("/graph/stats", get(stats))
            .route("/graph/messages", get(messages))
            .route("/phones/{contact}/messages", post(async || Json(json!({ "webhook_status": 200 }))))
            .route("/api/whatsapp/register-listener", post(register))
            .route("/api/whatsapp/unregister-listener", post(unregister))
            .route("/webhooks/whatsapp", post(webhook))
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut running = JoinSet::new();
        running.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, shared, _running: running }
    }
}

async fn send(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Json<Value>) -> Json<Value> {
    assert_eq!(headers["x-api-key"], "key");
    let to = body["to"].as_str().unwrap();
    let count = {
        let mut counts = shared.to.lock().unwrap();
        *counts.entry(to.to_owned()).and_modify(|count| *count += 1).or_insert(1)
    };
    let mut arrived = shared.arrived.lock().unwrap();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let id = format!("id-{to}-{count}");
    let is_campaign = body["priority"] == "campaign";
    let errs = |fault| shared.fault == fault && is_campaign && to.ends_with('7');
    let may = BURST_MAX + usize::from(shared.fault == Fault::TooMany);
    let copies = if errs(Fault::Loses) || count > may { 0 } else { 1 + usize::from(errs(Fault::Doubles)) };
    for _ in 0..copies {
        let seq = arrived.len() + 1;
        arrived.push(json!({
            "seq": seq, "number": "100000000000001", "time_ms": u64::try_from(since.as_millis()).unwrap(),
            "biz_opaque_callback_data": id,
        }));
    }
    Json(json!({ "success": true, "messageId": id, "session": "100000000000001" }))
}

async fn stats(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let arrived = shared.arrived.lock().unwrap().len();
    let accepted = if shared.fault == Fault::Forgets { 0 } else { arrived };
    Json(json!({ "accepted": accepted, "refused": {}, "pair_violations": 0, "number_violations": 0 }))
}

async fn messages(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<HashMap<String, usize>>,
) -> Json<Vec<Value>> {
    let arrived = shared.arrived.lock().unwrap();
    Json(arrived.iter().skip(query.get("after").copied().unwrap_or(0)).cloned().collect())
}

async fn register(State(shared): State<Arc<Shared>>, body: Json<Value>) -> StatusCode {
    let mut listeners = shared.listeners.lock().unwrap();
    if listeners.len() == 3 && listeners.insert("too fast".to_owned()) {
        return StatusCode::TOO_MANY_REQUESTS;
    }
    listeners.insert(body["url"].as_str().unwrap().to_owned());
    StatusCode::OK
}

async fn unregister(State(shared): State<Arc<Shared>>, body: Json<Value>) -> StatusCode {
    let mut listeners = shared.listeners.lock().unwrap();
    listeners.remove("too fast");
    assert!(listeners.remove(body["url"].as_str().unwrap()));
    StatusCode::OK
}

async fn webhook(State(shared): State<Arc<Shared>>, body: Json<Value>) -> StatusCode {
    if shared.fault == Fault::Refuses {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let text = body["entry"][0]["changes"][0]["value"]["messages"][0]["text"]["body"].as_str().unwrap();
    let errs = |fault| shared.fault == fault && text.split(']').next().unwrap().ends_with('7');
    let copies = if errs(Fault::Loses) { 0 } else { 1 + usize::from(errs(Fault::Doubles)) };
    let event = json!({ "event": "message.received", "body": text }).to_string();
    let listeners = shared.listeners.lock().unwrap().clone();
    for url in listeners.into_iter().filter(|url| url.starts_with("http")) {
        for _ in 0..copies {
            tokio::spawn(reqwest::Client::new().post(&url).body(event.clone()).send());
        }
    }
    StatusCode::OK
}

async fn measured(mode: Mode, deployment: &StandIn) -> anyhow::Result<Report> {
    let webhook = Entrance::Webhook { app_secret: "app-secret".into() };
    let options = Options {
        ingest: deployment.url.clone(),
        simulator: deployment.url.clone(),
        api_key: Some("key".into()),
        connections: 4,
        warmup_seconds: 0,
        stragglers_seconds: 1,
        ..Options::new(mode, webhook, Credential::Secret("jwt-secret".into()))
    };
    run(options).await
}

async fn sent(fault: Fault) -> Report {
    measured(SENDING, &StandIn::start(fault).await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_sends_everything_once_is_clean() {
    let report = sent(Fault::None).await;
    assert!(report.is_clean(), "{report}");
    let Findings::Sending(sending) = &report.findings else { panic!("{report}") };
    assert_eq!((sending.campaign.acknowledged, sending.campaign.taken), (100, 100), "{report}");
    assert_eq!((sending.pair.at_once, sending.pair.handover.taken), (45, 45), "{report}");
    assert_eq!((sending.replies.handover.taken, sending.replies.to_provider.count), (2, 2), "{report}");
    assert!(sending.pace.middle_per_s > 0.0 && sending.pace.busiest_second >= 100, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_number_loses_doubles_or_sends_too_soon_is_told() {
    for (fault, expected) in
        [(Fault::Loses, (10, 0, 45)), (Fault::Doubles, (0, 10, 45)), (Fault::TooMany, (0, 0, 46))]
    {
        let report = sent(fault).await;
        let Findings::Sending(sending) = &report.findings else { panic!("{report}") };
        let campaign = &sending.campaign;
        assert_eq!((campaign.lost, campaign.twice, sending.pair.at_once), expected, "{fault:?}: {report}");
        assert!(!report.is_clean(), "{fault:?}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulator_that_takes_less_than_the_number_may_send_is_refused() {
    let mode = Mode::Sending { rate_per_s: 101, seconds: 1, pair_seconds: 0 };
    let error = measured(mode, &StandIn::start(Fault::None).await).await.unwrap_err().to_string();
    assert!(error.contains("takes 100 a second") && error.contains("messages_per_second_max"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_were_cleared_meanwhile_are_no_loss() {
    let error = measured(SENDING, &StandIn::start(Fault::Forgets).await).await.unwrap_err().to_string();
    assert!(error.contains("cleared the simulator's records"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_listeners_have_everything_and_none_is_left_behind() {
    let deployment = StandIn::start(Fault::None).await;
    let report = measured(LISTENERS, &deployment).await.unwrap();
    assert!(report.is_clean(), "{report}");
    let Findings::Listeners(listeners) = &report.findings else { panic!("{report}") };
    let account = &listeners.measurement.account;
    assert_eq!((account.acknowledged, account.delivered, account.duplicated), (50, 200, 0), "{report}");
    assert_eq!((listeners.attempts.hanging, listeners.attempts.failing), (50, 50), "{report}");
    assert!(listeners.measurement.delivery.p50_us > 0, "{report}");
    assert_eq!(*deployment.shared.listeners.lock().unwrap(), BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_listener_misses_or_gets_twice_is_told() {
    for (fault, lost, twice, is_clean) in [(Fault::Loses, 20, 0, false), (Fault::Doubles, 0, 20, true)] {
        let report = measured(LISTENERS, &StandIn::start(fault).await).await.unwrap();
        let Findings::Listeners(listeners) = &report.findings else { panic!("{report}") };
        let account = &listeners.measurement.account;
        assert_eq!((account.lost, account.duplicated), (lost, twice), "{fault:?}: {report}");
        assert_eq!(report.is_clean(), is_clean, "{fault:?}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_are_removed_when_nothing_can_be_measured() {
    let deployment = StandIn::start(Fault::Refuses).await;
    let error = measured(LISTENERS, &deployment).await.unwrap_err().to_string();
    assert!(error.contains("no message was accepted"), "{error}");
    assert_eq!(*deployment.shared.listeners.lock().unwrap(), BTreeSet::new());
}
