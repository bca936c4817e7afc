use std::time::{Duration, Instant};

use async_nats::jetstream;

use crate::error::Error;
use crate::nats::{NatsOptions, NatsServer};
use crate::port::unused_port;
use crate::wait::LOOK_EVERY;

/// Electing the first leader takes the servers a few seconds.
const READY_MAX: Duration = Duration::from_mins(1);
/// A server without a leader does not answer at all.
const PROBE_MAX: Duration = Duration::from_millis(500);
const PROBE: &str = "testkit_ready";

/// Private nats-servers that form one cluster, for streams with several replicas.
pub struct NatsCluster {
    servers: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts `size` servers and returns when they accept a stream with that many replicas.
    pub async fn start(size: usize) -> Result<Self, Error> {
        let routes: Vec<u16> = (0..size).map(|_| unused_port()).collect();
        let mut servers = Vec::with_capacity(size);
        for own in &routes {
            let extra = cluster_configuration(*own, &routes);
            servers.push(NatsServer::start_with(NatsOptions { extra, ..NatsOptions::default() }).await?);
        }
        let cluster = Self { servers };
        cluster.await_leader().await?;
        Ok(cluster)
    }

    /// The addresses of all servers, separated by commas, as `NATS_URL` takes them.
    pub fn url(&self) -> String {
        self.urls().join(",")
    }

    /// The addresses of all servers.
    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(NatsServer::url).collect()
    }

    /// The servers, to be killed and restarted one by one.
    pub fn servers(&self) -> &[NatsServer] {
        &self.servers
    }

    async fn await_leader(&self) -> Result<(), Error> {
        let begin = Instant::now();
        loop {
            match self.probe().await {
                Ok(()) => return Ok(()),
                Err(reason) if begin.elapsed() > READY_MAX => return Err(Error::ClusterNotReady(reason)),
                Err(_) => tokio::time::sleep(LOOK_EVERY * 20).await,
            }
        }
    }

    async fn probe(&self) -> Result<(), String> {
        let client = async_nats::connect(self.urls()).await.map_err(|error| error.to_string())?;
        let jetstream = jetstream::ContextBuilder::new().timeout(PROBE_MAX).build(client);
        let config = jetstream::stream::Config {
            name: PROBE.to_owned(),
            subjects: vec![PROBE.to_owned()],
            num_replicas: self.servers.len(),
            ..Default::default()
        };
        jetstream.create_stream(config).await.map_err(|error| error.to_string())?;
        jetstream.delete_stream(PROBE).await.map_err(|error| error.to_string())?;
        Ok(())
    }
}

fn cluster_configuration(own: u16, routes: &[u16]) -> String {
    let routes: Vec<String> = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    format!(
        "cluster {{\n  name: \"chasqui\"\n  listen: \"127.0.0.1:{own}\"\n  routes: [{}]\n}}\n",
        routes.join(", ")
    )
}
