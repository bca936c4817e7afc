//! `chasqui bench`: arguments to options, report to lines.

use anyhow::Context;
use chasqui_bench::{Credential, Dialect, Entrance, Mode, Options};
use clap::{Args, Subcommand, ValueEnum};
use secrecy::{ExposeSecret, SecretString};

use crate::{output, settings::Configuration};

/// Options of `bench`. Secrets come from the configuration: `--config DIR/dev.toml` measures a `chasqui up`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    mode: What,
    /// Base address of the ingest.
    #[arg(long, global = true, default_value = "http://127.0.0.1:3001", value_name = "URL")]
    ingest: String,
    /// Base address of an edge whose sockets listen; several times for several edges.
    #[arg(long = "edge", global = true, default_value = "http://127.0.0.1:3002", value_name = "URL")]
    edges: Vec<String>,
    /// Where messages enter.
    #[arg(long, global = true, value_enum, default_value = "webhook")]
    entrance: Door,
    /// Which sockets listen; widgets hear only bot replies.
    #[arg(long, global = true, value_enum, default_value = "crm")]
    dialect: Socket,
    /// One token for every staff socket; without it each socket signs its own with `JWT_SECRET`.
    #[arg(long, global = true)]
    token: Option<String>,
    /// Staff sockets on each edge.
    #[arg(long, global = true, default_value_t = 1)]
    sockets_per_edge: u32,
    /// HTTP connections, each with one request in flight.
    #[arg(long, global = true, default_value_t = 32)]
    connections: u32,
    /// Conversations the messages are spread over: 64, for `answers` 200.
    #[arg(long, global = true)]
    conversations: Option<u32>,
    /// Length of each text, bytes.
    #[arg(long, global = true, default_value_t = 120)]
    text_bytes: u32,
    /// Seconds at the beginning that the quantiles leave out: 1, for `listeners` 30, for `answers` 5.
    #[arg(long, global = true)]
    warmup: Option<u32>,
    /// Look for every acknowledged message in the history afterwards.
    #[arg(long, global = true)]
    verify_stored: bool,
    /// A process of the deployment whose CPU time counts; several times. Without it, every one of this machine.
    #[arg(long = "process", global = true, value_name = "NAME=PID", value_parser = named_process)]
    processes: Vec<(String, u32)>,
    /// The report as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Messages at fixed times: how long they take.
    Latency {
        /// Messages a second.
        #[arg(long, default_value_t = 500)]
        rate: u32,
        /// For how long.
        #[arg(long, default_value_t = 20)]
        seconds: u32,
    },
    /// As many messages as go through.
    Throughput {
        /// For how long.
        #[arg(long, default_value_t = 20)]
        seconds: u32,
    },
    /// The memory of sockets that only stand open, on the first edge.
    Idle {
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        sockets: u32,
        /// The edge's process; found by its port where not given.
        #[arg(long)]
        pid: Option<u32>,
    },
    /// Every message to every socket of a tenant: frames a second, and for each core of the edges.
    FanOut {
        /// Staff sockets, spread over the edges.
        #[arg(long, default_value_t = 5_000)]
        sockets: u32,
        /// Messages a second; as many as go through where not given.
        #[arg(long)]
        rate: Option<u32>,
        /// For how long.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
    /// Clients that leave, miss messages and come back: how long until they have them all.
    Resume {
        /// How many clients.
        #[arg(long, default_value_t = 100)]
        clients: u32,
        /// How many messages each misses.
        #[arg(long, default_value_t = 100)]
        missed: u32,
        /// How many come back at once.
        #[arg(long, default_value_t = 1)]
        at_once: u32,
    },
    /// Every client cut at once while messages flow, and back with its cursor.
    Storm {
        /// How many clients.
        #[arg(long, default_value_t = 5_000)]
        clients: u32,
        /// Messages a second.
        #[arg(long, default_value_t = 20)]
        rate: u32,
        /// For how long; the cut is in the middle.
        #[arg(long, default_value_t = 20)]
        seconds: u32,
    },
    /// A campaign through one WhatsApp number, replies meanwhile, and a burst to one contact, seen at the simulator.
    Sending {
        /// What the number may send a second.
        #[arg(long, default_value_t = 80)]
        rate: u32,
        /// How long the campaign takes at that rate.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// How long the one contact is watched; its 46th message is due after 270.
        #[arg(long, default_value_t = 285)]
        pair_seconds: u32,
        /// Base address of the simulator.
        #[arg(long, default_value = "http://127.0.0.1:3900", value_name = "URL")]
        simulator: String,
    },
    /// Messages of contacts to many HTTP listeners of this machine, some of which hang or fail.
    Listeners {
        /// How many there are in all.
        #[arg(long, default_value_t = 1_000)]
        listeners: u32,
        /// How many of them never answer.
        #[arg(long, default_value_t = 100)]
        hanging: u32,
        /// How many of them answer 500.
        #[arg(long, default_value_t = 100)]
        failing: u32,
        /// Messages a second.
        #[arg(long, default_value_t = 1)]
        rate: u32,
        /// For how long after the warm-up.
        #[arg(long, default_value_t = 20)]
        seconds: u32,
    },
    /// Messages of contacts that the built-in bot answers, by its flow and its rules: how soon it has decided what to say.
    Answers {
        /// Messages a second.
        #[arg(long, default_value_t = 300)]
        rate: u32,
        /// For how long after the warm-up.
        #[arg(long, default_value_t = 20)]
        seconds: u32,
    },
    /// A campaign from its file of recipients to its end: how fast it is taken and sent, and how soon that is told.
    Campaign {
        /// How many recipients.
        #[arg(long, default_value_t = 100_000)]
        recipients: u32,
        /// Messages a second; as fast as its number sends where not given.
        #[arg(long)]
        rate: Option<u32>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Door {
    Webhook,
    BotReply,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Socket {
    Crm,
    Widget,
}

/// Measures and prints. Lost or doubled messages are a failure.
pub(crate) async fn run(bench: &Bench, configuration: &Configuration) -> anyhow::Result<()> {
    let report = Box::pin(chasqui_bench::run(options(bench, configuration)?)).await?;
    output::line(if bench.json { serde_json::to_string_pretty(&report)? } else { report.to_string() })?;
    anyhow::ensure!(
        report.is_clean(),
        "messages were lost, doubled, out of order, sent too fast or not answered once"
    );
    Ok(())
}

fn options(bench: &Bench, configuration: &Configuration) -> anyhow::Result<Options> {
    let options =
        Options::new(bench.mode.mode(), entrance(bench, configuration)?, credential(bench, configuration)?);
    Ok(Options {
        ingest: bench.ingest.clone(),
        edges: bench.edges.clone(),
        simulator: bench.mode.simulator().unwrap_or(&options.simulator).to_owned(),
        nats: configuration.nats.clone(),
        api_key: configuration.ingest.api_key.clone(),
        dialect: match bench.dialect {
            Socket::Crm => Dialect::Crm,
            Socket::Widget => Dialect::Widget,
        },
        sockets_per_edge: bench.sockets_per_edge,
        connections: bench.connections,
        conversations: bench.conversations.unwrap_or(bench.mode.conversations()),
        text_bytes: usize::try_from(bench.text_bytes)?,
        warmup_seconds: bench.warmup.unwrap_or(bench.mode.warmup()),
        verify_stored: bench.verify_stored,
        processes: bench.processes.clone(),
        ..options
    })
}

impl What {
    fn mode(&self) -> Mode {
        match *self {
            Self::Latency { rate, seconds } => Mode::Latency { rate_per_s: rate, seconds },
            Self::Throughput { seconds } => Mode::Throughput { seconds },
            Self::Idle { sockets, pid } => Mode::Idle { sockets, process: pid },
            Self::FanOut { sockets, rate, seconds } => Mode::FanOut { sockets, rate_per_s: rate, seconds },
            Self::Resume { clients, missed, at_once } => Mode::Resume { clients, missed, at_once },
            Self::Storm { clients, rate, seconds } => Mode::Storm { clients, rate_per_s: rate, seconds },
            Self::Sending { rate, seconds, pair_seconds, .. } => {
                Mode::Sending { rate_per_s: rate, seconds, pair_seconds }
            }
            Self::Listeners { listeners, hanging, failing, rate, seconds } => {
                Mode::Listeners { listeners, hanging, failing, rate_per_s: rate, seconds }
            }
            Self::Answers { rate, seconds } => Mode::Answers { rate_per_s: rate, seconds },
            Self::Campaign { recipients, rate } => Mode::Campaign { recipients, rate_per_s: rate },
        }
    }

    fn simulator(&self) -> Option<&str> {
        if let Self::Sending { simulator, .. } = self { Some(simulator) } else { None }
    }

    /// Until the listeners that hang are known, a time-out of 15 s is over. Contacts who write every 0.7 s have been
    /// everywhere in the flow after 5 s.
    fn warmup(&self) -> u32 {
        match self {
            Self::Listeners { .. } => 30,
            Self::Answers { .. } => 5,
            _ => 1,
        }
    }

    /// A contact waits for its answer before it writes again, so many are needed for a rate.
    fn conversations(&self) -> u32 {
        if let Self::Answers { .. } = self { 200 } else { 64 }
    }
}

fn entrance(bench: &Bench, configuration: &Configuration) -> anyhow::Result<Entrance> {
    let ingest = &configuration.ingest;
    Ok(match bench.entrance {
        Door::Webhook => {
            let secrets = needed(ingest.app_secret.as_ref(), "WHATSAPP_APP_SECRET")?;
            // The first of several is the newest.
            let newest = secrets.expose_secret().split(',').next().unwrap_or_default().trim();
            Entrance::Webhook { app_secret: newest.into() }
        }
        Door::BotReply => {
            Entrance::BotReply { api_key: needed(ingest.api_key.as_ref(), "WHATSAPP_API_KEY")? }
        }
    })
}

fn credential(bench: &Bench, configuration: &Configuration) -> anyhow::Result<Credential> {
    Ok(match &bench.token {
        Some(token) => Credential::Token(token.as_str().into()),
        None => Credential::Secret(needed(configuration.edge.jwt_secret.as_ref(), "JWT_SECRET")?),
    })
}

fn needed(secret: Option<&SecretString>, name: &str) -> anyhow::Result<SecretString> {
    secret.cloned().with_context(|| format!("{name} is not set"))
}

fn named_process(text: &str) -> Result<(String, u32), String> {
    let (name, pid) = text.split_once('=').ok_or("NAME=PID is needed")?;
    let pid = pid.parse().map_err(|_| format!("{pid:?} is no process number"))?;
    Ok((name.to_owned(), pid))
}
