//! The campaigns that this replica runs: a task and a lease each.

use std::{collections::HashMap, time::Duration};

use chasqui_kit::{
    Bus,
    lease::{Held, Leases},
};
use tokio::{
    task::{self, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{key::CampaignKey, meter, run::run};

/// How long a campaign that was let go is left to others.
const LEAVE: Duration = Duration::from_millis(500);
/// How long a campaign may take to finish what it has in hand once everything is to stop. Without a broker it would never.
const FINISH_WAIT: Duration = Duration::from_secs(10);

/// What this replica runs.
#[derive(Debug)]
pub(crate) struct Runs {
    bus: Bus,
    leases: Leases,
    most: usize,
    tasks: JoinSet<()>,
    /// Which campaign each task runs.
    keys: HashMap<task::Id, CampaignKey>,
    stop: CancellationToken,
}

impl Runs {
    pub(crate) fn new(bus: &Bus, leases: Leases, most: usize, stop: &CancellationToken) -> Self {
        let (tasks, keys) = (JoinSet::new(), HashMap::new());
        Self { bus: bus.clone(), leases, most, tasks, keys, stop: stop.clone() }
    }

    /// Takes those of `due` that nobody runs, while there is room.
    pub(crate) async fn take(&mut self, due: Vec<CampaignKey>) {
        self.forget_ended();
        for key in due {
            if self.keys.len() >= self.most || self.stop.is_cancelled() {
                break;
            }
            if self.keys.values().any(|running| *running == key) {
                continue;
            }
            match self.leases.take(&key.lease()).await {
                Ok(Some(held)) => self.begin(key, held),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, campaign = %key, "a campaign cannot be taken now");
                    break;
                }
            }
        }
        meter::running(self.keys.len());
    }

    /// Waits until every campaign has finished what it has in hand and is given back.
    pub(crate) async fn finish(mut self) {
        while self.tasks.join_next().await.is_some() {}
        meter::running(0);
    }

    fn begin(&mut self, key: CampaignKey, held: Held) {
        let task = self.tasks.spawn(hold(self.bus.clone(), key.clone(), held, self.stop.clone()));
        self.keys.insert(task.id(), key);
    }

    fn forget_ended(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            let id = match ended {
                Ok((id, ())) => id,
                Err(error) => {
                    tracing::error!(%error, "the runner of a campaign failed; the campaign is taken again");
                    error.id()
                }
            };
            self.keys.remove(&id);
        }
    }
}

/// Runs a campaign while its lease is held. Where it is lost, everything ends in the middle: another one has it.
async fn hold(bus: Bus, key: CampaignKey, held: Held, stop: CancellationToken) {
    let too_late = async {
        stop.cancelled().await;
        sleep(FINISH_WAIT).await;
    };
    tokio::select! {
        () = held.lost().cancelled() => {
            tracing::warn!(campaign = %key, "a campaign is lost; another runner has it, or takes it");
            return;
        }
        () = too_late => {
            tracing::warn!(campaign = %key, "a campaign is left with something in hand; its next runner publishes it");
            return;
        }
        () = run(&bus, &key, held.ownership, &stop) => {}
    }
    held.release().await;
    stop.run_until_cancelled(sleep(LEAVE)).await;
}
