use std::time::Duration;

use anyhow::{Context, Result};
use chasqui_kit::{Bus, TraceContext, bus::NatsConfig, stream};
use chasqui_proto::{
    Tenant,
    service::SESSIONS_OPEN,
    subject,
    v1::{self, SessionStatus},
};
use chasqui_testkit::NatsServer;
use futures::StreamExt;
use prost::Message;
use serde_json::json;
use tokio::time::timeout;

use crate::simulator::Simulator;

const SOON: Duration = Duration::from_secs(20);
const NOWHERE: &str = "http://127.0.0.1:9/webhook";

async fn next<M: Message + Default>(events: &mut async_nats::Subscriber) -> Result<M> {
    let event = timeout(SOON, events.next()).await?.context("the subscription ended")?;
    Ok(M::decode(event.payload)?)
}

#[tokio::test]
async fn wab_23_a_scanned_qr_makes_a_session_that_receives_messages() -> Result<()> {
    let nats = NatsServer::start().await?;
    let bus = Bus::connect("test", &NatsConfig { url: nats.url(), ..NatsConfig::default() }).await?;
    stream::ensure_all(&bus).await?;
    let tenant: Tenant = "u1".parse()?;
    let live = subject::live_tenant(&tenant);
    let mut events = bus.client().subscribe(live.as_str().to_owned()).await?;
    bus.barrier().await?;
    let simulator = Simulator::start_with(NOWHERE.to_owned(), Some(bus.clone())).await?;

    let question = v1::OpenSession { tenant: tenant.to_string(), session: "main".to_owned() };
    let opened = bus.ask(SESSIONS_OPEN, &question, TraceContext::root()).await?;
    assert_eq!(opened.status(), SessionStatus::ScanQr);
    assert!(opened.qr.starts_with("data:image/png;base64,"));
    assert_eq!(next::<v1::Session>(&mut events).await?, opened);

    let (status, scanned) =
        simulator.post("/linked/u1/main/scan", json!({ "phone": "5491100000090" })).await?;
    assert_eq!((status, &scanned["status"]), (200, &json!("connected")));
    assert_eq!(next::<v1::Session>(&mut events).await?.status(), SessionStatus::Connected);

    let written = json!({ "from": "5491100000001", "text": "hola" });
    let (_, answer) = simulator.post("/linked/u1/main/messages", written).await?;
    let message = next::<v1::Message>(&mut events).await?;
    assert_eq!(json!(message.id), answer["id"]);
    assert_eq!((message.text.as_str(), message.conversation.as_str()), ("hola", "5491100000001"));

    let (_, closed) = simulator.post("/linked/u1/main/logout", json!({})).await?;
    assert_eq!(closed["status"], "logged_out");
    let (status, refused) =
        simulator.post("/linked/u1/main/messages", json!({ "from": "5491100000001", "text": "x" })).await?;
    assert_eq!((status, &refused["error"]), (409, &json!("session main is not connected")));
    simulator.stop().await
}
