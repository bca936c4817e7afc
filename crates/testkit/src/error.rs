use std::io;
use std::path::PathBuf;

/// Why a private server could not be started, stopped or reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable nats-server on this machine.
    #[error("nats-server {minimum} or newer was not found ({found}); `make setup` installs it")]
    NatsServerMissing {
        /// What was found instead, or where was looked.
        found: String,
        /// The oldest version that has what the streams need.
        minimum: &'static str,
    },
    /// No PostgreSQL server programs on this machine.
    #[error(
        "PostgreSQL {minimum} or newer was not found in POSTGRES_BIN_DIR, /usr/lib/postgresql or PATH; `make setup` installs it"
    )]
    PostgresMissing {
        /// The oldest major version the migrations are written for.
        minimum: u32,
    },
    /// PostgreSQL refuses to run as root, and there is no one else to run it as.
    #[error(
        "PostgreSQL does not run as root, and the user `postgres` does not exist; `make setup` creates it"
    )]
    NoPostgresUser,
    /// The file system or the operating system said no.
    #[error("{action}: {source}")]
    Io {
        /// What was being done, and to what.
        action: String,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// A program ended, or stayed silent, before it was ready.
    #[error("{program} did not become ready; the end of {}:\n{tail}", log.display())]
    NotReady {
        /// The program that was started.
        program: &'static str,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// The three-node cluster did not elect a leader in time.
    #[error("the NATS cluster did not accept a replicated stream: {0}")]
    ClusterNotReady(String),
    /// PostgreSQL runs but refused a statement.
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
    /// A migration in `migrations/` failed.
    #[error("migrations: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

/// Says what was being done when the operating system refused.
pub(crate) trait Doing<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io { action: action(), source })
    }
}
