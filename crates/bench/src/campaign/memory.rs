//! The resident memory of processes while something happens.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::process::resident_kib;

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What one process held, KiB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// What it is called.
    pub name: String,
    /// Before.
    pub before_kib: u32,
    /// The most that was seen meanwhile.
    pub peak_kib: u32,
    /// When it was over.
    pub after_kib: u32,
}

/// Looks at processes until it is stopped.
#[derive(Debug)]
pub(super) struct Sampler {
    stop: CancellationToken,
    looking: AbortOnDropHandle<Vec<Memory>>,
}

impl Sampler {
    /// Begins to look at processes, by their ids.
    pub(super) fn start(processes: BTreeMap<u32, String>) -> anyhow::Result<Self> {
        let memory = |(id, name): (u32, String)| {
            let before_kib = resident_kib(id)?;
            Ok((id, Memory { name, before_kib, peak_kib: before_kib, after_kib: before_kib }))
        };
        let memories = processes.into_iter().map(memory).collect::<anyhow::Result<Vec<_>>>()?;
        let stop = CancellationToken::new();
        let looking = AbortOnDropHandle::new(tokio::spawn(look(memories, stop.clone())));
        Ok(Self { stop, looking })
    }

    /// Looks once more and tells what was seen.
    pub(super) async fn stop(self) -> anyhow::Result<Vec<Memory>> {
        self.stop.cancel();
        self.looking.await.context("nobody looked at the memory")
    }
}

async fn look(mut memories: Vec<(u32, Memory)>, stop: CancellationToken) -> Vec<Memory> {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_last = stop.run_until_cancelled(looks.tick()).await.is_none();
        for (id, memory) in &mut memories {
            // A process that is gone keeps what it had.
            if let Ok(kib) = resident_kib(*id) {
                memory.peak_kib = memory.peak_kib.max(kib);
                memory.after_kib = kib;
            }
        }
        if is_last {
            return memories.into_iter().map(|(_, memory)| memory).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_process_takes_meanwhile_is_seen() {
        let ours = BTreeMap::from([(std::process::id(), "ours".to_owned())]);
        let sampler = Sampler::start(ours).unwrap();
        let filled = vec![7_u8; 32 * 1024 * 1024];
        let seen = sampler.stop().await.unwrap();
        assert_eq!((seen.len(), seen[0].name.as_str(), filled[0]), (1, "ours", 7));
        assert!(seen[0].peak_kib > seen[0].before_kib + 16 * 1024, "{seen:?}");
        assert!(Sampler::start(BTreeMap::from([(0, "nobody".to_owned())])).is_err());
    }
}
