//! Every client is cut at once while messages flow, and all come back with their cursors.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    address::Address,
    audience::Audience,
    deployment, descriptors,
    ledger::Account,
    letter::Letter,
    load::Poster,
    options::Options,
    plan::{Pace, Plan},
    quantiles::Quantiles,
    readiness::{self, Readiness},
    returner::{Returner, Returns},
    socket::{Caller, Dialect, Socket},
    trial::{self, Load},
};

/// How many sockets are opened at once before the storm.
const OPENING_MAX: usize = 64;

/// What the storm did.
#[derive(Clone, Debug, Serialize)]
pub struct StormReport {
    /// What was sent, and what arrived over both connections of each client.
    pub account: Account,
    /// How many clients were cut.
    pub clients: u32,
    /// From the cut until the server was ready for a client.
    pub back: Quantiles,
    /// Attempts to come back that failed.
    pub attempts_failed: u32,
    /// Clients that were told to reload.
    pub not_recovered: u32,
    /// Connections that the other side closed besides.
    pub closed: u32,
    /// What `/readyz` of the edges said meanwhile.
    pub readiness: Readiness,
    /// From sending to the socket, what had to wait for the client's return included.
    pub delivery: Quantiles,
}

impl StormReport {
    /// Whether every client is back with everything, once and in order, and no edge was ever unready.
    pub(crate) fn is_clean(&self) -> bool {
        let Readiness { not_ready, unanswered, .. } = self.readiness;
        self.account.is_clean()
            && self.back.count >= self.clients as usize
            && self.not_recovered + not_ready + unanswered == 0
    }
}

/// Opens the clients, sends, and cuts them in the middle.
pub(crate) async fn measure(
    options: &Options,
    clients: u32,
    rate_per_s: u32,
    seconds: u32,
) -> anyhow::Result<StormReport> {
    descriptors::allow(clients)?;
    let load = Load {
        pace: Pace::Open { rate_per_s },
        seconds,
        warmup_seconds: options.warmup_seconds,
        stragglers_wait: Duration::from_secs(options.stragglers_seconds.into()),
        lanes: options.connections,
        conversations: match options.dialect {
            Dialect::Crm => options.conversations,
            Dialect::Widget => clients,
        },
        text_bytes: options.text_bytes,
        processes: &options.processes,
    };
    let plan = load.plan();
    let edges = options.edge_addresses()?;
    let returns = Arc::new(Returns::default());
    let audience = audience(options, &plan, clients, &edges, &returns).await?;
    let clients = u32::try_from(audience.size())?;
    let ingest = Address::parse(&options.ingest)?;
    let letter = Letter::new(&ingest, &plan, load.text_bytes, &options.entrance);
    let also_durable = deployment::also_durable_while_away(options);
    let posters = Poster::several(load.lanes, &ingest, &letter, also_durable).await?;
    let stop = CancellationToken::new();
    let ready = tokio::spawn(readiness::watch(edges, stop.clone()));
    let middle = Duration::from_secs(seconds.into()) / 2;
    let cutting = async {
        tokio::time::sleep(middle).await;
        returns.cut.send_replace(1);
    };
    let (measured, ()) = tokio::join!(trial::run(&plan, posters, audience, &load), cutting);
    stop.cancel();
    let readiness = ready.await?;
    let (measured, _) = measured?;
    Ok(StormReport {
        account: measured.account,
        clients,
        back: Quantiles::of(returns.times_us()),
        attempts_failed: returns.failed.load(Ordering::Relaxed),
        not_recovered: returns.not_recovered.load(Ordering::Relaxed),
        closed: returns.closed.load(Ordering::Relaxed),
        readiness,
        delivery: measured.delivery,
    })
}

async fn audience(
    options: &Options,
    plan: &Plan,
    clients: u32,
    edges: &[Address],
    returns: &Arc<Returns>,
) -> anyhow::Result<Audience> {
    let mut audience = Audience::new(plan);
    // Every conversation that is written in has its widget, else nobody would hear of some messages.
    let clients = if options.dialect == Dialect::Widget { plan.conversations } else { clients };
    let callers = (0..clients).zip(edges.iter().cycle()).map(|(number, edge)| Caller {
        dialect: options.dialect,
        at: edge.clone(),
        credential: options.credential.clone(),
        number,
    });
    let opening = callers.map(|caller| async move {
        let socket = Socket::resume(&caller, None).await?;
        Ok::<_, anyhow::Error>((caller, socket))
    });
    let mut opened = futures::stream::iter(opening).buffer_unordered(OPENING_MAX);
    while let Some((caller, socket)) =
        opened.try_next().await.with_context(|| format!("after {} sockets", audience.size()))?
    {
        let conversation = (caller.dialect == Dialect::Widget).then_some(caller.number);
        let returner = Returner::new(caller, socket, audience.clock, returns.clone());
        audience.join(conversation, returner);
    }
    Ok(audience)
}
