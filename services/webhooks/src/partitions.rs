//! Which partitions this process owns: its share of them, and those that nobody takes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chasqui_kit::lease::{Held, LeaseError, Leases};
use chasqui_proto::stream::{DELIVERY_PARTITIONS, delivery_lease};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{meter, office::Office, partition::Partition, replicas};

/// How often the leases are looked at. With a lease's lifetime of 6 s, a partition is without an owner for 10 s at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a partition is found free before it is taken by somebody who has its share already.
const FREE_LOOKS_MAX: u32 = 2;

/// The partitions of this process.
pub(crate) struct Partitions {
    office: Arc<Office>,
    leases: Leases,
    owned: BTreeMap<u32, Owned>,
    /// Those that were given up and still finish what they have in hand.
    leaving: JoinSet<()>,
    /// How often each partition was found free.
    free: BTreeMap<u32, u32>,
    /// For how many replicas the shares were right, though somebody may not have taken its own.
    settled: usize,
    /// Where in the row this process begins to look, so that replicas that start together do not all want the same.
    offset: u32,
}

/// A partition and its lease.
struct Owned {
    held: Held,
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Owned {
    fn has_ended(&self) -> bool {
        self.task.is_finished() || self.held.lost().is_cancelled()
    }

    /// Finishes what it has in hand, unless the lease is lost: then it ends at once, with the task.
    async fn leave(self) {
        self.stop.cancel();
        tokio::select! {
            () = self.held.lost().cancelled() => return,
            _ = self.task => {}
        }
        self.held.release().await;
    }
}

impl Partitions {
    pub(crate) fn new(office: Arc<Office>, leases: Leases) -> Self {
        let offset = rand::random_range(0..DELIVERY_PARTITIONS);
        Self {
            office,
            leases,
            owned: BTreeMap::new(),
            leaving: JoinSet::new(),
            free: BTreeMap::new(),
            settled: 0,
            offset,
        }
    }

    /// Takes and gives up partitions until stopped, and gives all back then.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(look.tick()).await.is_some() {
            while self.leaving.try_join_next().is_some() {}
            self.owned.retain(|_, owned| !owned.has_ended());
            let Some(replicas) = replicas::count(&self.office.bus).await else { continue };
            if let Err(error) = self.balance(replicas).await {
                tracing::warn!(%error, "partitions cannot be taken now");
            }
            meter::partitions(self.owned.len());
        }
        for (_, owned) in std::mem::take(&mut self.owned) {
            self.leaving.spawn(owned.leave());
        }
        while self.leaving.join_next().await.is_some() {}
        meter::partitions(0);
    }

    async fn balance(&mut self, replicas: usize) -> Result<(), LeaseError> {
        let share = share(replicas);
        if self.owned.len() <= share {
            self.settled = replicas;
        }
        while replicas != self.settled && self.owned.len() > share {
            if let Some((_, owned)) = self.owned.pop_last() {
                self.leaving.spawn(owned.leave());
            }
        }
        let offset = self.offset;
        for partition in (0..DELIVERY_PARTITIONS).map(|at| (at + offset) % DELIVERY_PARTITIONS) {
            if !self.owned.contains_key(&partition) {
                self.look_at(partition, share, replicas).await?;
            }
        }
        Ok(())
    }

    async fn look_at(&mut self, partition: u32, share: usize, replicas: usize) -> Result<(), LeaseError> {
        let lease = delivery_lease(partition);
        if self.owned.len() >= share {
            if self.leases.holder(&lease).await?.is_some() {
                self.free.remove(&partition);
                return Ok(());
            }
            let looks = self.free.entry(partition).or_default();
            *looks += 1;
            if *looks <= FREE_LOOKS_MAX {
                return Ok(());
            }
            // Whoever is to have it does not come; it is not given back until the replicas change.
            self.settled = replicas;
        }
        self.free.remove(&partition);
        if let Some(held) = self.leases.take(&lease).await? {
            tracing::info!(partition, ownership = held.ownership, "owns a partition of deliveries");
            self.owned.insert(partition, self.begin(partition, held));
        }
        Ok(())
    }

    fn begin(&self, number: u32, held: Held) -> Owned {
        let (stop, lost) = (CancellationToken::new(), held.lost().clone());
        let partition = Partition::new(self.office.clone(), number, stop.clone());
        let task = tokio::spawn(async move {
            // The partition's tasks end with this one.
            match lost.run_until_cancelled(Box::pin(partition.run())).await {
                Some(Ok(())) | None => {}
                Some(Err(error)) => {
                    tracing::warn!(%error, number, "a partition is given up; it is taken again");
                }
            }
        });
        Owned { held, stop, task: AbortOnDropHandle::new(task) }
    }
}

/// How many partitions each of some replicas owns at most.
fn share(replicas: usize) -> usize {
    (DELIVERY_PARTITIONS as usize).div_ceil(replicas.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_every_partition() {
        for replicas in 0..40 {
            assert!(share(replicas) * replicas.max(1) >= DELIVERY_PARTITIONS as usize);
        }
        assert_eq!([1, 2, 3, 16, 17].map(share), [16, 8, 6, 1, 1]);
    }
}
