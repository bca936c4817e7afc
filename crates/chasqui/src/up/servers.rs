//! The servers everything stands on: private ones whose data is kept, or those the environment names.

use std::path::Path;

use anyhow::Context;
use chasqui_testkit::{NatsOptions, NatsServer, Postgres};

use super::plan::Plan;
use crate::settings::Variables;

/// The database of a private PostgreSQL.
const DATABASE: &str = "chasqui";

/// NATS and PostgreSQL, ours or given.
pub(crate) struct Servers {
    nats_url: String,
    database_url: String,
    /// None where the environment named one.
    nats: Option<NatsServer>,
    /// None where the environment named one.
    postgres: Option<Postgres>,
}

impl Servers {
    /// Starts what is not given, with its data below `data`.
    pub(crate) async fn start(data: &Path, given: &Variables, plan: &mut Plan) -> anyhow::Result<Self> {
        let named = |name: &str| given.get(name).filter(|value| !value.is_empty()).cloned();
        let (nats_url, nats) = match named("NATS_URL") {
            Some(url) => (url, None),
            None => start_nats(data, plan).await?,
        };
        let (database_url, postgres) = match named("DATABASE_URL") {
            Some(url) => (url, None),
            None => start_postgres(data).await?,
        };
        Ok(Self { nats_url, database_url, nats, postgres })
    }

    pub(crate) fn nats_url(&self) -> &str {
        &self.nats_url
    }

    pub(crate) fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Whether NATS and PostgreSQL, in this order, were started here.
    pub(crate) fn are_ours(&self) -> (bool, bool) {
        (self.nats.is_some(), self.postgres.is_some())
    }

    /// Stops what was started here, the database first: nobody writes any more.
    pub(crate) async fn stop(&self) {
        if let Some(postgres) = &self.postgres {
            postgres.stop().await;
        }
        if let Some(nats) = &self.nats {
            nats.stop().await;
        }
    }
}

async fn start_nats(data: &Path, plan: &mut Plan) -> anyhow::Result<(String, Option<NatsServer>)> {
    let (port, directory) = (Some(plan.nats()?), Some(data.join("nats")));
    let server = NatsServer::start_with(NatsOptions { port, directory, ..NatsOptions::default() }).await?;
    Ok((server.url(), Some(server)))
}

async fn start_postgres(data: &Path) -> anyhow::Result<(String, Option<Postgres>)> {
    let server = Postgres::open(&data.join("pg")).await?;
    let url = server.ensure_database(DATABASE).await.context("the database could not be made")?;
    Ok((url, Some(server)))
}
