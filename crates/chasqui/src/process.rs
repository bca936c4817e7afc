//! A process: its logs, metrics and door, and the services in it, each with its own connection to NATS.

use std::{
    convert::Infallible,
    process::ExitCode,
    time::{Duration, Instant},
};

use chasqui_kit::{
    Bus, Platform,
    bus::{ConnectError, NatsConfig},
    door::Door,
    health::Health,
    lifecycle::Supervisor,
    telemetry::{self, Metrics},
};
use chasqui_proto::subject::NodeToken;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::Cli,
    exit, open_files,
    settings::{self, Configuration, Service},
};

/// How long the first connection to NATS is tried: where everything starts at once, the broker comes up last.
const FIRST_CONNECTION_MAX: Duration = Duration::from_mins(1);
/// The pause between two of these tries.
const FIRST_CONNECTION_PAUSE: Duration = Duration::from_millis(500);
/// Of how many tries one is told.
const TRIES_A_LINE: u32 = 10;
/// How often a standing connection is looked at for `/readyz`.
const CONNECTION_LOOK_EVERY: Duration = Duration::from_secs(1);

/// Reads the configuration and runs `services` until a signal or a failure.
pub(crate) async fn run(cli: &Cli, services: &[Service]) -> ExitCode {
    let configuration = match settings::read(cli.config.as_deref(), std::env::vars().collect(), services) {
        Ok(configuration) => configuration,
        Err(problems) => return exit::misconfigured(&problems),
    };
    let mut process = Process::new(&configuration, cli.node.as_deref());
    let started = match services {
        [Service::Simulator] => {
            process.simulate(&configuration);
            Ok(())
        }
        _ => process.serve(&configuration, services),
    };
    if let Err(error) = started {
        tracing::error!(%error, "the port cannot be opened");
        return ExitCode::from(exit::DOOR);
    }
    process.run().await
}

/// The services of this process, started one by one and run together.
pub(crate) struct Process {
    supervisor: Supervisor,
    metrics: Metrics,
    node: NodeToken,
}

impl Process {
    /// Starts logs and metrics; nothing else runs yet.
    pub(crate) fn new(configuration: &Configuration, node: Option<&str>) -> Self {
        telemetry::start_logs(&configuration.log);
        let metrics = Metrics::install();
        let mut supervisor = Supervisor::default();
        let upkeep = metrics.clone().upkeep(supervisor.stop());
        supervisor.spawn("metrics", exit::FAILED, async {
            upkeep.await;
            Ok::<(), Infallible>(())
        });
        let node = node.map_or_else(default_node, NodeToken::new);
        Self { supervisor, metrics, node }
    }

    /// What stops everything in the process.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.supervisor.stop()
    }

    /// The services, for what else is to run beside them.
    pub(crate) fn supervisor(&mut self) -> &mut Supervisor {
        &mut self.supervisor
    }

    /// Opens one door and starts `services` behind it.
    pub(crate) fn serve(
        &mut self,
        configuration: &Configuration,
        services: &[Service],
    ) -> std::io::Result<()> {
        if services.contains(&Service::Edge) {
            open_files::raise(&configuration.edge);
        }
        let health = Health::default();
        let listeners = Door::bind(&configuration.http)?;
        tracing::info!(port = configuration.http.port, node = %self.node, "listening");
        let door = Door::new(&health, &self.metrics);
        // Before the door opens: a process that has not begun is not ready.
        // Each service says that it is ready under its own name, once it answers; a connection alone is not enough.
        for service in services {
            health.not_ready(&connection_of(*service), "connecting");
            health.not_ready(service.name(), "starting");
        }
        let opened = door.clone().open(listeners, self.stop());
        self.supervisor.spawn("door", exit::DOOR, async {
            opened.await;
            Ok::<(), Infallible>(())
        });
        for service in services {
            self.start(*service, configuration, &door, &health);
        }
        Ok(())
    }

    /// Starts the simulator, which has a port of its own, and to do with NATS only as a linked device.
    pub(crate) fn simulate(&mut self, configuration: &Configuration) {
        let (config, metrics, stop) = (configuration.simulator.clone(), self.metrics.clone(), self.stop());
        let (nats, name) = (configuration.nats.clone(), format!("chasqui-simulator-{}", self.node));
        let simulator = async move {
            let mut bus = None;
            if config.linked_devices {
                match stop.run_until_cancelled(first_connection(&name, &nats)).await {
                    Some(connected) => bus = Some(connected.map_err(|error| error.to_string())?),
                    None => return Ok(()),
                }
            }
            told(chasqui_simulator::run(config, metrics, bus, stop).await)
        };
        self.supervisor.spawn(Service::Simulator.name(), exit::of(Service::Simulator), simulator);
    }

    /// Runs until a signal or a failure, then stops everything.
    pub(crate) async fn run(self) -> ExitCode {
        self.supervisor.run().await
    }

    fn start(&mut self, service: Service, configuration: &Configuration, door: &Door, health: &Health) {
        let part = Part {
            service,
            configuration: configuration.clone(),
            door: door.clone(),
            health: health.clone(),
            node: self.node.clone(),
            stop: self.stop(),
        };
        self.supervisor.spawn(service.name(), exit::of(service), part.run());
    }
}

/// One service of the process, with what it shares with the others.
struct Part {
    service: Service,
    configuration: Configuration,
    door: Door,
    health: Health,
    node: NodeToken,
    stop: CancellationToken,
}

impl Part {
    async fn run(self) -> Result<(), String> {
        let Some(bus) = self.connect().await.map_err(|error| error.to_string())? else {
            return Ok(());
        };
        let platform = Platform {
            bus: bus.clone(),
            door: self.door.clone(),
            health: self.health.clone(),
            node: self.node.clone(),
            tenant: self.configuration.tenant.tenant(),
        };
        tokio::select! {
            ended = self.serve(platform) => ended,
            never = self.watch(&bus) => match never {},
        }
    }

    async fn serve(&self, platform: Platform) -> Result<(), String> {
        let (configuration, stop) = (&self.configuration, self.stop.clone());
        // Boxed: the future of a whole service is large, and it is made once.
        match self.service {
            Service::Ingest => {
                told(Box::pin(chasqui_ingest::run(configuration.ingest.clone(), platform, stop)).await)
            }
            Service::Edge => {
                told(Box::pin(chasqui_edge::run(configuration.edge.clone(), platform, stop)).await)
            }
            Service::Persistence => {
                let config = configuration.persistence.clone();
                told(Box::pin(chasqui_persistence::run(config, platform, stop)).await)
            }
            Service::Whatsapp => {
                told(Box::pin(chasqui_whatsapp::run(configuration.whatsapp.clone(), platform, stop)).await)
            }
            Service::Webhooks => {
                told(Box::pin(chasqui_webhooks::run(configuration.webhooks.clone(), platform, stop)).await)
            }
            Service::Bot => told(Box::pin(chasqui_bot::run(configuration.bot.clone(), platform, stop)).await),
            Service::Bulk => {
                told(Box::pin(chasqui_bulk::run(configuration.bulk.clone(), platform, stop)).await)
            }
            Service::Simulator => unreachable!("the simulator is started without a connection"),
        }
    }

    /// The service's own connection; `None` when the process was stopped before there was one.
    async fn connect(&self) -> Result<Option<Bus>, ConnectError> {
        let name = format!("chasqui-{}-{}", self.service.name(), self.node);
        let connected =
            self.stop.run_until_cancelled(first_connection(&name, &self.configuration.nats)).await;
        connected.transpose()
    }

    /// Says in `/readyz` whether the connection stands.
    async fn watch(&self, bus: &Bus) -> Infallible {
        let part = connection_of(self.service);
        loop {
            if bus.is_connected() {
                self.health.ready(&part);
            } else {
                self.health.not_ready(&part, "the connection to NATS is lost");
            }
            tokio::time::sleep(CONNECTION_LOOK_EVERY).await;
        }
    }
}

/// Connects, again and again for a while.
async fn first_connection(name: &str, nats: &NatsConfig) -> Result<Bus, ConnectError> {
    let began = Instant::now();
    for tries in 0_u32.. {
        match Bus::connect(name, nats).await {
            Ok(bus) => return Ok(bus),
            Err(error) if began.elapsed() > FIRST_CONNECTION_MAX => return Err(error),
            Err(error) if tries.is_multiple_of(TRIES_A_LINE) => {
                let give_up_after = FIRST_CONNECTION_MAX;
                tracing::warn!(%error, name, ?give_up_after, "NATS is not there yet; trying again");
            }
            Err(_) => {}
        }
        tokio::time::sleep(FIRST_CONNECTION_PAUSE).await;
    }
    unreachable!("time runs out before numbers do")
}

fn connection_of(service: Service) -> String {
    format!("nats ({})", service.name())
}

fn told<E: std::fmt::Display>(ended: Result<(), E>) -> Result<(), String> {
    ended.map_err(|error| error.to_string())
}

/// Different in each process: replicas in containers have host names of their own, processes on one host have numbers.
fn default_node() -> NodeToken {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "node".to_owned());
    NodeToken::new(&format!("{host}-{}", std::process::id()))
}
