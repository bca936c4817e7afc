//! Clients that leave, miss messages, and come back.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use futures::StreamExt;
use serde::Serialize;
use tokio::time::timeout;

use crate::{
    address::Address,
    audience::{Heard, Source},
    clock::Clock,
    deployment, descriptors,
    ledger::{Inbox, Outcome},
    letter::Letter,
    load::{Poster, send_all},
    marker,
    options::Options,
    plan::{Pace, Plan},
    quantiles::Quantiles,
    returner::{Returner, Returns},
    socket::{Caller, Dialect, Socket},
};

/// How many sockets are opened at once.
const OPENING_MAX: usize = 16;
/// How long a client waits for what it missed before it counts as incomplete.
const ALL_WAIT: Duration = Duration::from_secs(10);
/// How long is listened after the last message, for copies that should not come.
const DUPLICATES_WAIT: Duration = Duration::from_millis(100);

/// What coming back took.
#[derive(Clone, Debug, Serialize)]
pub struct ResumeReport {
    /// How many clients came back.
    pub clients: usize,
    /// How many messages each had missed.
    pub missed: usize,
    /// From opening the connection until the last of them had arrived.
    pub complete: Quantiles,
    /// Clients that did not have all of them in time.
    pub incomplete: usize,
    /// Clients that were shown one twice, or in another order.
    pub disordered: usize,
    /// Clients that were told to reload.
    pub not_recovered: usize,
}

impl ResumeReport {
    /// Whether everybody had everything, once and in order.
    pub(crate) fn is_clean(&self) -> bool {
        self.incomplete + self.disordered + self.not_recovered == 0
    }
}

/// How one client fared.
struct Return {
    /// `None` when it never had everything.
    complete_us: Option<u64>,
    is_disordered: bool,
    is_recovered: bool,
}

/// Lets the clients in and out, sends what they miss, and lets them in again, a few at a time.
pub(crate) async fn measure(
    options: &Options,
    clients: u32,
    missed: u32,
    at_once: usize,
) -> anyhow::Result<ResumeReport> {
    descriptors::allow(clients)?;
    let edges = options.edge_addresses()?;
    // Staff misses the same messages, each contact its own.
    let conversations = if options.dialect == Dialect::Widget { clients } else { 1 };
    let lanes = options.connections.min(conversations);
    let conversations = conversations.next_multiple_of(lanes);
    let count = missed.saturating_mul(conversations);
    let plan = Plan::new(Pace::Open { rate_per_s: count }, 1, lanes, conversations);
    let clients = if options.dialect == Dialect::Widget { plan.conversations } else { clients };
    let away = leave(options, clients, &edges).await?;
    send(options, &plan).await?;
    let returning = away.into_iter().map(|returner| come_back(returner, &plan, missed as usize));
    let returns: Vec<Return> = futures::stream::iter(returning).buffer_unordered(at_once).collect().await;
    let count = |is: fn(&Return) -> bool| returns.iter().filter(|one| is(one)).count();
    Ok(ResumeReport {
        clients: returns.len(),
        missed: missed as usize,
        incomplete: count(|one| one.complete_us.is_none()),
        disordered: count(|one| one.is_disordered),
        not_recovered: count(|one| !one.is_recovered),
        complete: Quantiles::of(returns.iter().filter_map(|one| one.complete_us).collect()),
    })
}

/// Opens each client until it knows where it is, and closes it.
async fn leave(options: &Options, clients: u32, edges: &[Address]) -> anyhow::Result<Vec<Returner>> {
    let returns = Arc::new(Returns::default());
    let clock = Clock::start();
    let callers = (0..clients).zip(edges.iter().cycle()).map(|(number, edge)| Caller {
        dialect: options.dialect,
        at: edge.clone(),
        credential: options.credential.clone(),
        number,
    });
    let leaving = callers.map(|caller| {
        let returns = returns.clone();
        async move {
            let socket = Socket::resume(&caller, None).await?;
            let mut returner = Returner::new(caller, socket, clock, returns);
            returner.learn_cursor().await.context("a client was not told where it is")?;
            returner.socket = None;
            Ok::<_, anyhow::Error>(returner)
        }
    });
    let left: Vec<_> = futures::stream::iter(leaving).buffer_unordered(OPENING_MAX).collect().await;
    left.into_iter().collect()
}

/// Sends what the clients miss.
async fn send(options: &Options, plan: &Plan) -> anyhow::Result<()> {
    let ingest = Address::parse(&options.ingest)?;
    let letter = Letter::new(&ingest, plan, options.text_bytes, &options.entrance);
    let also_durable = deployment::also_durable_while_away(options);
    let posters = Poster::several(plan.lanes, &ingest, &letter, also_durable).await?;
    let sent = send_all(plan, posters, Clock::start(), Arc::<Heard>::default()).await?;
    let refused = sent.iter().flatten().find(|sent| sent.outcome != Outcome::Acknowledged);
    anyhow::ensure!(refused.is_none(), "a message was not accepted: {refused:?}");
    Ok(())
}

async fn come_back(mut returner: Returner, plan: &Plan, missed: usize) -> Return {
    let conversation = (returner.caller.dialect == Dialect::Widget).then_some(returner.caller.number);
    let mut inbox = Inbox::new(conversation, plan.conversations);
    let mut received = 0;
    let clock = Clock::start();
    let all = async {
        while received < missed {
            let text = returner.next_text().await?;
            let number = marker::find(&plan.run, &text);
            received += usize::from(number.is_some_and(|number| inbox.hear(number, clock.now_us())));
        }
        Some(clock.now_us())
    };
    let complete_us = timeout(ALL_WAIT, all).await.ok().flatten();
    let more = async {
        while let Some(text) = returner.next_text().await {
            if let Some(number) = marker::find(&plan.run, &text) {
                inbox.hear(number, clock.now_us());
            }
        }
    };
    drop(timeout(DUPLICATES_WAIT, more).await);
    Return { complete_us, is_disordered: inbox.is_disordered(), is_recovered: returner.was_recovered }
}
