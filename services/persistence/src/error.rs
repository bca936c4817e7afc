//! What can go wrong.

use chasqui_kit::{
    Code, Coded, consume::ConsumeError, publish::PublishError, serve::ServeError, stream::StreamError,
};

/// Why persistence could not start, or could not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No database is configured.
    #[error("persistence.database_url (DATABASE_URL) is not set")]
    DatabaseUrlMissing,
    /// The database's address cannot be read.
    #[error("persistence.database_url (DATABASE_URL) is not a PostgreSQL address: {0}")]
    DatabaseUrl(String),
    /// The database keeps texts in another form than they come in.
    #[error(
        "the database is encoded in {0}, and must be in UTF8: create database … encoding 'UTF8' template template0"
    )]
    Encoding(String),
    /// The database refused or did not answer.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the database could not be migrated: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A stream could not be made.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The consumer could not be opened.
    #[error(transparent)]
    Consume(#[from] ConsumeError),
    /// The micro service could not be started.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A state could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A part of a request is not what it must be.
    #[error("{field}: {expected}")]
    Invalid {
        /// Which part.
        field: &'static str,
        /// What would be right.
        expected: String,
    },
    /// A part of a request contradicts what is stored.
    #[error("{field}: {problem}")]
    Conflict {
        /// Which part.
        field: &'static str,
        /// What is in the way.
        problem: &'static str,
    },
    /// A campaign does not go from where it stands to where it is wanted.
    #[error("status: a campaign {status} cannot be {action}")]
    Transition {
        /// How it stands, in words.
        status: &'static str,
        /// What was to be done, in words.
        action: &'static str,
    },
    /// What was asked for does not exist in the tenant.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// What is stored cannot be read.
    #[error("a stored {0} cannot be read")]
    Unreadable(&'static str),
    /// How far the stream is stored is not known.
    #[error("the position in the stream is not known: {0}")]
    Position(String),
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::DatabaseUrlMissing | Self::DatabaseUrl(_) | Self::Encoding(_) | Self::Invalid { .. } => {
                Code::InvalidInput
            }
            Self::Database(error) => database_code(error),
            Self::Migrate(_) | Self::Unreadable(_) => Code::Internal,
            Self::Stream(error) => error.code(),
            Self::Consume(error) => error.code(),
            Self::Serve(error) => error.code(),
            Self::Publish(error) => error.code(),
            Self::Conflict { .. } | Self::Transition { .. } => Code::Conflict,
            Self::NotFound(_) => Code::NotFound,
            Self::Position(_) => Code::Unavailable,
        }
    }
}

/// PostgreSQL's classes: 22 and 23 say that the row is wrong, 40 that others were in the way; its own absence is told
/// by classes 08, 53 and 57 or by the client.
fn database_code(error: &sqlx::Error) -> Code {
    match error {
        sqlx::Error::Database(refused) => match refused.code().as_deref().unwrap_or_default().get(..2) {
            Some("22" | "23") => Code::InvalidInput,
            Some("40") => Code::Conflict,
            Some("08" | "53" | "57") => Code::Unavailable,
            _ => Code::Internal,
        },
        sqlx::Error::PoolTimedOut => Code::Timeout,
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => Code::Unavailable,
        _ => Code::Internal,
    }
}
