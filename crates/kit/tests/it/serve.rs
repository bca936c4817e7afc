//! Asking and answering over the bus.

use std::time::Duration;

use chasqui_kit::{Code, Coded, TraceContext, request::RequestError, serve::Responder};
use chasqui_proto::{
    service::{PERSISTENCE, STATS_GET},
    v1,
};
use tokio_util::sync::CancellationToken;

use crate::broker;

#[derive(Debug, thiserror::Error)]
#[error("tenant must be known")]
struct Unknown;

impl Coded for Unknown {
    fn code(&self) -> Code {
        Code::NotFound
    }
}

async fn answer(question: v1::GetStats, _: TraceContext) -> Result<v1::Stats, Unknown> {
    match question.tenant.as_str() {
        "default" => Ok(v1::Stats { tenant: question.tenant, messages_in: 7, ..v1::Stats::default() }),
        _ => Err(Unknown),
    }
}

fn of(tenant: &str) -> v1::GetStats {
    v1::GetStats { tenant: tenant.to_owned() }
}

#[tokio::test]
async fn an_answer_or_the_error_with_its_code_comes_back() {
    let (_nats, bus) = broker().await;
    let stop = CancellationToken::new();
    let responder = Responder::start(&bus, PERSISTENCE, "the test", stop.clone()).await.unwrap();
    responder.endpoint(STATS_GET, answer).await.unwrap();
    bus.barrier().await.unwrap();
    let stats = bus.ask(STATS_GET, &of("default"), TraceContext::root()).await.unwrap();
    assert_eq!(stats.messages_in, 7);
    let refused = bus.ask(STATS_GET, &of("nobody"), TraceContext::root()).await.unwrap_err();
    assert_eq!((refused.code(), refused.to_string().as_str()), (Code::NotFound, "tenant must be known"));
    stop.cancel();
    responder.stopped().await;
    let nobody = bus.ask(STATS_GET, &of("default"), TraceContext::root()).await.unwrap_err();
    assert!(matches!(nobody, RequestError::NoResponders(_)), "{nobody}");
}

#[tokio::test]
async fn garbage_is_refused_and_a_silent_service_times_out() {
    let (_nats, bus) = broker().await;
    let responder = Responder::start(&bus, PERSISTENCE, "the test", CancellationToken::new()).await.unwrap();
    responder.endpoint(STATS_GET, answer).await.unwrap();
    let _silent = bus.client().subscribe("silent").await.unwrap();
    bus.barrier().await.unwrap();
    let garbage = bus.client().request(STATS_GET.subject, "\u{ff}garbage".into()).await.unwrap();
    let code = garbage.headers.unwrap().get("Nats-Service-Error-Code").unwrap().to_string();
    assert_eq!(code, "400");
    let wait = Duration::from_millis(200);
    let silent: Result<v1::Stats, _> =
        bus.ask_subject("silent", &of("default"), TraceContext::root(), wait).await;
    assert_eq!(silent.unwrap_err().code(), Code::Timeout);
}
