//! What can be said to `admin`.

use chasqui_directory::Scope;
use clap::{Args, Subcommand, ValueEnum};

/// Options of `admin`.
#[derive(Debug, Args)]
pub(crate) struct Admin {
    /// The tenant whose entry it is; without it, the one that counts where none is named.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) tenant: Option<String>,
    /// One JSON line an entry instead of a table.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) collection: Collection,
}

/// The kinds of entries.
#[derive(Debug, Subcommand)]
pub(crate) enum Collection {
    /// Tenants: their names, and whether they are suspended.
    Tenant {
        #[command(subcommand)]
        action: Action<TenantFields>,
    },
    /// Users: people who sign in.
    User {
        #[command(subcommand)]
        action: Action<UserFields>,
    },
    /// Agents: users who answer chats.
    Agent {
        #[command(subcommand)]
        action: Action<AgentFields>,
    },
    /// API keys of machines.
    Key {
        #[command(subcommand)]
        action: KeyAction,
    },
    /// Numbers of providers, and whose they are.
    Number {
        #[command(subcommand)]
        action: Action<NumberFields>,
    },
}

/// What is done with entries.
#[derive(Debug, Subcommand)]
pub(crate) enum Action<F: Args> {
    /// Make an entry, or change what is given of the one there is.
    Put {
        /// Its id.
        id: String,
        #[command(flatten)]
        fields: F,
    },
    /// Show one entry.
    Get {
        /// Its id.
        id: String,
    },
    /// Show entries, by id.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Remove an entry.
    Remove {
        /// Its id.
        id: String,
    },
}

/// What is done with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyAction {
    /// Make a key; its secret is shown this once.
    Create {
        /// What it is for.
        #[arg(long)]
        name: String,
        /// What it may do; give it again for more.
        #[arg(long, required = true, value_name = "SCOPE")]
        scope: Vec<KeyScope>,
        /// How long it is valid; without it, until it is removed.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: Option<u32>,
    },
    #[command(flatten)]
    Other(Action<KeyFields>),
}

/// What a key may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KeyScope {
    /// Hand in messages to contacts.
    Send,
    /// Hear what happens.
    Listen,
    /// Change the directory of its tenant.
    Admin,
}

impl KeyScope {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Send => Scope::Send,
            Self::Listen => Scope::Listen,
            Self::Admin => Scope::Admin,
        }
        .as_str()
        .to_owned()
    }
}

/// What a tenant has.
#[derive(Debug, Args)]
pub(crate) struct TenantFields {
    /// What it is called.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Whether its keys and its people are refused.
    #[arg(long, value_name = "true|false")]
    pub(crate) suspended: Option<bool>,
}

/// What a user has.
#[derive(Debug, Args)]
pub(crate) struct UserFields {
    /// What the user is called.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Where mail reaches the user.
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// Whether the user is refused.
    #[arg(long, value_name = "true|false")]
    pub(crate) suspended: Option<bool>,
}

/// What an agent has.
#[derive(Debug, Args)]
pub(crate) struct AgentFields {
    /// The user who is this agent; needed for a new one.
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// What contacts see.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Whether it is given chats. A new one is active.
    #[arg(long, ignore_case = true)]
    pub(crate) status: Option<Activity>,
    /// The most chats it is given at a time; 0 is no limit.
    #[arg(long)]
    pub(crate) chats_max: Option<u32>,
}

/// Whether an agent is given chats.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Activity {
    /// It is.
    Active,
    /// It is not.
    Inactive,
}

/// What can be changed of a key.
#[derive(Debug, Args)]
pub(crate) struct KeyFields {
    /// What it is for.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What it may do from now on; give it again for more.
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Vec<KeyScope>,
}

/// What a number has.
#[derive(Debug, Args)]
pub(crate) struct NumberFields {
    /// The number as people read it.
    #[arg(long)]
    pub(crate) display_phone_number: Option<String>,
    /// The provider's id of the account it belongs to.
    #[arg(long)]
    pub(crate) account_id: Option<String>,
}
