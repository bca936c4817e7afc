//! "Is this contact connected anywhere?", asked of every edge node at once.

use std::time::Duration;

use async_nats::{HeaderMap, StatusCode, Subscriber};
use chasqui_kit::{Bus, TraceContext};
use chasqui_proto::{
    ConversationToken, Tenant, header, subject,
    v1::{ContactFound, FindContact},
};
use futures::StreamExt;
use prost::Message;
use tokio::time::{Instant, timeout_at};

/// How long nodes may take to say that they hold a socket of the contact. Where none listens for it, "nobody" comes at
/// once; silence means that somebody listens and is slow, and counts as a yes.
const ANSWER_WAIT: Duration = Duration::from_millis(500);
/// How long after the first no another node may take to say yes. Nodes that listen for all contacts of a tenant say no
/// where they have none.
const YES_WAIT: Duration = Duration::from_millis(150);

/// Whether any node holds a socket of the contact.
pub(crate) async fn is_connected(
    bus: &Bus,
    tenant: &Tenant,
    conversation: &ConversationToken,
    trace: TraceContext,
) -> bool {
    match ask(bus, tenant, conversation, trace).await {
        Ok(answers) => hear(answers).await,
        Err(error) => {
            tracing::warn!(%error, "nobody could be asked whether a contact is connected");
            true
        }
    }
}

async fn ask(
    bus: &Bus,
    tenant: &Tenant,
    conversation: &ConversationToken,
    trace: TraceContext,
) -> Result<Subscriber, async_nats::Error> {
    let inbox = bus.client().new_inbox();
    let answers = bus.client().subscribe(inbox.clone()).await?;
    let subject = subject::edge_contacts(tenant, conversation).as_str().to_owned();
    let mut headers = HeaderMap::new();
    headers.insert(header::TRACEPARENT, trace.to_header());
    let question = FindContact {}.encode_to_vec().into();
    bus.client().publish_with_reply_and_headers(subject, inbox, headers, question).await?;
    Ok(answers)
}

/// The first yes wins.
async fn hear(mut answers: Subscriber) -> bool {
    let mut until = Instant::now() + ANSWER_WAIT;
    let mut denied = false;
    while let Ok(Some(answer)) = timeout_at(until, answers.next()).await {
        if answer.status == Some(StatusCode::NO_RESPONDERS) {
            return false;
        }
        match ContactFound::decode(answer.payload) {
            Ok(found) if found.absent && !denied => {
                denied = true;
                until = until.min(Instant::now() + YES_WAIT);
            }
            Ok(found) if found.absent => {}
            Ok(_) => return true,
            Err(error) => tracing::warn!(%error, "an answer about a contact cannot be read"),
        }
    }
    !denied
}
