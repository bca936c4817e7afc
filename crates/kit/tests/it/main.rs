//! The chassis over a real broker, and its door over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod bucket;
mod bus;
mod consume;
mod door;
mod lease;
mod serve;
mod streams;

use std::time::Duration;

use chasqui_kit::{Bus, TraceContext, bus::NatsConfig, publish::Fact, stream};
use chasqui_proto::{ConversationToken, Tenant, subject, v1};
use chasqui_testkit::NatsServer;

/// How long a test waits for a fact.
const DEADLINE: Duration = Duration::from_secs(15);

async fn connect(nats: &NatsServer) -> Bus {
    let config = NatsConfig { url: nats.url(), ack_wait_ms: 1_000, ..NatsConfig::default() };
    Bus::connect("test", &config).await.unwrap()
}

/// A broker with our streams.
async fn broker() -> (NatsServer, Bus) {
    let nats = NatsServer::start().await.unwrap();
    let bus = connect(&nats).await;
    stream::ensure_all(&bus).await.unwrap();
    (nats, bus)
}

fn tenant() -> Tenant {
    "default".parse().unwrap()
}

fn conversation() -> ConversationToken {
    "5491100000001".parse().unwrap()
}

fn message(text: &str) -> v1::Message {
    v1::Message { id: text.to_owned(), text: text.to_owned(), ..v1::Message::default() }
}

fn fact(message: &v1::Message) -> Fact<'_, v1::Message> {
    let subject = subject::messages_in(&tenant(), &conversation());
    Fact::new(subject, message, message.id.clone(), TraceContext::root())
}
