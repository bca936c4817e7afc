//! How the built-in bot answers, against a stand-in for the webhook and the bot, over a real broker.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use chasqui_bench::{AnswersReport, Credential, Entrance, Findings, Mode, Options, Report, run};
use chasqui_kit::{Bus, TraceContext, bus::NatsConfig, publish::Fact, stream};
use chasqui_proto::{
    ConversationToken, MessageId, Tenant,
    subject::{NodeToken, appointments_updated, messages_in, messages_out},
    v1::{Appointment, Message},
};
use chasqui_testkit::NatsServer;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

/// 200 messages by 20 contacts, of which every fifth meets the fault; each contact has said its opening before.
const ANSWERS: Mode = Mode::Answers { rate_per_s: 200, seconds: 1 };
const CONTACTS: u32 = 20;

/// What the stand-in does wrong with one message in every five of those after the openings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// It does not answer it.
    Silent,
    /// It answers it twice.
    Doubles,
    /// It does not take it.
    Refuses,
    /// It answers no message at all.
    Mute,
    /// It stores nothing where the bench listens.
    Elsewhere,
    /// Its flow makes no appointment, whatever the message.
    Forgets,
}

struct StandIn {
    bus: Bus,
    fault: Fault,
    count: AtomicU32,
}

impl StandIn {
    async fn start(fault: Fault, nats: &NatsServer) -> (String, JoinSet<()>) {
        let config = NatsConfig { url: nats.url(), ..NatsConfig::default() };
        let bus = Bus::connect("stand-in", &config).await.unwrap();
        stream::ensure_all(&bus).await.unwrap();
        let shared = Arc::new(Self { bus, fault, count: AtomicU32::new(0) });
        let routes = Router::new().route("/webhooks/whatsapp", post(webhook)).with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut running = JoinSet::new();
        running.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        (url, running)
    }

    fn errs(&self, fault: Fault, count: u32) -> bool {
        self.fault == fault && count >= CONTACTS && count % 5 == 2
    }

    async fn store(&self, message: &Message) {
        let tenant: Tenant = message.tenant.parse().unwrap();
        let conversation: ConversationToken = message.conversation.parse().unwrap();
        let is_reply = !message.answers.is_empty();
        let subject =
            if is_reply { messages_out(&tenant, &conversation) } else { messages_in(&tenant, &conversation) };
        self.bus.publish(Fact::new(subject, message, &message.id, TraceContext::root())).await.unwrap();
    }

    async fn make_appointment(&self, message: &Message) {
        let appointment = Appointment {
            id: message.id.clone(),
            tenant: message.tenant.clone(),
            conversation: message.conversation.clone(),
            ..Appointment::default()
        };
        let subject = appointments_updated(&message.tenant.parse().unwrap(), &NodeToken::new(&message.id));
        let fact = Fact::new(subject, &appointment, &message.id, TraceContext::root());
        self.bus.publish(fact).await.unwrap();
    }
}

async fn webhook(State(shared): State<Arc<StandIn>>, body: Json<Value>) -> StatusCode {
    let count = shared.count.fetch_add(1, Ordering::Relaxed);
    if shared.errs(Fault::Refuses, count) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    if shared.fault == Fault::Elsewhere {
        return StatusCode::OK;
    }
    let heard = &body["entry"][0]["changes"][0]["value"]["messages"][0];
    let string = |name: &str| heard[name].as_str().unwrap().to_owned();
    let tenant: Tenant = "default".parse().unwrap();
    let message = Message {
        id: MessageId::of_provider(&tenant, &string("id")).to_string(),
        tenant: tenant.to_string(),
        conversation: string("from"),
        provider_id: string("id"),
        text: heard["text"]["body"].as_str().unwrap().to_owned(),
        ..Message::default()
    };
    shared.store(&message).await;
    if message.text == "sí" && shared.fault != Fault::Forgets {
        shared.make_appointment(&message).await;
    }
    let replies = match shared.fault {
        Fault::Mute => 0,
        Fault::Silent if shared.errs(Fault::Silent, count) => 0,
        Fault::Doubles if shared.errs(Fault::Doubles, count) => 2,
        _ => 1,
    };
    for reply in 0..replies {
        let answer = Message {
            id: format!("{} {reply}", message.id),
            answers: message.id.clone(),
            provider_id: String::new(),
            ..message.clone()
        };
        shared.store(&answer).await;
    }
    StatusCode::OK
}

async fn measured(fault: Fault) -> anyhow::Result<Report> {
    let nats = NatsServer::start().await.unwrap();
    let (ingest, _running) = StandIn::start(fault, &nats).await;
    let webhook = Entrance::Webhook { app_secret: "app-secret".into() };
    let options = Options {
        ingest,
        nats: NatsConfig { url: nats.url(), ..NatsConfig::default() },
        connections: 4,
        conversations: CONTACTS,
        warmup_seconds: 0,
        stragglers_seconds: 1,
        ..Options::new(ANSWERS, webhook, Credential::Secret("jwt-secret".into()))
    };
    run(options).await
}

fn answers(report: &Report) -> &AnswersReport {
    match &report.findings {
        Findings::Answers(answers) => answers,
        _ => panic!("{report}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_answers_everything_once_is_clean() {
    let report = measured(Fault::None).await.unwrap();
    assert!(report.is_clean(), "{report}");
    let answers = answers(&report);
    let webhook = &answers.webhook;
    // A busy machine may not hold the rate.
    assert!(webhook.sent > 100 + CONTACTS && answers.achieved_per_s <= 200.0, "{report}");
    assert_eq!(
        (webhook.acknowledged, answers.both.once),
        (webhook.sent, webhook.sent - CONTACTS),
        "{report}"
    );
    assert!(answers.flow.once > 0 && answers.plain.once > answers.flow.once, "{report}");
    assert!(answers.walks > 0 && answers.walks == answers.appointments, "{report}");
    for times in [&answers.flow, &answers.plain] {
        assert!(times.decided.p50_us > 0 && times.decided.max_us <= times.from_webhook.max_us, "{report}");
    }
    assert!(answers.cpu.iter().any(|usage| usage.name == "bench itself"), "{report}");
    let json = json!(report);
    assert_eq!(json["findings"]["answers"]["both"]["once"], answers.both.once, "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_twice_is_told() {
    let report = measured(Fault::Doubles).await.unwrap();
    let both = &answers(&report).both;
    assert!(both.twice > 20 && both.once > 80 && both.never == 0, "{report}");
    assert!(!report.is_clean(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_never_answered_writes_no_more_and_the_rate_is_not_held() {
    let report = measured(Fault::Silent).await.unwrap();
    let answers = answers(&report);
    // When all twenty wait, nobody is left to write.
    assert!(answers.both.never > 10 && answers.both.messages < 100, "{report}");
    assert!(!report.is_clean() && !answers.is_on_target, "{report}");
    let hint = answers.warnings.iter().find(|warning| warning.contains("more --conversations"));
    assert!(hint.is_some_and(|hint| !hint.contains("held: 0 ")), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_said_again_and_no_fault_of_the_bot() {
    let report = measured(Fault::Refuses).await.unwrap();
    let answers = answers(&report);
    assert!(answers.webhook.refused[&503] > 20, "{report}");
    assert_eq!(answers.both.once, answers.webhook.acknowledged - CONTACTS, "{report}");
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn walks_that_make_no_appointment_are_told() {
    let report = measured(Fault::Forgets).await.unwrap();
    let answers = answers(&report);
    assert!(answers.walks > 0 && answers.appointments == 0 && !report.is_clean(), "{report}");
    assert!(report.to_string().contains("another flow or register"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_whose_bot_is_silent_or_whose_broker_is_another_is_told_so() {
    let (mute, elsewhere) = tokio::join!(measured(Fault::Mute), measured(Fault::Elsewhere));
    for (answered, expected) in [(mute, "DEFAULT_RESPONDER=builtin"), (elsewhere, "none was heard at NATS")] {
        let error = answered.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
