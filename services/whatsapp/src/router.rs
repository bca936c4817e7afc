//! From `MESSAGES` into the queue of the session that each message goes through.

use std::{collections::HashMap, time::Duration};

use async_nats::{
    HeaderMap,
    jetstream::consumer::{AckPolicy, PriorityPolicy, PullConsumer, pull},
};
use chasqui_kit::{
    Bus, TraceContext,
    consume::{self, Cause, Delivery},
    publish::PublishError,
};
use chasqui_proto::{
    ConversationToken, MessageId, Tenant, header,
    stream::{self, MESSAGES},
    subject::{self, NodeToken},
    v1::{ChannelKind, Message, ProviderError, Status},
};
use futures::{StreamExt, future};
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use crate::{
    consumer::{ACK_PENDING_MAX, AGAIN_PAUSE, until_open},
    priority,
    tell::{self, Told},
};

/// How many messages are routed at once.
const BATCH_MAX: usize = 256;
/// The replicas that take turns: only one routes, so that a conversation stays in order.
const GROUP: &str = "routers";
/// How long a router may be silent before another takes its turn.
const TURN: Duration = Duration::from_secs(3);
/// How long what a router took may stay unacknowledged. Shorter than a turn: the next router first gets what the one
/// before left behind, and only then what came after it.
const ACK_WAIT: Duration = Duration::from_secs(2);

/// Through which session a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resolved {
    Session {
        tenant: Tenant,
        session: NodeToken,
        kind: ChannelKind,
    },
    /// It goes to no WhatsApp contact.
    NotOurs,
    /// It names a session that there is not, or none and its tenant has no default.
    Unknown,
}

/// Routes until stopped. Every replica runs it; the broker gives the messages to one of them at a time.
pub(crate) async fn route(bus: Bus, resolve: impl Fn(&Message) -> Resolved, stop: CancellationToken) {
    loop {
        let opened = until_open(&stop, || async {
            let consumer = open(&bus).await.map_err(|error| error.to_string())?;
            let stream = consumer.stream().group(GROUP).max_messages_per_batch(BATCH_MAX);
            stream.messages().await.map_err(|error| error.to_string())
        });
        let Some(messages) = opened.await else { return };
        let readable = messages.filter_map(async |message| message.ok().and_then(Delivery::of));
        let mut batches = Box::pin(readable).ready_chunks(BATCH_MAX);
        while let Some(Some(batch)) = stop.run_until_cancelled(batches.next()).await {
            route_batch(&bus, &resolve, batch, &stop).await;
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

async fn open(bus: &Bus) -> Result<PullConsumer, impl std::error::Error> {
    let config = pull::Config {
        durable_name: Some(stream::OUTBOX_ROUTER_CONSUMER.to_owned()),
        description: Some("Brings messages to contacts to the queue of their WhatsApp session".to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: i64::try_from(ACK_PENDING_MAX).unwrap_or(i64::MAX),
        filter_subject: subject::messages_out_of_all().as_str().to_owned(),
        priority_policy: PriorityPolicy::PinnedClient,
        priority_groups: vec![GROUP.to_owned()],
        priority_timeout: TURN,
        ..pull::Config::default()
    };
    bus.jetstream().create_consumer_on_stream(config, MESSAGES.name).await
}

/// Routes what was read together: conversations beside each other, each in order.
async fn route_batch(
    bus: &Bus,
    resolve: &impl Fn(&Message) -> Resolved,
    batch: Vec<Delivery>,
    stop: &CancellationToken,
) {
    let mut conversations: HashMap<String, Vec<Delivery>> = HashMap::new();
    for delivery in batch {
        conversations.entry(delivery.subject().to_owned()).or_default().push(delivery);
    }
    future::join_all(conversations.into_values().map(|deliveries| async move {
        for delivery in deliveries {
            if stop.run_until_cancelled(route_surely(bus, resolve, &delivery)).await.is_none() {
                // It comes again, and what follows it must not overtake it.
                break;
            }
        }
    }))
    .await;
}

/// Tries until the broker takes it: nothing of the conversation may overtake it.
async fn route_surely(bus: &Bus, resolve: &impl Fn(&Message) -> Resolved, delivery: &Delivery) {
    loop {
        match route_one(bus, resolve, delivery).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(%error, seq = delivery.seq, "a message was not routed; trying again");
            }
        }
        tokio::time::sleep(AGAIN_PAUSE).await;
        delivery.hold().await;
    }
}

async fn route_one(
    bus: &Bus,
    resolve: &impl Fn(&Message) -> Resolved,
    delivery: &Delivery,
) -> Result<(), PublishError> {
    match read(delivery) {
        Err(error) => bury(bus, delivery, "undecodable", &error).await,
        // The echo of what was written on the phone itself: the contact has it.
        Ok((message, _)) if !message.provider_id.is_empty() => {
            delivery.done().await;
            Ok(())
        }
        Ok((message, conversation)) => match resolve(&message) {
            Resolved::NotOurs => {
                delivery.done().await;
                Ok(())
            }
            Resolved::Unknown => refuse(bus, delivery, &message, &conversation).await,
            Resolved::Session { tenant, session, kind: _ } => {
                match forward(bus, delivery, &message, (&tenant, &session, &conversation)).await {
                    Err(error @ PublishError::TooLarge) => {
                        bury(bus, delivery, "too_large", &error.to_string()).await
                    }
                    routed => routed,
                }
            }
        },
    }
}

fn read(delivery: &Delivery) -> Result<(Message, ConversationToken), String> {
    let message = Message::decode(delivery.payload().clone()).map_err(|error| error.to_string())?;
    message.id.parse::<MessageId>().map_err(|error| format!("id: expected a UUID: {error}"))?;
    let parts = subject::parse(delivery.subject()).ok_or("its subject is none of ours")?;
    if parts.tenant != message.tenant {
        return Err(format!(
            "tenant: expected {:?} as in its subject, found {:?}",
            parts.tenant, message.tenant
        ));
    }
    let conversation = parts.key.parse().map_err(|error| format!("{error}"))?;
    Ok((message, conversation))
}

async fn forward(
    bus: &Bus,
    delivery: &Delivery,
    message: &Message,
    (tenant, session, conversation): (&Tenant, &NodeToken, &ConversationToken),
) -> Result<(), PublishError> {
    let mut headers = HeaderMap::new();
    for name in [header::TYPE, header::ID, header::TRACEPARENT] {
        if let Some(value) = delivery.headers().and_then(|headers| headers.get(name)) {
            headers.insert(name, value.clone());
        }
    }
    headers.insert(header::MESSAGE_SEQUENCE, delivery.seq.to_string());
    let due = subject::sends_due(tenant, session, priority::of(message), conversation);
    bus.publish_bytes(due.as_str(), delivery.payload().clone(), headers, &message.id).await?;
    delivery.done().await;
    Ok(())
}

/// Tells that there is no such session, and keeps the message for when there is.
async fn refuse(
    bus: &Bus,
    delivery: &Delivery,
    message: &Message,
    conversation: &ConversationToken,
) -> Result<(), PublishError> {
    let (Ok(id), Ok(tenant)) = (message.id.parse(), message.tenant.parse()) else {
        return bury(bus, delivery, "undecodable", "its id or tenant is none").await;
    };
    let wanted = message.channel.as_ref().map_or("", |channel| channel.id.as_str());
    let text = if wanted.is_empty() {
        "the tenant has no WhatsApp session".to_owned()
    } else {
        format!("there is no WhatsApp session {wanted:?}")
    };
    let error =
        ProviderError { title: "no_session".to_owned(), message: text.clone(), ..ProviderError::default() };
    let told = Told {
        message,
        id,
        channel: message.channel.clone(),
        status: Status::Failed,
        attempt: 0,
        provider_id: String::new(),
        errors: vec![error],
    };
    tell::status(bus, (&tenant, conversation), told, TraceContext::of_nats(delivery.headers())).await?;
    bury(bus, delivery, "no_session", &text).await
}

async fn bury(bus: &Bus, delivery: &Delivery, reason: &'static str, error: &str) -> Result<(), PublishError> {
    let cause = Cause { service: crate::PART, reason, first_error: error, last_error: error };
    consume::bury(bus, delivery, &cause).await
}
