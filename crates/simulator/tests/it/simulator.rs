use std::time::Duration;

use anyhow::{Context, Result};
use chasqui_kit::{Bus, telemetry::Metrics};
use chasqui_simulator::{Config, Error};
use chasqui_testkit::first_free_port;
use reqwest::Client;
use serde_json::Value;
use tokio::{sync::Mutex, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::receiver::APP_SECRET;

const SOON: Duration = Duration::from_secs(20);

/// A running simulator.
pub(crate) struct Simulator {
    pub(crate) url: String,
    pub(crate) client: Client,
    stop: CancellationToken,
    service: JoinHandle<Result<(), Error>>,
}

impl Simulator {
    /// Without linked devices.
    pub(crate) async fn start(webhook_url: String) -> Result<Self> {
        Self::start_with(webhook_url, None).await
    }

    /// With linked devices where there is a bus.
    pub(crate) async fn start_with(webhook_url: String, bus: Option<Bus>) -> Result<Self> {
        // Between finding a port and binding it, another test must not find the same one.
        static STARTING: Mutex<()> = Mutex::const_new(());
        let _starting = STARTING.lock().await;
        let port = first_free_port(13_900).context("a free port")?;
        let config = Config {
            port,
            webhook_url,
            app_secret: Some(APP_SECRET.into()),
            retry_pause_ms: 1,
            ..Config::default()
        };
        let stop = CancellationToken::new();
        let service = tokio::spawn(chasqui_simulator::run(config, Metrics::install(), bus, stop.clone()));
        let url = format!("http://127.0.0.1:{port}");
        let client = Client::builder().no_proxy().build()?;
        chasqui_testkit::wait_for(SOON, "the simulator answers", async || {
            client.get(format!("{url}/healthz")).send().await.ok()
        })
        .await;
        Ok(Self { url, client, stop, service })
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<(u16, Value)> {
        let response = self.client.post(format!("{}{path}", self.url)).json(&body).send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.service.await??)
    }
}
