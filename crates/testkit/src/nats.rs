use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::binary;
use crate::child::{Child, leashed, tail};
use crate::error::{Doing, Error};
use crate::port::unused_port;
use crate::scratch::Scratch;
use crate::wait::LOOK_EVERY;

/// A start takes 15 ms; a large kept store is read first.
const START_MAX: Duration = Duration::from_secs(30);
const STOP_MAX: Duration = Duration::from_secs(10);
/// Two processes that look for a free port at the same moment can find the same one.
const PORTS_TRIED_MAX: u32 = 5;

/// How a private nats-server differs from the default: a free port, a temporary store, nothing extra.
#[derive(Debug, Default, Clone)]
pub struct NatsOptions {
    /// Port on 127.0.0.1; a free one when not given.
    pub port: Option<u16>,
    /// Directory of the configuration, the log and the store, which then outlives the server and is
    /// written through to the disk every two seconds. Temporary when not given.
    pub directory: Option<PathBuf>,
    /// Text appended to the configuration file.
    pub extra: String,
}

/// A private nats-server with JetStream on 127.0.0.1. Killed on drop, and when this process dies.
pub struct NatsServer {
    binary: PathBuf,
    port: u16,
    directory: PathBuf,
    /// None while the server is down.
    process: Mutex<Option<Child>>,
    /// Removes the directory, after the process is gone, unless it was given.
    _scratch: Option<Scratch>,
}

impl NatsServer {
    /// Starts a server on a free port with a temporary store.
    pub async fn start() -> Result<Self, Error> {
        Self::start_with(NatsOptions::default()).await
    }

    /// Starts a server with `options`.
    pub async fn start_with(options: NatsOptions) -> Result<Self, Error> {
        let mut outcome = Self::attempt(&options).await;
        for _ in 1..PORTS_TRIED_MAX {
            match &outcome {
                Err(Error::NotReady { tail, .. })
                    if options.port.is_none() && tail.contains("address already in use") =>
                {
                    outcome = Self::attempt(&options).await;
                }
                _ => break,
            }
        }
        outcome
    }

    async fn attempt(options: &NatsOptions) -> Result<Self, Error> {
        let binary = binary::nats_server()?;
        let (directory, scratch) = if let Some(directory) = &options.directory {
            (directory.clone(), None)
        } else {
            let scratch = Scratch::new("nats")?;
            (scratch.path().to_owned(), Some(scratch))
        };
        std::fs::create_dir_all(&directory).doing(|| format!("create {}", directory.display()))?;
        let port = options.port.unwrap_or_else(unused_port);
        let server = Self { binary, port, directory, process: Mutex::new(None), _scratch: scratch };
        let text = configuration(port, &server.directory, options);
        std::fs::write(server.file("nats.conf"), text)
            .doing(|| format!("write {}", server.file("nats.conf").display()))?;
        server.restart().await?;
        Ok(server)
    }

    /// `nats://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port clients connect to; the same for the whole life of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server like a crash: SIGKILL, nothing is written any more.
    pub fn kill(&self) {
        drop(self.take());
    }

    /// Ends the server in good order.
    pub async fn stop(&self) {
        if let Some(child) = self.take() {
            child.end(Signal::TERM, STOP_MAX).await;
        }
    }

    /// Brings the server up on the same port with the same data; kills it first if it still runs.
    /// Returns when it greets clients.
    pub async fn restart(&self) -> Result<(), Error> {
        self.kill();
        let mut command = leashed(&self.binary, "KILL");
        command.arg("--config").arg(self.file("nats.conf"));
        let mut child = Child::start(command, &self.file("nats.log"))?;
        let begin = Instant::now();
        while !greets(self.port).await {
            if child.has_ended() || begin.elapsed() > START_MAX {
                let log = self.file("nats.log");
                return Err(Error::NotReady { program: "nats-server", tail: tail(&log), log });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        Ok(())
    }

    fn take(&self) -> Option<Child> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// What streams may reserve. Their limits are far above what a test or a development machine stores, and the server
/// would otherwise refuse those that a nearly full disk could not hold.
const STORE_MAX: &str = "1TB";

fn configuration(port: u16, directory: &Path, options: &NatsOptions) -> String {
    let store = directory.join("jetstream");
    let mut text = format!(
        "listen: \"127.0.0.1:{port}\"\nserver_name: \"{}\"\njetstream {{\n  store_dir: {:?}\n  max_file_store: {STORE_MAX}\n",
        server_name(port),
        store.display().to_string(),
    );
    if options.directory.is_some() {
        text.push_str("  sync_interval: \"2s\"\n");
    }
    let _ = writeln!(text, "}}\n{}", options.extra);
    text
}

/// With our process number, so that another process's server on the same port is not taken for ours.
fn server_name(port: u16) -> String {
    format!("chasqui-{port}-{}", std::process::id())
}

/// Whether our server on `port` sends its greeting, which it does once JetStream has recovered.
async fn greets(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else {
        return false;
    };
    let mut greeting = [0; 512];
    let length = stream.read(&mut greeting).await.unwrap_or(0);
    let greeting = String::from_utf8_lossy(&greeting[..length]);
    greeting.starts_with("INFO ") && greeting.contains(&server_name(port))
}
