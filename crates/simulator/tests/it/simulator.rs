use std::time::Duration;

use anyhow::{Context, Result};
use chasqui_kit::{Bus, telemetry::Metrics};
use chasqui_simulator::{Config, Error};
use chasqui_testkit::first_free_port;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::{sync::Mutex, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::receiver::APP_SECRET;

pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const CONTACT: &str = "5491100000001";
/// The default number.
pub(crate) const NUMBER: &str = "100000000000001";
pub(crate) const TOKEN: &str = "local-access-token";
/// Nobody is there.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:9/webhook";

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
        Self::start_with(Config { webhook_url, ..Config::default() }, None).await
    }

    /// Whose webhooks go nowhere, with no 24-hour window.
    pub(crate) async fn alone(settings: Value) -> Result<Self> {
        let simulator = Self::start(NOWHERE.to_owned()).await?;
        simulator.set(json!({ "window": "off", "statuses": [] })).await?;
        simulator.set(settings).await?;
        Ok(simulator)
    }

    /// With linked devices where there is a bus.
    pub(crate) async fn start_with(config: Config, bus: Option<Bus>) -> Result<Self> {
        // Between finding a port and binding it, another test must not find the same one.
        static STARTING: Mutex<()> = Mutex::const_new(());
        let _starting = STARTING.lock().await;
        let port = first_free_port(13_900).context("a free port")?;
        let config = Config { port, app_secret: Some(APP_SECRET.into()), retry_pause_ms: 1, ..config };
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
        answer(self.client.post(format!("{}{path}", self.url)).json(&body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        Ok(answer(self.client.get(format!("{}{path}", self.url))).await?.1)
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value> {
        Ok(answer(self.client.delete(format!("{}{path}", self.url))).await?.1)
    }

    /// Changes how the Graph API behaves.
    pub(crate) async fn set(&self, settings: Value) -> Result<Value> {
        let (status, changed) =
            answer(self.client.put(format!("{}/graph/settings", self.url)).json(&settings)).await?;
        anyhow::ensure!(status == 200, "{changed}");
        Ok(changed)
    }

    /// A request to the Graph API, of the default number.
    pub(crate) fn ask(&self, body: &Value) -> RequestBuilder {
        self.ask_as(NUMBER, body)
    }

    pub(crate) fn ask_as(&self, number: &str, body: &Value) -> RequestBuilder {
        self.client.post(format!("{}/v23.0/{number}/messages", self.url)).bearer_auth(TOKEN).json(body)
    }

    /// Sends a text; returns the status and the code of the error, or the message's id.
    pub(crate) async fn send(&self, to: &str) -> Result<Result<String, i64>> {
        outcome(&answer(self.ask(&text(to))).await?.1)
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.service.await??)
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> Result<(u16, Value)> {
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.json().await?))
}

/// The id of the message that was taken, or the code of the error.
pub(crate) fn outcome(answer: &Value) -> Result<Result<String, i64>> {
    match answer["messages"][0]["id"].as_str() {
        Some(id) => Ok(Ok(id.to_owned())),
        None => Ok(Err(answer["error"]["code"].as_i64().with_context(|| format!("no error: {answer}"))?)),
    }
}

pub(crate) fn text(to: &str) -> Value {
    json!({ "messaging_product": "whatsapp", "to": to, "type": "text", "text": { "body": "hola" } })
}

pub(crate) fn template(to: &str) -> Value {
    let template = json!({ "name": "turno", "language": { "code": "es_AR" } });
    json!({ "messaging_product": "whatsapp", "to": to, "type": "template", "template": template })
}
