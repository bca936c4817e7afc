//! What the figures were measured on.

use std::fs;

use serde::Serialize;

/// The machine the bench runs on.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// CPUs that this process may use.
    pub cpus: usize,
    /// Their model.
    pub model: String,
    /// The kernel's release.
    pub kernel: String,
}

impl Machine {
    /// Reads `/proc`; what cannot be read is called unknown.
    pub(crate) fn here() -> Self {
        let unknown = || "unknown".to_owned();
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            model: model.map_or_else(unknown, |(_, model)| model.to_owned()),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| unknown(), |release| release.trim().to_owned()),
        }
    }
}
