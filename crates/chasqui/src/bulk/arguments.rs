//! What can be said to `bulk`.

use std::path::PathBuf;

use chasqui_proto::v1::{CampaignStatus, RecipientState};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use uuid::Uuid;

/// What is done with campaigns.
#[derive(Debug, Subcommand)]
pub(crate) enum BulkCommand {
    /// Make a campaign of a CSV file and check every row of it. Nothing is sent yet.
    Create(Box<Create>),
    /// Show campaigns, the newest first.
    List {
        /// Only those that stand so.
        #[arg(long, value_enum)]
        status: Option<Standing>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one campaign, with what was wrong in its file.
    Show {
        /// Its id.
        id: Uuid,
    },
    /// Follow campaigns until they end: exit code 0 when all of them completed.
    Watch {
        /// Their ids.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        ids: Vec<Uuid>,
        /// Every campaign that is scheduled, runs or is paused.
        #[arg(long)]
        all: bool,
    },
    /// Begin a draft.
    Start {
        /// Its id.
        id: Uuid,
        /// When, such as `2026-12-01T09:00:00-03:00` or `2026-12-01T09:00` in --time-zone; without it, now.
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        /// The zone that --at is in where it says none; without it, the campaign's own.
        #[arg(long, value_name = "ZONE", requires = "at")]
        time_zone: Option<String>,
    },
    /// Hold a campaign; what its number has already goes out.
    Pause {
        /// Its id.
        id: Uuid,
    },
    /// Go on with a campaign that is paused, stopped by itself, or waits for its time.
    Resume {
        /// Its id.
        id: Uuid,
    },
    /// End a campaign for good; who was not written to is not written to.
    Cancel {
        /// Its id.
        id: Uuid,
    },
    /// Write again to those who could not be reached.
    Retry {
        /// Its id.
        id: Uuid,
    },
    /// Show whom a campaign writes to, in order of their lines.
    Recipients {
        /// Its id.
        id: Uuid,
        /// Only those that stand so.
        #[arg(long, value_enum)]
        state: Option<State>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Write what became of every recipient to standard output, as CSV.
    Results {
        /// Its id.
        id: Uuid,
    },
    /// Contacts who want no campaigns.
    OptOut {
        #[command(subcommand)]
        action: OptOutAction,
    },
}

/// What is done with contacts who want no campaigns.
#[derive(Debug, Subcommand)]
pub(crate) enum OptOutAction {
    /// Show them, the newest first.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// This contact is to get no campaigns.
    Put {
        /// The contact's number or token.
        contact: String,
    },
    /// This contact may get campaigns again.
    Remove {
        /// The contact's number or token.
        contact: String,
    },
}

/// Options of `create`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["template", "text", "message"])))]
pub(crate) struct Create {
    /// Whom it goes to: a header line, a column with numbers, and a column for each variable.
    #[arg(value_name = "FILE.csv")]
    pub(crate) file: PathBuf,
    /// What it is called; without it, as the file is.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A template of this name.
    #[arg(long, value_name = "NAME", requires = "language")]
    pub(crate) template: Option<String>,
    /// The template's language, such as `es_AR`.
    #[arg(long, value_name = "CODE", requires = "template")]
    pub(crate) language: Option<String>,
    /// The columns that become the parameters of the template's body, in order.
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',', requires = "template")]
    pub(crate) variables: Vec<String>,
    /// A text, with {{column}} where a column's value goes.
    #[arg(long)]
    pub(crate) text: Option<String>,
    /// A message as the Cloud API takes it, in a JSON file.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) message: Option<PathBuf>,
    /// The column of the numbers; without it, the one that is named like one.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) phone_column: Option<String>,
    /// The number or session that sends; without it, the tenant's own.
    #[arg(long)]
    pub(crate) session: Option<String>,
    /// The most messages a minute; without it, as fast as the number sends.
    #[arg(long, value_name = "PER-MINUTE")]
    pub(crate) rate: Option<u32>,
    /// Begin with so many messages a minute and grow evenly for so many seconds.
    #[arg(long, value_name = "PER-MINUTE/SECONDS", value_parser = ramp)]
    pub(crate) ramp: Option<(u32, u32)>,
    /// When it begins by itself, such as `2026-12-01T09:00:00-03:00` or `2026-12-01T09:00` in --time-zone.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// The zone of --at and --quiet, such as `America/Argentina/Buenos_Aires`; without it, UTC.
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
    /// When nothing is sent, such as 21:00-09:00.
    #[arg(long, value_name = "FROM-TO", value_parser = quiet)]
    pub(crate) quiet: Option<(String, String)>,
    /// Begin at once, without a look at what was found.
    #[arg(long)]
    pub(crate) start: bool,
    /// Check everything and keep nothing.
    #[arg(long, conflicts_with = "start")]
    pub(crate) dry_run: bool,
    /// Repeating the command with the same one makes no second campaign.
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// Base address of the ingest; without it, that of PORT on this machine.
    #[arg(long, value_name = "URL")]
    pub(crate) ingest: Option<String>,
}

/// How a campaign stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Standing {
    /// Its recipients are being read.
    Uploading,
    /// It waits to be started.
    Draft,
    /// It waits for its time.
    Scheduled,
    /// It sends.
    Running,
    /// Somebody holds it.
    Paused,
    /// Everybody was written to.
    Completed,
    /// Somebody ended it.
    Cancelled,
    /// It stopped by itself.
    Failed,
}

/// How a recipient stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// Its turn has not come.
    Pending,
    /// Its message waits for its number.
    Queued,
    /// The provider took its message.
    Sent,
    /// It has it.
    Delivered,
    /// It has read it.
    Read,
    /// It could not be reached.
    Failed,
    /// It wants no campaigns.
    Skipped,
    /// The campaign was ended before its turn.
    Cancelled,
}

/// `60/600`: from 60 a minute, for 600 seconds.
fn ramp(text: &str) -> Result<(u32, u32), String> {
    let read = || {
        let (from_per_minute, over_secs) = text.split_once('/')?;
        Some((from_per_minute.parse().ok()?, over_secs.parse().ok()?))
    };
    read().ok_or_else(|| "must be such as 60/600: from 60 a minute, growing for 600 seconds".to_owned())
}

/// `21:00-09:00`
fn quiet(text: &str) -> Result<(String, String), String> {
    let (from, to) = text.split_once('-').ok_or("must be such as 21:00-09:00")?;
    Ok((from.trim().to_owned(), to.trim().to_owned()))
}

impl From<Standing> for CampaignStatus {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Uploading => Self::Uploading,
            Standing::Draft => Self::Draft,
            Standing::Scheduled => Self::Scheduled,
            Standing::Running => Self::Running,
            Standing::Paused => Self::Paused,
            Standing::Completed => Self::Completed,
            Standing::Cancelled => Self::Cancelled,
            Standing::Failed => Self::Failed,
        }
    }
}

impl From<State> for RecipientState {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Queued => Self::Queued,
            State::Sent => Self::Sent,
            State::Delivered => Self::Delivered,
            State::Read => Self::Read,
            State::Failed => Self::Failed,
            State::Skipped => Self::Skipped,
            State::Cancelled => Self::Cancelled,
        }
    }
}
