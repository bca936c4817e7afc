//! From what happened to what is to be posted: one delivery a listener.
//!
//! One replica routes at a time, so that events of a conversation reach its listeners' partitions in their order.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_nats::jetstream::consumer::PullConsumer;
use chasqui_kit::{
    Code, Coded, TraceContext, clock,
    consume::{self, Cause, ConsumerSpec, Start},
    lease::Leases,
    publish::{Fact, PublishError},
};
use chasqui_proto::{
    stream,
    subject::{self, NodeToken},
    v1::{Delivery, ListenerEntry, Responder},
};
use chasqui_responder::RespondersError;
use futures::{Stream, StreamExt, TryStreamExt, stream as futures_stream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{Error, dead_letter, meter, office::Office, place::partition_of, routing::Event};

/// How many events are read at once. Each becomes one delivery a listener, and those that are read ahead wait for all of
/// them: with more, they would come twice from a broker that thinks them lost.
const BATCH_MAX: usize = 32;
/// How many conversations are routed at once.
const CONVERSATIONS_MAX: usize = 32;
/// How many deliveries of one event are stored at once.
const LISTENERS_MAX: usize = 128;
/// How many events may be unacknowledged.
const ACK_PENDING_MAX: usize = 1_024;
/// How long an event may be unacknowledged. Whoever takes over waits as long for what was in hand, to keep the order.
const ACK_WAIT: Duration = Duration::from_secs(5);
/// How often the broker is told that what is being routed still is.
const HOLD_EVERY: Duration = Duration::from_secs(1);
/// The pause before the lease is asked for again, or the broker tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Routes events while this process has the lease.
pub(crate) struct Router {
    pub(crate) office: Arc<Office>,
    pub(crate) leases: Leases,
}

impl Router {
    /// Routes, or waits for its turn, until stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.leases.take(stream::DELIVERY_ROUTER_LEASE).await {
                Ok(Some(held)) => {
                    tracing::info!(ownership = held.ownership, "routes events to listeners");
                    let (until, lost) = (stop.child_token(), held.lost().clone());
                    // Boxed: the future is large, and made once a lease.
                    let routed = Box::pin(self.route_all(&until));
                    if let Some(Err(error)) = lost.run_until_cancelled(routed).await {
                        tracing::warn!(%error, "routing was interrupted; it goes on");
                    }
                    held.release().await;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "the router's lease cannot be asked for"),
            }
            stop.run_until_cancelled(sleep(PAUSE)).await;
        }
    }

    async fn route_all(&self, until: &CancellationToken) -> Result<(), Error> {
        tokio::try_join!(self.route(messages(), until), self.route(sessions(), until)).map(drop)
    }

    async fn route(&self, spec: ConsumerSpec, until: &CancellationToken) -> Result<(), Error> {
        let mut consumer = consume::open(&self.office.bus, &spec).await.map_err(broker)?;
        wait_for_unacknowledged(&mut consumer, until).await?;
        let batches = consume::batches(&consumer, spec.name, BATCH_MAX).await.map_err(broker)?;
        let mut batches = std::pin::pin!(batches);
        while let Some(Some(batch)) = until.run_until_cancelled(batches.next()).await {
            let routed =
                by_conversation(&batch).for_each_concurrent(CONVERSATIONS_MAX, |events| async move {
                    for event in events {
                        self.route_one(event, until).await;
                    }
                });
            tokio::select! {
                () = routed => {}
                () = hold(&batch) => {}
            }
        }
        if until.is_cancelled() { Ok(()) } else { Err(Error::Broker("a consumer ended".to_owned())) }
    }

    /// Stores the deliveries of an event, again and again while the broker does not take them: what comes behind it
    /// must not overtake it.
    async fn route_one(&self, stored: &consume::Delivery, until: &CancellationToken) {
        let event = match Event::read(stored.subject(), stored.payload(), stored.seq) {
            Ok(event) => event,
            Err(error) => return self.bury(stored, "undecodable", &error.to_string()).await,
        };
        let trace = TraceContext::of_nats(stored.headers());
        while !until.is_cancelled() {
            match self.store(&event, trace).await {
                Ok(count) => {
                    meter::routed(count);
                    return stored.done().await;
                }
                Err(error) if error.code() == Code::TooLarge => {
                    return self.bury(stored, "too_large", &error.to_string()).await;
                }
                Err(error) => tracing::warn!(%error, seq = stored.seq, "an event waits for the broker"),
            }
            until.run_until_cancelled(sleep(PAUSE)).await;
        }
    }

    async fn store(&self, event: &Event, trace: TraceContext) -> Result<u64, Error> {
        if self.office.directory.is_suspended(&event.tenant) {
            return Ok(0);
        }
        let deliveries = self.deliveries(event).await?;
        let count = deliveries.len() as u64;
        futures_stream::iter(deliveries)
            .map(|delivery| async move {
                let listener = NodeToken::new(&delivery.listener);
                let partition = partition_of(&event.tenant, &listener);
                let due = subject::deliveries_due(partition, &event.tenant, &listener);
                let id = delivery.id.clone();
                self.office.bus.publish(Fact::new(due, &delivery, id, trace)).await
            })
            .buffer_unordered(LISTENERS_MAX)
            .try_for_each(async |_| Ok::<_, PublishError>(()))
            .await?;
        Ok(count)
    }

    /// What listeners are to be told.
    async fn deliveries(&self, event: &Event) -> Result<Vec<Delivery>, RespondersError> {
        let (listeners, now_ms) = (self.office.directory.listeners(&event.tenant), clock::now_ms());
        let wanted = |listener: ListenerEntry| event.to(&listener, now_ms);
        let (asked, told): (Vec<_>, Vec<_>) =
            listeners.into_iter().partition(|listener| event.asks(listener));
        let mut deliveries: Vec<Delivery> = told.into_iter().filter_map(wanted).collect();
        let asked: Vec<Delivery> = asked.into_iter().filter_map(wanted).collect();
        // Most events ask nobody for an answer: those are not looked up.
        if asked.is_empty() {
            return Ok(deliveries);
        }
        match self.responder(event).await? {
            Responder::External => deliveries.extend(asked),
            other => meter::withheld(asked.len() as u64, other),
        }
        Ok(deliveries)
    }

    /// Who answers what a contact wrote.
    async fn responder(&self, event: &Event) -> Result<Responder, RespondersError> {
        let responders = &self.office.responders;
        if event.is_for_flow() {
            return Ok(Responder::Builtin);
        }
        match event.conversation() {
            Some(conversation) => Ok(responders.of(&event.tenant, &conversation).await?.responder),
            None => Ok(responders.of_tenant(&event.tenant)),
        }
    }

    async fn bury(&self, stored: &consume::Delivery, reason: &'static str, error: &str) {
        let cause = Cause { service: dead_letter::SERVICE, reason, first_error: error, last_error: error };
        if let Err(error) = consume::bury(&self.office.bus, stored, &cause).await {
            tracing::warn!(%error, seq = stored.seq, "a message is no dead letter yet; it comes again");
        }
    }
}

fn messages() -> ConsumerSpec {
    ConsumerSpec {
        stream: stream::MESSAGES,
        name: stream::DELIVERY_ROUTER_CONSUMER,
        description: "Brings messages and statuses to the listeners that want them",
        filters: subject::persisted().to_vec(),
        start: Start::Everything,
        ack_wait: ACK_WAIT,
        ack_pending_max: ACK_PENDING_MAX,
    }
}

fn sessions() -> ConsumerSpec {
    ConsumerSpec {
        stream: stream::STATE,
        name: stream::SESSION_ROUTER_CONSUMER,
        description: "Brings the states of sessions to the listeners that want them",
        filters: vec![subject::sessions_of_all()],
        start: Start::Everything,
        ack_wait: ACK_WAIT,
        ack_pending_max: ACK_PENDING_MAX,
    }
}

/// What a router before had in hand comes first, once its time is up.
async fn wait_for_unacknowledged(
    consumer: &mut PullConsumer,
    until: &CancellationToken,
) -> Result<(), Error> {
    let info = consumer.info().await.map_err(broker)?;
    if info.num_ack_pending > 0 {
        until.run_until_cancelled(sleep(ACK_WAIT)).await;
    }
    Ok(())
}

/// Keeps a batch from coming again for as long as this is waited for, which is for ever.
async fn hold(batch: &[consume::Delivery]) {
    loop {
        sleep(HOLD_EVERY).await;
        for event in batch {
            event.hold().await;
        }
    }
}

/// The batch, one list a conversation, each in its order.
fn by_conversation(batch: &[consume::Delivery]) -> impl Stream<Item = Vec<&consume::Delivery>> {
    let mut conversations: HashMap<String, Vec<&consume::Delivery>> = HashMap::new();
    for event in batch {
        let key = subject::parse(event.subject()).map(|parts| format!("{} {}", parts.tenant, parts.key));
        conversations.entry(key.unwrap_or_default()).or_default().push(event);
    }
    futures_stream::iter(conversations.into_values())
}

fn broker(error: impl std::fmt::Display) -> Error {
    Error::Broker(error.to_string())
}
