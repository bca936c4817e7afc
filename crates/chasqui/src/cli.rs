//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{admin::arguments::Admin, bench::Bench, bulk::Bulk, flow::Flows, settings::Service};

/// Chasqui: an event pipeline for conversations.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub(crate) struct Cli {
    /// The configuration file; without it, chasqui.toml where it exists. The environment wins over it.
    #[arg(long, global = true, env = "CHASQUI_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// This process's name on the bus; without it, host name and process number.
    #[arg(long, global = true, env = "CHASQUI_NODE", value_name = "NAME")]
    pub(crate) node: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the process is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run ingest: webhooks and bot replies in.
    Ingest,
    /// Run an edge: sockets of front ends.
    Edge,
    /// Run persistence: storage and queries.
    Persistence,
    /// Run whatsapp: the connections of WhatsApp numbers.
    Whatsapp,
    /// Run webhooks: events out to registered listeners.
    Webhooks,
    /// Run bot: flows, rules and a language model that answer contacts.
    Bot,
    /// Run bulk: campaigns. With a command: make, watch and steer campaigns.
    Bulk(Bulk),
    /// Run every service in one process on one port.
    All,
    /// Run the simulated outside world for local work.
    Simulator,
    /// Run everything here: private nats-server and PostgreSQL, simulator, all services.
    Up(Up),
    /// Bring the schema of the database up to date.
    Migrate,
    /// List every problem of the configuration, or what it amounts to.
    Check {
        /// The services whose settings must be complete; without it, those of `all`.
        services: Vec<Service>,
    },
    /// Ask a process whether it is ready: exit code 0 or 1.
    Healthcheck {
        /// Its readiness probe; without it, that of PORT on this machine.
        #[arg(long)]
        url: Option<String>,
    },
    /// Sign a token for a front end with `JWT_SECRET`.
    Token(Token),
    /// Show what happens on the bus, one JSON line a message, until Ctrl-C.
    Tap {
        /// Subjects, with `*` and `>` as wildcards; without any, all messages except the nodes' signs of life.
        subjects: Vec<String>,
        /// Follow what the streams have stored, with each message's position, instead of what is published.
        #[arg(long)]
        live: bool,
    },
    /// Turn one payload from standard input into JSON.
    Decode(Decode),
    /// Look at messages that could not be handled.
    Dlq {
        #[command(subcommand)]
        command: DeadLetters,
    },
    /// Say who belongs to the tenants: users, agents, API keys, numbers.
    Admin(Admin),
    /// Check or show the files of the bot.
    Flow(Flows),
    /// Measure a running deployment.
    Bench(Bench),
}

/// Options of `up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// The front door: ingest and the first edge. Ports in use are stepped over.
    #[arg(long, env = "PORT", default_value_t = 3001)]
    pub(crate) port: u16,
    /// Where everything is kept.
    #[arg(long, default_value = ".chasqui", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// How many edges; the second and later ones are processes of their own on the ports after the first.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) edges: u16,
}

/// Options of `token`.
#[derive(Debug, Args)]
pub(crate) struct Token {
    /// Whom it speaks for.
    #[arg(long, value_name = "ID")]
    pub(crate) user: String,
    /// The user's tenant; without it, the one that counts where none is named.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Binds the token to one contact: it opens the widget of this number and nothing else.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) phone: Option<String>,
    /// It speaks for a member of the tenant's staff, who sees all of its conversations.
    #[arg(long, conflicts_with = "phone")]
    pub(crate) staff: bool,
    /// How long it is valid.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=87_600))]
    pub(crate) hours: u32,
}

/// Options of `decode`.
#[derive(Debug, Args)]
pub(crate) struct Decode {
    /// The subject it was published on.
    #[arg(long, conflicts_with = "type_name")]
    pub(crate) subject: Option<String>,
    /// Its type, such as `Message`; without it and without a subject it is recognised by its content.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) type_name: Option<String>,
}

/// What is done with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// One line a letter, the oldest first.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// One letter whole.
    Show {
        /// Its number in the list.
        seq: u64,
    },
    /// Publish the original again, on its subject, and remove the letter.
    Replay {
        /// Its number in the list.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        seq: Option<u64>,
        /// Every letter there is now.
        #[arg(long)]
        all: bool,
    },
    /// Remove a letter for good.
    Purge {
        /// Its number in the list.
        seq: u64,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
