//! How many replicas share the work.

use std::time::Duration;

use chasqui_kit::Bus;
use chasqui_proto::service;
use futures::StreamExt;

/// How long replicas may take to say that they are there.
const ANSWER_WAIT: Duration = Duration::from_millis(300);
/// More than this are not counted.
const REPLICAS_MAX: usize = 64;

/// Counts the running replicas; 1 where nobody answers, since this process is there. None while the broker is away.
pub(crate) async fn count(bus: &Bus) -> Option<usize> {
    let inbox = bus.client().new_inbox();
    let answers = bus.client().subscribe(inbox.clone()).await.ok()?;
    let everyone = service::instances(service::WEBHOOKS);
    bus.client().publish_with_reply(everyone, inbox, bytes::Bytes::new()).await.ok()?;
    let answers = answers.take_until(tokio::time::sleep(ANSWER_WAIT)).take(REPLICAS_MAX);
    Some(answers.count().await.max(1))
}
