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
    /// Listeners: where events are posted.
    Listener {
        #[command(subcommand)]
        action: ListenerAction,
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
    /// Which bot answers its contacts, where neither people nor a conversation of its own decide.
    #[arg(long, ignore_case = true)]
    pub(crate) responder: Option<Answering>,
}

/// Which bot answers the contacts of a tenant.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Answering {
    /// The bot of the pipeline.
    Builtin,
    /// A bot outside: a listener that answers.
    External,
    /// As the deployment says.
    Default,
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
    /// How many messages it may send a second: 20, 80 or 1000 at WhatsApp; 0 is the 80 of a usual number.
    #[arg(long)]
    pub(crate) messages_per_second: Option<u32>,
}

/// What is done with listeners. Each is named by its id or its URL.
#[derive(Debug, Subcommand)]
pub(crate) enum ListenerAction {
    /// Make a listener, or change what is given of the one there is.
    Put {
        /// Where its events are posted.
        url: String,
        #[command(flatten)]
        fields: ListenerFields,
    },
    /// Show one listener.
    #[command(alias = "get")]
    Show {
        /// Its id or URL.
        listener: String,
    },
    /// Show listeners, by id.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Remove a listener.
    Remove {
        /// Its id or URL.
        listener: String,
    },
    /// Post events to it again.
    Enable {
        /// Its id or URL.
        listener: String,
    },
    /// Post nothing to it until it is enabled.
    Disable {
        /// Its id or URL.
        listener: String,
    },
    /// Post a made-up event to it and tell how it went.
    Test {
        /// Its id or URL.
        listener: String,
    },
    /// Show what was posted, newest first: each delivery with its last attempt.
    Deliveries {
        /// Of this listener, by id or URL; without it, of all.
        listener: Option<String>,
        /// Only those that ended so.
        #[arg(long)]
        outcome: Option<Outcome>,
        /// Only those that were attempted within so many hours.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=87_600))]
        hours: Option<u32>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Post events once more: one delivery, or all that were given up.
    Replay {
        /// Its id or URL.
        listener: String,
        /// Only this delivery.
        #[arg(long, value_name = "ID", conflicts_with = "hours")]
        delivery: Option<String>,
        /// All that were given up within so many hours.
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=87_600))]
        hours: u32,
    },
}

/// What a listener has.
#[derive(Debug, Args)]
pub(crate) struct ListenerFields {
    /// What it is told of: `message.received`, `message.sent`, `message.status`, `session.status`; give it again for more.
    /// A new one is told of `message.received`.
    #[arg(long, value_name = "EVENT")]
    pub(crate) event: Vec<String>,
    /// How it wants its events. A new one gets those of shared WhatsApp clients.
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// What it is for.
    #[arg(long)]
    pub(crate) description: Option<String>,
    /// Whether it is a bot that answers contacts: then it is told what they write only where no person and no other bot
    /// answers them. A new one does not; a bot that registers itself says it anew each time.
    #[arg(long, value_name = "true|false")]
    pub(crate) answers: Option<bool>,
    /// Read what events are signed with from standard input, one line; without it, a new listener gets one, shown once.
    #[arg(long)]
    pub(crate) secret: bool,
    /// Give it a new secret, shown once; the one before still signs, until the next.
    #[arg(long, conflicts_with = "secret")]
    pub(crate) new_secret: bool,
}

/// How a listener wants its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Flat JSON of one message, as bots of shared WhatsApp clients read it.
    Client,
    /// `{"type","timestamp","data"}`.
    Chasqui,
    /// Webhooks of the WhatsApp Cloud API.
    CloudApi,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Outcome {
    /// The listener took it.
    Delivered,
    /// It will be tried again.
    Retrying,
    /// It was given up.
    Failed,
}
