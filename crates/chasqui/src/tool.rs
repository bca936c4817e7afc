//! The commands that do one thing and end.

use std::process::ExitCode;

use anyhow::Context;
use chasqui_kit::{Bus, telemetry};

use crate::{
    admin, bench, bulk,
    cli::{Cli, Command},
    decode, dlq, exit, healthcheck,
    settings::{self, Configuration, Service},
    tap, token,
};

/// Runs a tool; what goes wrong is told on standard error.
pub(crate) async fn run(cli: &Cli, tool: &Command) -> ExitCode {
    let services = match tool {
        Command::Check { services } if services.is_empty() => Service::ALL.to_vec(),
        Command::Check { services } => services.clone(),
        _ => Vec::new(),
    };
    let configuration = match settings::read(cli.config.as_deref(), std::env::vars().collect(), &services) {
        Ok(configuration) => configuration,
        Err(problems) => return exit::misconfigured(&problems),
    };
    match attempt(tool, &configuration).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(exit::FAILED)
        }
    }
}

async fn attempt(tool: &Command, configuration: &Configuration) -> anyhow::Result<()> {
    match tool {
        Command::Migrate => migrate(configuration).await,
        Command::Check { .. } => {
            println!("{}\n\nthe configuration is good", configuration.lines().join("\n"));
            Ok(())
        }
        Command::Healthcheck { url } => {
            let own = || format!("http://127.0.0.1:{}/readyz", configuration.http.port);
            println!("{}", healthcheck::check(&url.clone().unwrap_or_else(own))?);
            Ok(())
        }
        Command::Token(options) => {
            let secret = configuration.edge.jwt_secret.as_ref().context("JWT_SECRET is not set")?;
            println!("{}", token::sign(secret, options)?);
            Ok(())
        }
        Command::Tap { subjects, live } => {
            tap::run(&connect("tap", configuration).await?, subjects, *live).await
        }
        Command::Decode(options) => decode::run(options),
        Command::Dlq { command } => dlq::run(&connect("dlq", configuration).await?, command).await,
        Command::Admin(options) => {
            let tenant = configuration.tenant.tenant();
            let sealing_key = configuration.webhooks.sealing_key.as_ref();
            admin::run(&connect("admin", configuration).await?, &tenant, sealing_key, options).await
        }
        Command::Bulk(options) => bulk::run(options, configuration).await,
        Command::Bench(options) => bench::run(options, configuration).await,
        Command::Ingest
        | Command::Edge
        | Command::Persistence
        | Command::Whatsapp
        | Command::Webhooks
        | Command::Bot
        | Command::All
        | Command::Simulator
        | Command::Flow(_)
        | Command::Up(_) => unreachable!("main runs what is no tool"),
    }
}

async fn migrate(configuration: &Configuration) -> anyhow::Result<()> {
    telemetry::start_logs(&configuration.log);
    let database = configuration.persistence.database_url.as_ref().context("DATABASE_URL is not set")?;
    chasqui_persistence::migrate(database).await?;
    println!("the schema is up to date");
    Ok(())
}

async fn connect(tool: &str, configuration: &Configuration) -> anyhow::Result<Bus> {
    let name = format!("chasqui-{tool}-{}", std::process::id());
    Ok(Bus::connect(&name, &configuration.nats).await?)
}
