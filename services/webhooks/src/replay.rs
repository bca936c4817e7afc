//! Questions: events once more, and a listener tried out.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::stream::DirectGetErrorKind;
use chasqui_kit::{
    TraceContext, clock,
    publish::Fact,
    serve::{Responder, ServeError},
};
use chasqui_proto::{
    Tenant, service, stream,
    subject::{self, NodeToken},
    v1::{
        DeliveriesReplayed, Delivery, DeliveryAttempt, DeliveryOutcome, DeliveryPage, ListDeliveries,
        ListenerEntry, ReplayDeliveries, TestListener,
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, log,
    office::Office,
    place::partition_of,
    routing::{self, Event},
    sample,
    verdict::Verdict,
};

/// How many deliveries of the log are read at once.
const PAGE_MAX: u32 = 200;
/// How many pages of the log are read for one question: the newest 10,000 deliveries of the listener.
const PAGES_MAX: usize = 50;
/// How long a listener that is tried out may take: less than whoever asks waits.
const TEST_WAIT: Duration = Duration::from_secs(4);

/// Starts answering.
pub(crate) async fn start(office: &Arc<Office>, stop: CancellationToken) -> Result<Responder, ServeError> {
    let description = "Brings events to registered listeners";
    let responder = Responder::start(&office.bus, service::WEBHOOKS, description, stop).await?;
    let shared = office.clone();
    responder
        .endpoint(service::DELIVERIES_REPLAY, move |question, trace| replay(shared.clone(), question, trace))
        .await?;
    let shared = office.clone();
    responder.endpoint(service::LISTENERS_TEST, move |question, _| test(shared.clone(), question)).await?;
    Ok(responder)
}

async fn replay(
    office: Arc<Office>,
    question: ReplayDeliveries,
    trace: TraceContext,
) -> Result<DeliveriesReplayed, Error> {
    let replay = Replay { listener: listener(&office, &question.tenant, &question.listener)?, office, trace };
    let count = match question.delivery_id.as_str() {
        "" => replay.all_given_up(question.since_ms).await?,
        id => replay.one(id).await?,
    };
    Ok(DeliveriesReplayed { count })
}

async fn test(office: Arc<Office>, question: TestListener) -> Result<DeliveryAttempt, Error> {
    let (tenant, listener) = listener(&office, &question.tenant, &question.listener)?;
    let delivery = sample::of(&tenant, &listener, clock::now_ms());
    let wait = TEST_WAIT.min(office.config.timeout());
    let attempted = office.poster.post_within(&listener, &delivery, wait).await;
    let outcome = match attempted.verdict {
        Verdict::Delivered => DeliveryOutcome::Delivered,
        _ => DeliveryOutcome::Failed,
    };
    Ok(log::record(&delivery, 1, (outcome, 0), &attempted))
}

fn listener(office: &Office, tenant: &str, id: &str) -> Result<(Tenant, ListenerEntry), Error> {
    let tenant: Tenant =
        tenant.parse().map_err(|error| Error::Question { field: "tenant", problem: format!("{error}") })?;
    if id.is_empty() {
        return Err(Error::Question { field: "listener", problem: "must not be empty".to_owned() });
    }
    let entry = office.directory.listener(&tenant, id);
    let entry = entry.ok_or_else(|| Error::NotFound(format!("there is no listener {id}")))?;
    Ok((tenant, entry))
}

/// Events of one listener that are to come once more.
struct Replay {
    office: Arc<Office>,
    listener: (Tenant, ListenerEntry),
    trace: TraceContext,
}

impl Replay {
    async fn one(&self, id: &str) -> Result<u32, Error> {
        let mut cursor = String::new();
        for _ in 0..PAGES_MAX {
            let page = self.page(cursor, DeliveryOutcome::Unspecified, 0).await?;
            let logged = page.deliveries.into_iter().filter_map(|logged| logged.last);
            if let Some(attempt) = logged.into_iter().find(|attempt| attempt.delivery_id == id) {
                let has_come = self.again(&attempt).await?;
                let gone = || Error::NotFound(format!("the event of delivery {id} is no longer kept"));
                return has_come.then_some(1).ok_or_else(gone);
            }
            cursor = page.next;
            if cursor.is_empty() {
                break;
            }
        }
        Err(Error::NotFound(format!("there is no delivery {id} in the log of the listener")))
    }

    async fn all_given_up(&self, since_ms: i64) -> Result<u32, Error> {
        let (mut given_up, mut cursor) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let page = self.page(cursor, DeliveryOutcome::Failed, since_ms).await?;
            given_up.extend(page.deliveries.into_iter().filter_map(|logged| logged.last));
            cursor = page.next;
            if cursor.is_empty() {
                break;
            }
        }
        let mut count = 0;
        // The log has the newest first; they come in the order they happened.
        for attempt in given_up.iter().rev() {
            count += u32::from(self.again(attempt).await?);
        }
        Ok(count)
    }

    async fn page(
        &self,
        cursor: String,
        outcome: DeliveryOutcome,
        since_ms: i64,
    ) -> Result<DeliveryPage, Error> {
        let (tenant, listener) = &self.listener;
        let question = ListDeliveries {
            tenant: tenant.to_string(),
            listener: listener.id.clone(),
            outcome: outcome.into(),
            cursor,
            limit: PAGE_MAX,
            since_ms,
        };
        Ok(self.office.bus.ask(service::DELIVERIES_LIST, &question, self.trace).await?)
    }

    /// Stores the delivery once more, under its old id. False where its event is no longer kept.
    async fn again(&self, attempt: &DeliveryAttempt) -> Result<bool, Error> {
        let (tenant, listener) = &self.listener;
        let Some(event) = self.event(attempt).await? else { return Ok(false) };
        let delivery = event.delivery(listener, clock::now_ms());
        // The position may have become another event's, where the stream was made anew.
        if delivery.id != attempt.delivery_id {
            return Ok(false);
        }
        let delivery = Delivery { replayed: true, ..delivery };
        let token = NodeToken::new(&listener.id);
        let due = subject::deliveries_due(partition_of(tenant, &token), tenant, &token);
        let id = format!("{}.replayed.{}", delivery.id, delivery.created_at_ms);
        self.office.bus.publish(Fact::new(due, &delivery, id, self.trace)).await?;
        Ok(true)
    }

    /// The event as it happened.
    async fn event(&self, attempt: &DeliveryAttempt) -> Result<Option<Event>, Error> {
        let name = if routing::is_state(&attempt.event) { stream::STATE.name } else { stream::MESSAGES.name };
        let stream = self.office.bus.jetstream().get_stream_no_info(name).await;
        let stream = stream.map_err(|error| Error::Broker(error.to_string()))?;
        match stream.direct_get(attempt.seq).await {
            Ok(stored) => Ok(Event::read(&stored.subject, &stored.payload, stored.sequence).ok()),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Broker(error.to_string())),
        }
    }
}
