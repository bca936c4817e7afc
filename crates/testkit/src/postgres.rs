use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;

use crate::account::Account;
use crate::binary;
use crate::child::{Child, tail};
use crate::error::{Doing, Error};
use crate::scratch::Scratch;
use crate::wait::LOOK_EVERY;

/// Long enough for a predecessor on the same directory to finish and for crash recovery.
const START_MAX: Duration = Duration::from_mins(1);
const STOP_MAX: Duration = Duration::from_secs(15);
/// The system refuses a socket path of more than 107 bytes; `/.s.PGSQL.5432` is part of it.
const SOCKET_DIRECTORY_MAX: usize = 92;
const TEMPLATE: &str = "migrated";
const SUPERUSER: &str = "chasqui";

/// Nothing of a test has to survive a power cut.
const TEMPORARY: &[&str] =
    &["fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB"];

/// A private PostgreSQL cluster. It listens on a Unix socket in a directory only its user (and root) can
/// enter, so it needs neither a port nor a password. Stopped on drop, and when this process dies.
pub struct Postgres {
    account: Account,
    /// Holds the cluster in `data` and the log.
    home: PathBuf,
    socket_directory: PathBuf,
    settings: &'static [&'static str],
    /// None while the server is down.
    process: Mutex<Option<Child>>,
    migrated: OnceCell<()>,
    databases: AtomicU32,
    /// Removes temporary directories, after the process is gone.
    _scratch: Vec<Scratch>,
}

impl Postgres {
    /// The cluster all tests of this process share: started by the first call, gone with the process.
    pub async fn shared() -> Result<&'static Self, Error> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::temporary).await
    }

    /// A cluster of its own, for a test that stops the server. Its data is gone with it.
    pub async fn temporary() -> Result<Self, Error> {
        let scratch = Scratch::new("pg")?;
        let home = scratch.path().to_owned();
        Self::begin(home, TEMPORARY, vec![scratch]).await
    }

    /// The cluster in the directory `home`, created when it is missing and kept afterwards, with
    /// PostgreSQL's own durability.
    pub async fn open(home: &Path) -> Result<Self, Error> {
        let home = std::path::absolute(home).doing(|| format!("find {}", home.display()))?;
        Self::begin(home, &[], Vec::new()).await
    }

    async fn begin(
        home: PathBuf,
        settings: &'static [&'static str],
        mut scratch: Vec<Scratch>,
    ) -> Result<Self, Error> {
        let account = Account::choose()?;
        account.own(&home)?;
        let mut socket_directory = home.clone();
        if home.as_os_str().len() > SOCKET_DIRECTORY_MAX {
            let short = Scratch::new("pg")?;
            short.path().clone_into(&mut socket_directory);
            account.own(&socket_directory)?;
            scratch.push(short);
        }
        let server = Self {
            account,
            home,
            socket_directory,
            settings,
            process: Mutex::new(None),
            migrated: OnceCell::new(),
            databases: AtomicU32::new(0),
            _scratch: scratch,
        };
        server.initialize().await?;
        server.start().await?;
        Ok(server)
    }

    /// Address of `database` for sqlx, `DATABASE_URL` and `psql`.
    pub fn url(&self, database: &str) -> String {
        let host = percent_encoded(&self.socket_directory);
        format!("postgres://{SUPERUSER}@localhost/{database}?host={host}&sslmode=disable")
    }

    /// A fresh database with all of `migrations/` applied; returns its address.
    pub async fn database(&self) -> Result<String, Error> {
        self.migrated.get_or_try_init(|| self.migrate_template()).await?;
        self.create(&format!("template {TEMPLATE}")).await
    }

    /// A fresh database with nothing in it; returns its address.
    pub async fn empty_database(&self) -> Result<String, Error> {
        self.create("template template0").await
    }

    /// The database `name`, created when it is missing; returns its address.
    pub async fn ensure_database(&self, name: &str) -> Result<String, Error> {
        let mut connection = self.connect("postgres").await?;
        let exists = sqlx::query("select from pg_database where datname = $1")
            .bind(name)
            .fetch_optional(&mut connection)
            .await?
            .is_some();
        if !exists {
            let statement = format!("create database \"{}\"", name.replace('"', "\"\""));
            sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        connection.close().await?;
        Ok(self.url(name))
    }

    /// Brings the server up with the same data at the same address; does nothing when it runs.
    /// Returns when it answers.
    pub async fn start(&self) -> Result<(), Error> {
        if self.process.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let begin = Instant::now();
        let mut child = self.launch()?;
        while self.connect("postgres").await.is_err() {
            tokio::time::sleep(LOOK_EVERY).await;
            let ended = child.has_ended();
            if begin.elapsed() > START_MAX || (ended && !self.predecessor_lingers()) {
                return Err(self.not_ready("postgres"));
            }
            if ended {
                child = self.launch()?;
            }
        }
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        Ok(())
    }

    /// Ends the server in good order, without waiting for its clients. `start` brings it back.
    pub async fn stop(&self) {
        if let Some(child) = self.take() {
            child.end(Signal::INT, STOP_MAX).await;
        }
    }

    async fn initialize(&self) -> Result<(), Error> {
        let data = self.home.join("data");
        if data.join("PG_VERSION").is_file() {
            return Ok(());
        }
        // Under another name first: a directory named `data` is complete.
        let incomplete = self.home.join("incomplete");
        if incomplete.exists() {
            std::fs::remove_dir_all(&incomplete).doing(|| format!("remove {}", incomplete.display()))?;
        }
        let initdb = binary::postgres_directory()?.join("initdb");
        let mut command = self.account.command(&initdb, &self.home, "KILL");
        command.arg("-D").arg(&incomplete).args(["-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8"]);
        command.args(["--auth-local=trust", "--auth-host=reject"]);
        if self.settings.contains(&"fsync=off") {
            command.arg("--no-sync");
        }
        let mut child = Child::start(command, &self.log())?;
        child.wait(START_MAX).await;
        if !incomplete.join("PG_VERSION").is_file() {
            return Err(self.not_ready("initdb"));
        }
        std::fs::rename(&incomplete, &data).doing(|| format!("create {}", data.display()))
    }

    fn launch(&self) -> Result<Child, Error> {
        let postgres = binary::postgres_directory()?.join("postgres");
        // SIGINT and SIGQUIT are "stop now" with and without a checkpoint; SIGKILL would leave shared memory.
        let at_our_death = if self.settings.is_empty() { "INT" } else { "QUIT" };
        let mut command = self.account.command(&postgres, &self.home, at_our_death);
        command.arg("-D").arg(self.home.join("data")).arg("-k").arg(&self.socket_directory);
        for setting in ["listen_addresses=", "max_connections=200"].iter().chain(self.settings) {
            command.args(["-c", setting]);
        }
        Child::start(command, &self.log())
    }

    /// Whether the last attempt ended because the server before it, or a child of it, is still leaving.
    fn predecessor_lingers(&self) -> bool {
        let end = tail(&self.log());
        let last = end.rfind("FATAL").map_or("", |at| &end[at..]);
        last.contains("lock file") || last.contains("shared memory block")
    }

    fn not_ready(&self, program: &'static str) -> Error {
        Error::NotReady { program, tail: tail(&self.log()), log: self.log() }
    }

    fn log(&self) -> PathBuf {
        self.home.join("postgres.log")
    }

    fn take(&self) -> Option<Child> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.url(database)).await
    }

    async fn migrate_template(&self) -> Result<(), Error> {
        let url = self.ensure_database(TEMPLATE).await?;
        let mut connection = PgConnection::connect(&url).await?;
        Migrator::new(binary::workspace().join("migrations")).await?.run(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    async fn create(&self, from: &str) -> Result<String, Error> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut connection = self.connect("postgres").await?;
        let statement = format!("create database {name} {from}");
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
        connection.close().await?;
        Ok(self.url(&name))
    }
}

impl Drop for Postgres {
    /// Ends the server at once: what is kept is recovered from its log at the next start.
    fn drop(&mut self) {
        if let Some(child) = self.take() {
            child.end_now(Signal::QUIT, STOP_MAX);
        }
    }
}

fn percent_encoded(path: &Path) -> String {
    path.as_os_str().as_encoded_bytes().iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            text.push(char::from(*byte));
        } else {
            write!(text, "%{byte:02X}").expect("a string takes every text");
        }
        text
    })
}
