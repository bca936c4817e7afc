use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use chasqui_testkit::{Program, wait_for};
use tokio::sync::Mutex;

use super::{DEADLINE, http};

/// Lines of a log that a failed story shows; the whole stays in the file.
const LOG_LINES_SHOWN: usize = 40;

/// Keeps both outputs and is the process itself afterwards.
const LOGGED: &str = r#"exec "$0" "$@" >>"$CHASQUI_E2E_LOG" 2>&1"#;

/// One process of a cluster. It can end and come back; its port and its log stay.
pub(crate) struct Process {
    name: String,
    binary: PathBuf,
    port: u16,
    environment: Vec<(String, String)>,
    log: PathBuf,
    /// None while it is down.
    running: Mutex<Option<Program>>,
}

impl Process {
    /// `chasqui SERVICE`, not started yet.
    pub(crate) fn new(
        binary: &Path,
        (service, number): (&str, usize),
        port: u16,
        environment: &[(String, String)],
        logs: &Path,
    ) -> Self {
        let name = format!("{service}-{}", number + 1);
        let log = logs.join(format!("{name}.log"));
        let mut environment = environment.to_vec();
        environment.push(("PORT".to_owned(), port.to_string()));
        environment.push(("CHASQUI_NODE".to_owned(), name.clone()));
        environment.push(("CHASQUI_E2E_LOG".to_owned(), log.display().to_string()));
        Self { name, binary: binary.to_owned(), port, environment, log, running: Mutex::default() }
    }

    /// Its name on the bus.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens, as `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// An address below its door.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Starts it. It is ready a little later.
    pub(crate) async fn start(&self) {
        let service = self.name.split('-').next().expect("a split has a first part");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", LOGGED]).arg(&self.binary).arg(service);
        command.envs(self.environment.iter().map(|(name, value)| (OsString::from(name), value)));
        command
            .env_remove("CHASQUI_CONFIG")
            .current_dir(self.log.parent().expect("a log stands in a directory"));
        *self.running.lock().await = Some(Program::start(&command).unwrap());
    }

    /// Waits until `/readyz` says what is expected.
    pub(crate) async fn is_ready(&self, expected: bool) {
        let claim = format!("{} is {}", self.name, if expected { "ready" } else { "not ready" });
        let url = self.url("/readyz");
        let client = http();
        wait_for(DEADLINE, &claim, async || {
            let ready = client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
            (ready == expected).then_some(())
        })
        .await;
    }

    /// Its resident memory, bytes.
    pub(crate) async fn memory(&self) -> u64 {
        let running = self.running.lock().await;
        let id = running.as_ref().expect("it runs").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says it");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Ends it in the middle of whatever it does: SIGKILL.
    pub(crate) async fn kill(&self) {
        self.running.lock().await.take().expect("it runs").kill();
    }

    /// Ends it as an operator does: SIGTERM; how it ended.
    pub(crate) async fn stop(&self) -> ExitStatus {
        let mut program = self.running.lock().await.take().expect("it runs");
        program.terminate();
        program.ended(DEADLINE).await
    }

    /// The end of its log, for the message of a failed story.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
        format!("--- {} ({})\n{end}\n", self.name, self.log.display())
    }
}
