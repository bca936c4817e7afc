use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child as Process, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Doing, Error};
use crate::wait::LOOK_EVERY;

/// Lines of a log that an error message quotes.
const TAIL_LINES_MAX: usize = 20;

/// A running server of ours. Killed on drop.
pub(crate) struct Child(Process);

impl Child {
    /// Starts `command` with both outputs appended to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self, Error> {
        let open = || File::options().create(true).append(true).open(log);
        let output = open().doing(|| format!("open {}", log.display()))?;
        let errors = open().doing(|| format!("open {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let name = format!("{command:?}");
        spawn(command).map(Self).doing(|| format!("start {name}"))
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Sends `signal` and waits for the end, at most `patience`; then SIGKILL.
    pub(crate) async fn end(mut self, signal: Signal, patience: Duration) {
        signal_process(&self.0, signal);
        self.wait(patience).await;
    }

    /// Waits for the end, at most `patience`.
    pub(crate) async fn wait(&mut self, patience: Duration) {
        let begin = Instant::now();
        while !self.has_ended() && begin.elapsed() < patience {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// [`Child::end`] for where nothing can be awaited.
    pub(crate) fn end_now(mut self, signal: Signal, patience: Duration) {
        signal_process(&self.0, signal);
        let begin = Instant::now();
        while !self.has_ended() && begin.elapsed() < patience {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command that runs `program` and receives `at_our_death` when this process is gone, even by SIGKILL.
///
/// It stands in a process group of its own: Ctrl-C in a terminal reaches us alone, and we stop our
/// servers in the order we want.
pub(crate) fn leashed(program: &Path, at_our_death: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", at_our_death, "--"]).arg(program).process_group(0);
    command
}

pub(crate) fn signal_process(process: &Process, signal: Signal) {
    // The process is not yet waited for, so its number cannot belong to another one; that it may just
    // have ended is no failure.
    let _ = kill_process(Pid::from_child(process), signal);
}

/// The last lines of a log file.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES_MAX)..].join("\n")
}

type Order = (Command, mpsc::Sender<io::Result<Process>>);

/// The kernel sends the signal of [`leashed`] when the *thread* that started the child ends, and test
/// threads end early. So one thread that lives as long as the process starts them all.
static SPAWNER: LazyLock<Mutex<mpsc::Sender<Order>>> = LazyLock::new(|| {
    let (orders, inbox) = mpsc::channel::<Order>();
    std::thread::Builder::new()
        .name("spawner".to_owned())
        .spawn(move || {
            for (mut command, reply) in inbox {
                let _ = reply.send(command.spawn());
            }
        })
        .expect("the process may have one more thread");
    Mutex::new(orders)
});

/// Starts a process that is bound to the life of this process, not of the calling thread.
pub(crate) fn spawn(command: Command) -> io::Result<Process> {
    let (reply, answer) = mpsc::channel();
    SPAWNER
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, reply))
        .expect("the spawner never ends");
    answer.recv().expect("the spawner answers every order")
}
