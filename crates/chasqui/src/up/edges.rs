//! Further edges, each a process of its own, so that what crosses nodes here crosses processes.

use std::{
    path::Path,
    process::ExitStatus,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use chasqui_kit::lifecycle::Supervisor;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::plan::Plan;
use crate::{exit, settings::Service, settings::Variables};

/// How long an edge may take to send its clients elsewhere; less than this process waits for everything.
const STOP_MAX: Duration = Duration::from_secs(22);

/// The edges beside this process.
pub(crate) struct Edges {
    /// The exit code of the first one that failed; 0 when none did. Written by the tasks that watch them.
    failed: Arc<AtomicU8>,
}

impl Edges {
    /// Starts one process a port after the first. If one ends, everything is stopped.
    pub(crate) fn start(
        plan: &Plan,
        variables: &Variables,
        config: Option<&Path>,
        supervisor: &mut Supervisor,
    ) -> anyhow::Result<Self> {
        let failed = Arc::new(AtomicU8::new(0));
        for port in plan.edges.iter().skip(1) {
            let edge = spawn(*port, variables, config).context("a further edge could not be started")?;
            let watched = watch(edge, *port, failed.clone(), supervisor.stop());
            supervisor.spawn("further edge", exit::of(Service::Edge), watched);
        }
        Ok(Self { failed })
    }

    /// The exit code of the first edge that failed.
    pub(crate) fn failed(&self) -> Option<u8> {
        Some(self.failed.load(Ordering::Relaxed)).filter(|code| *code != 0)
    }
}

/// The kernel stops the edge when this process is gone, however that came about. In a process group of its own, it
/// does not get the terminal's Ctrl-C: this process stops everything in order.
fn spawn(port: u16, variables: &Variables, config: Option<&Path>) -> anyhow::Result<Child> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(std::env::current_exe()?).arg("edge");
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    command.env_clear().envs(variables).env("PORT", port.to_string()).env_remove("CHASQUI_NODE");
    Ok(command.process_group(0).kill_on_drop(true).spawn()?)
}

async fn watch(
    mut edge: Child,
    port: u16,
    failed: Arc<AtomicU8>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let status = tokio::select! {
        status = edge.wait() => status?,
        () = stop.cancelled() => {
            terminate(&edge);
            match tokio::time::timeout(STOP_MAX, edge.wait()).await {
                Ok(status) => status?,
                Err(_) => anyhow::bail!("the edge on port {port} did not stop in time"),
            }
        }
    };
    let Some(code) = failure(status) else { return Ok(()) };
    // The first failure is the cause; the others followed.
    let _ = failed.compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
    anyhow::bail!("the edge on port {port} ended: {status}")
}

fn failure(status: ExitStatus) -> Option<u8> {
    if status.success() {
        return None;
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Some(code.unwrap_or(exit::of(Service::Edge)))
}

fn terminate(edge: &Child) {
    let pid = edge.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It has not been waited for, so the number is still its own; that it may just have ended is no failure.
        let _ = kill_process(pid, Signal::TERM);
    }
}
