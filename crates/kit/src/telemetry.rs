//! Logs and metrics of a process.

use std::{io::IsTerminal, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::{Problems, Section};

/// Upper bounds of the latency buckets, seconds: fine where a push is felt, coarse where something is wrong.
const LATENCY_BUCKETS_SECS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How often histograms are folded; without it their samples would pile up between two scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Section `log`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `human` or `json`. Default `human`.
    pub format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`. Default `info`.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Human, filter: "info".to_owned() }
    }
}

impl Section for LogConfig {
    const NAME: &'static str = "log";

    fn check(&self, problems: &mut Problems) {
        if let Err(error) = EnvFilter::try_new(&self.filter) {
            problems.add("log.filter", error);
        }
    }
}

/// Starts logging. Called once a process, by `main`; a second call changes nothing.
pub fn start_logs(config: &LogConfig) {
    // Migration notices of PostgreSQL say nothing an operator needs; the client of language models logs what contacts
    // and models write, which no log may hold.
    let filter = EnvFilter::new(format!("{},sqlx::postgres::notice=warn,async_openai=off", config.filter));
    let registry = tracing_subscriber::registry().with(filter);
    let started = match config.format {
        LogFormat::Human => registry
            .with(fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr))
            .try_init(),
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
    };
    // Only a second call fails; the first one's subscriber stays.
    drop(started);
}

/// The process's metrics, to render under `/metrics`.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Installs the recorder that the `metrics` macros write to. Called once a process; a later call gives a board
    /// that nobody writes to.
    pub fn install() -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS_SECS)
            .expect("the list of buckets is not empty")
            .build_recorder();
        let handle = recorder.handle();
        drop(metrics::set_global_recorder(recorder));
        Self(handle)
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds histograms from time to time, until stopped.
    pub async fn upkeep(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(UPKEEP_INTERVAL)).await.is_some() {
            self.0.run_upkeep();
        }
    }
}
