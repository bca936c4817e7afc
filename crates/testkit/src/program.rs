use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::binary::workspace;
use crate::child::{signal_process, spawn};
use crate::error::{Doing, Error};
use crate::wait::{LOOK_EVERY, wait_for};

/// Bytes of standard error kept for the message of a failed test.
const ERRORS_MAX: usize = 64 * 1024;

/// A program under test, or the other side of one: it speaks lines on its standard input and output.
/// Killed on drop, and when this process dies.
pub struct Program {
    child: Child,
    input: ChildStdin,
    /// Filled by a thread that reads standard output; closed when the program ends. Unbounded: the
    /// reader must never hold up the program, and a test reads to the end.
    lines: UnboundedReceiver<String>,
    /// Filled by a thread that reads standard error.
    errors: Arc<Mutex<String>>,
}

impl Program {
    /// Starts a script of `crates/e2e/clients` with Node.
    pub fn node(script: &str, arguments: &[&str]) -> Result<Self, Error> {
        let mut command = Command::new("node");
        command.arg(workspace().join("crates/e2e/clients").join(script)).args(arguments);
        Self::start(&command)
    }

    /// Starts a script of `crates/e2e/clients` with Node and an environment of its own.
    pub fn bot(script: &str, environment: &[(&str, &str)]) -> Result<Self, Error> {
        let mut command = Command::new("node");
        command.arg(workspace().join("crates/e2e/clients").join(script)).envs(environment.iter().copied());
        Self::start(&command)
    }

    /// Starts `command`, with the environment and directory it names.
    pub fn start(command: &Command) -> Result<Self, Error> {
        let name = format!("{command:?}");
        let mut leashed = on_a_leash(command);
        leashed.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(leashed).doing(|| format!("start {name}"))?;
        let input = child.stdin.take().expect("standard input was asked for");
        let (sender, lines) = mpsc::unbounded_channel();
        let errors = Arc::new(Mutex::new(String::new()));
        let output = child.stdout.take().expect("standard output was asked for");
        std::thread::spawn(move || forward(output, &sender));
        let errors_of_child = child.stderr.take().expect("standard error was asked for");
        let keep = Arc::clone(&errors);
        std::thread::spawn(move || collect(errors_of_child, &keep));
        Ok(Self { child, input, lines, errors })
    }

    /// The process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its standard output.
    ///
    /// # Panics
    /// When `deadline` passes or the program ends first, with `description` and its standard error.
    pub async fn line(&mut self, deadline: Duration, description: &str) -> String {
        let Ok(line) = tokio::time::timeout(deadline, self.lines.recv()).await else {
            panic!("{deadline:?} passed before {description}; {}", self.report())
        };
        line.unwrap_or_else(|| panic!("the program ended before {description}; {}", self.report()))
    }

    /// The next line of its standard output, which must be JSON.
    ///
    /// # Panics
    /// Like [`Program::line`], and when the line is something else.
    pub async fn json(&mut self, deadline: Duration, description: &str) -> Value {
        let line = self.line(deadline, description).await;
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{description}: {error} in {line}"))
    }

    /// The next JSON line in which `wanted` finds something; others before it are skipped.
    ///
    /// # Panics
    /// Like [`Program::json`].
    pub async fn find<T>(
        &mut self,
        deadline: Duration,
        description: &str,
        mut wanted: impl FnMut(&Value) -> Option<T>,
    ) -> T {
        let end = Instant::now() + deadline;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if let Some(found) = wanted(&self.json(left, description).await) {
                return found;
            }
        }
    }

    /// Writes one line to its standard input. A program that has ended does not read it.
    pub fn write_line(&mut self, line: &str) {
        let _ = writeln!(self.input, "{line}").and_then(|()| self.input.flush());
    }

    /// What it has written to its standard error.
    pub fn errors(&self) -> String {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks it to stop: SIGTERM.
    pub fn terminate(&self) {
        signal_process(&self.child, Signal::TERM);
    }

    /// Asks it to stop as Ctrl-C does: SIGINT.
    pub fn interrupt(&self) {
        signal_process(&self.child, Signal::INT);
    }

    /// Stops it in the middle of whatever it does: SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When `deadline` passes first.
    pub async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let child = &mut self.child;
        wait_for(deadline, "the program has ended", async || child.try_wait().ok().flatten()).await
    }

    fn report(&self) -> String {
        // Its last words may still be on the way from the thread that reads them.
        std::thread::sleep(LOOK_EVERY);
        format!("its standard error:\n{}", self.errors())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The same command behind `setpriv`, so that it ends with us.
fn on_a_leash(command: &Command) -> Command {
    let mut leashed = crate::child::leashed(Path::new(command.get_program()), "KILL");
    leashed.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => leashed.env(name, value),
            None => leashed.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        leashed.current_dir(directory);
    }
    leashed
}

fn forward(output: impl Read, lines: &UnboundedSender<String>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if lines.send(line).is_err() {
            return;
        }
    }
}

fn collect(errors: impl Read, keep: &Mutex<String>) {
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        let mut kept = keep.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() + line.len() < ERRORS_MAX {
            kept.push_str(&line);
            kept.push('\n');
        }
    }
}
