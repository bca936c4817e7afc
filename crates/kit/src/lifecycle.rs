//! The life of a process: services start, a signal stops them softly, they drain, the exit code tells which one failed.

use std::{process::ExitCode, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// How long services may take to finish what they have in hand before the process ends without them.
pub const DRAIN_WAIT: Duration = Duration::from_secs(25);

/// The exit code when services did not stop in time, or a second signal came.
const EXIT_HARD: u8 = 70;

/// How one service ended.
struct Ended {
    name: &'static str,
    exit_code: u8,
    result: Result<(), String>,
}

/// The services of a process.
#[derive(Debug)]
pub struct Supervisor {
    stop: CancellationToken,
    services: JoinSet<Ended>,
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ended").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new(CancellationToken::new())
    }
}

impl Supervisor {
    /// Nothing runs yet; `stop` is what stops everything.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, services: JoinSet::new() }
    }

    /// What every service waits on: cancelled means stop softly.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a service. If it fails, the others are stopped and the process exits with `exit_code`.
    pub fn spawn<E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        exit_code: u8,
        service: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.services.spawn(async move {
            let result = service.await.map_err(|error| error.to_string());
            Ended { name, exit_code, result }
        });
    }

    /// Waits for a signal or a failure, then for everyone to stop. A second signal ends the process at once.
    pub async fn run(mut self) -> ExitCode {
        let mut failed = None;
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = terminated() => tracing::info!("stopping: finishing what is in hand"),
            Some(ended) = self.services.join_next() => failed = first_failure(failed, ended),
        }
        self.stop.cancel();
        let drained = async {
            while let Some(ended) = self.services.join_next().await {
                failed = first_failure(failed, ended);
            }
        };
        let in_time = tokio::select! {
            () = drained => true,
            () = tokio::time::sleep(DRAIN_WAIT) => false,
            () = terminated() => false,
        };
        if !in_time {
            tracing::error!("not everything stopped in time; ending without it");
            return ExitCode::from(EXIT_HARD);
        }
        failed.map_or(ExitCode::SUCCESS, ExitCode::from)
    }
}

fn first_failure(earlier: Option<u8>, ended: Result<Ended, tokio::task::JoinError>) -> Option<u8> {
    let exit_code = match ended {
        Ok(Ended { result: Ok(()), name, .. }) => {
            tracing::info!(service = name, "stopped");
            return earlier;
        }
        Ok(Ended { name, exit_code, result: Err(error) }) => {
            tracing::error!(service = name, error, "a service failed");
            exit_code
        }
        Err(panic) => {
            tracing::error!(error = %panic, "a service panicked");
            EXIT_HARD
        }
    };
    Some(earlier.unwrap_or(exit_code))
}

async fn terminated() {
    let on = |kind| signal(kind).expect("the runtime handles signals");
    let (mut interrupt, mut terminate) = (on(SignalKind::interrupt()), on(SignalKind::terminate()));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_stops_the_others_and_names_itself_in_the_exit_code() {
        let mut supervisor = Supervisor::default();
        let stop = supervisor.stop();
        let (drained, was_drained) = tokio::sync::oneshot::channel();
        supervisor.spawn("good", 10, async move {
            stop.cancelled().await;
            drained.send(()).map_err(|()| "nobody waits")
        });
        supervisor.spawn("bad", 11, async { Err::<(), _>("no database") });
        assert_eq!(format!("{:?}", supervisor.run().await), format!("{:?}", ExitCode::from(11)));
        was_drained.await.expect("the good service was stopped softly");
    }
}
