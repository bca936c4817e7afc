//! Everything on this machine, for development: private servers, the simulator, all services, and a screen that says
//! where to begin.

mod edges;
mod plan;
mod screen;
mod secrets;
mod servers;

use std::{path::Path, process::ExitCode};

use anyhow::Context;
use secrecy::SecretString;

use crate::{
    cli::{Cli, Up},
    exit,
    process::Process,
    settings::{self, Configuration, Service, Variables},
};

use edges::Edges;
use plan::Plan;
use secrets::Secrets;
use servers::Servers;

/// What runs in this process; the further edges are processes of their own.
const HERE: [Service; 8] = [
    Service::Ingest,
    Service::Persistence,
    Service::Edge,
    Service::Whatsapp,
    Service::Webhooks,
    Service::Bot,
    Service::Bulk,
    Service::Simulator,
];

/// The Graph API's id of the simulated number.
const PHONE_NUMBER_ID: &str = "100000000000001";

/// What the simulated language model is asked with.
const SIMULATED_MODEL_KEY: &str = "local-openai-key";

/// Listeners of a development machine are on it.
const LISTENER_NETWORKS: &str = "127.0.0.0/8,::1/128";

/// Starts everything, says so, and stops it in order.
pub(crate) async fn run(cli: &Cli, options: &Up) -> ExitCode {
    match start(cli, options).await {
        Ok(running) => running.until_stopped().await,
        Err(Failure::Configuration(problems)) => exit::misconfigured(&problems),
        Err(Failure::Other(error)) => {
            eprintln!("chasqui up: {error:#}");
            ExitCode::from(exit::UP)
        }
    }
}

enum Failure {
    Configuration(chasqui_kit::config::Problems),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

struct Running {
    process: Process,
    edges: Edges,
    servers: Servers,
}

async fn start(cli: &Cli, options: &Up) -> Result<Running, Failure> {
    let data = std::path::absolute(&options.data)?;
    std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
    let given: Variables = std::env::vars().collect();
    let secrets = Secrets::load_or_make(&data.join("dev.toml"), &given)?;
    let mut plan = Plan::new(options.port, options.edges)?;
    let servers = Servers::start(&data, &given, &mut plan).await?;
    let variables = variables(given, &data, &plan, &servers, &secrets);
    let configuration =
        settings::read(cli.config.as_deref(), variables.clone(), &HERE).map_err(Failure::Configuration)?;
    let database = SecretString::from(servers.database_url());
    chasqui_persistence::migrate(&database).await.context("the database could not be migrated")?;
    let mut process = Process::new(&configuration, cli.node.as_deref());
    process.simulate(&configuration);
    process.serve(&configuration, &Service::ALL).context("the front door cannot be opened")?;
    let edges = Edges::start(&plan, &variables, cli.config.as_deref(), process.supervisor())?;
    announce(&mut process, &plan, &configuration, &servers)?;
    Ok(Running { process, edges, servers })
}

impl Running {
    async fn until_stopped(self) -> ExitCode {
        let ended = self.process.run().await;
        self.servers.stop().await;
        self.edges.failed().map_or(ended, ExitCode::from)
    }
}

/// The environment of this process and of the further edges: what was given, and what is started or made up here.
fn variables(given: Variables, data: &Path, plan: &Plan, servers: &Servers, secrets: &Secrets) -> Variables {
    let mut variables = given;
    secrets.fill(&mut variables);
    variables.insert("PORT".to_owned(), plan.front().to_string());
    variables.insert("NATS_URL".to_owned(), servers.nats_url().to_owned());
    variables.insert("DATABASE_URL".to_owned(), servers.database_url().to_owned());
    variables.insert("CHASQUI__SIMULATOR__PORT".to_owned(), plan.simulator.to_string());
    variables.insert("CHASQUI__SIMULATOR__LINKED_DEVICES".to_owned(), "true".to_owned());
    let webhook = format!("http://127.0.0.1:{}/webhooks/whatsapp", plan.front());
    variables.insert("CHASQUI__SIMULATOR__WEBHOOK_URL".to_owned(), webhook);
    // The real connector runs; only its provider is played here.
    let graph = format!("http://127.0.0.1:{}", plan.simulator);
    for (setting, value) in [
        ("CHASQUI__WHATSAPP__GRAPH_URL", graph),
        ("WHATSAPP_PHONE_NUMBER_ID", PHONE_NUMBER_ID.to_owned()),
        ("CHASQUI__MEDIA__STORE", format!("file://{}", data.join("media").display())),
        ("CHASQUI__MEDIA__BASE_URL", format!("http://127.0.0.1:{}", plan.front())),
        ("CHASQUI__INGEST__PRIVATE_NETWORKS_ALLOWED", LISTENER_NETWORKS.to_owned()),
        ("CHASQUI__WEBHOOKS__PRIVATE_NETWORKS_ALLOWED", LISTENER_NETWORKS.to_owned()),
        // The bot's flow has something to look up.
        ("CHASQUI__PERSISTENCE__SEED", "true".to_owned()),
    ] {
        variables.entry(setting.to_owned()).or_insert(value);
    }
    // Whoever brings no key of a language model has the simulator's.
    if variables.get("OPENAI_API_KEY").is_none_or(String::is_empty) {
        let model = format!("http://127.0.0.1:{}/v1", plan.simulator);
        variables.insert("OPENAI_BASE_URL".to_owned(), model);
        for name in ["OPENAI_API_KEY", "CHASQUI__SIMULATOR__OPENAI_API_KEY"] {
            variables.insert(name.to_owned(), SIMULATED_MODEL_KEY.to_owned());
        }
    }
    // What is this open is for this machine only, unless somebody asks for more.
    variables.entry("CHASQUI__HTTP__HOST".to_owned()).or_insert_with(|| "127.0.0.1".to_owned());
    // The widgets of a development machine have no tokens; the screen says that it is open.
    variables.entry("CHASQUI__EDGE__WIDGET_ANONYMOUS".to_owned()).or_insert_with(|| "true".to_owned());
    // The screen must not scroll away.
    variables.entry("RUST_LOG".to_owned()).or_insert_with(|| "warn".to_owned());
    variables
}

/// Prints the screen as soon as every process is ready, beside the services.
fn announce(
    process: &mut Process,
    plan: &Plan,
    configuration: &Configuration,
    servers: &Servers,
) -> anyhow::Result<()> {
    let screen = screen::text(plan, configuration, servers)?;
    let (ports, stop) = (plan.ports(), process.stop());
    process.supervisor().spawn("screen", exit::UP, async move {
        if let Some(ready) = stop.run_until_cancelled(screen::wait_until_ready(ports)).await {
            ready?;
            println!("{screen}");
        }
        stop.cancelled().await;
        anyhow::Ok(())
    });
    Ok(())
}
