use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};

use chasqui_testkit::{NatsServer, Postgres, first_free_port};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::{DEADLINE, chasqui, meta::NUMBER, process::Process};

/// What the processes and the world outside agree on.
pub(crate) const API_KEY: &str = "key-of-the-bot";
pub(crate) const APP_SECRET: &str = "app-secret";
const JWT_SECRET: &str = "an-hs256-secret-of-32-bytes-here";
/// When tokens of stories end, unix seconds: after them.
const FAR_FUTURE: u64 = 4_000_000_000;

/// Below the ports of the private servers, and of outgoing connections.
const FIRST_PORT: u16 = 10_000;
const PORTS_A_RUN: u16 = 100;

/// How many replicas the bot has.
const BOTS: usize = 3;

/// Two ingests, two persistences and three edges over a broker and a database of their own. An answering one also has three
/// bots; a connected one these, two whatsapps, two webhooks, two runners of campaigns, and the world outside.
pub(crate) struct Cluster {
    pub(crate) nats: NatsServer,
    pub(crate) ingests: Vec<Process>,
    pub(crate) persistences: Vec<Process>,
    pub(crate) edges: Vec<Process>,
    /// None where it is not connected.
    pub(crate) whatsapps: Vec<Process>,
    /// None where it is not connected.
    pub(crate) webhooks: Vec<Process>,
    /// None where it is not connected.
    pub(crate) bulks: Vec<Process>,
    /// None where it is neither connected nor answering.
    pub(crate) bots: Vec<Process>,
    /// The simulator: it plays WhatsApp and its phones. It runs where the cluster is connected.
    pub(crate) outside: Process,
    /// A member of staff's.
    pub(crate) token: String,
    /// Where the database is a server of its own.
    postgres: Option<Postgres>,
    environment: Vec<(String, String)>,
    logs: PathBuf,
}

/// What a cluster has beside the front doors and the database.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Core,
    Answering,
    Connected,
}

impl Extent {
    /// So many where it is connected.
    fn connected(self, count: usize) -> usize {
        if self == Self::Connected { count } else { 0 }
    }

    fn bots(self) -> usize {
        if self == Self::Core { 0 } else { BOTS }
    }
}

/// The cluster of the stories that break nothing.
pub(crate) struct Shared(&'static Cluster);

/// A cluster that a story may break. Two cores hold one of them under load at a time.
pub(crate) struct Breakable {
    cluster: Cluster,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::const_new(());

impl Cluster {
    /// The cluster of the stories that break nothing, started by the first one.
    pub(crate) async fn shared() -> Shared {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        Shared(SHARED.get_or_init(|| Cluster::start("shared", None, &[], Extent::Connected)).await)
    }

    /// A cluster of its own for `story`.
    pub(crate) async fn breakable(story: &str) -> Breakable {
        Self::breakable_with(story, &[]).await
    }

    /// A cluster of its own for `story`, with settings of its own, named as in the environment.
    pub(crate) async fn breakable_with(story: &str, settings: &[(&str, &str)]) -> Breakable {
        let turn = TURN.lock().await;
        Breakable { cluster: Self::start(story, None, settings, Extent::Core).await, _turn: turn }
    }

    /// A cluster of its own for `story`, whose bot answers whoever writes.
    pub(crate) async fn answering(story: &str) -> Breakable {
        let (turn, settings) = (TURN.lock().await, [("DEFAULT_RESPONDER", "builtin")]);
        Breakable { cluster: Self::start(story, None, &settings, Extent::Answering).await, _turn: turn }
    }

    /// A connected cluster of its own for `story`, whose bot answers whoever writes, as `definition` says.
    pub(crate) async fn defined(story: &str, definition: &str) -> Breakable {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("definitions").join(story);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("default.toml"), definition).unwrap();
        let directory = directory.display().to_string();
        let settings = [("DEFAULT_RESPONDER", "builtin"), ("CHASQUI__BOT__DEFINITIONS", &directory)];
        Self::connected(story, &settings).await
    }

    /// A cluster of its own for `story`, connected to WhatsApp and listeners.
    pub(crate) async fn connected(story: &str, settings: &[(&str, &str)]) -> Breakable {
        let turn = TURN.lock().await;
        Breakable { cluster: Self::start(story, None, settings, Extent::Connected).await, _turn: turn }
    }

    /// A cluster of its own whose database server can be stopped.
    pub(crate) async fn with_breakable_database(story: &str) -> Breakable {
        let turn = TURN.lock().await;
        let postgres = Postgres::temporary().await.unwrap();
        Breakable { cluster: Self::start(story, Some(postgres), &[], Extent::Core).await, _turn: turn }
    }

    async fn start(
        name: &str,
        postgres: Option<Postgres>,
        settings: &[(&str, &str)],
        extent: Extent,
    ) -> Self {
        let (binary, nats) = (chasqui().await, NatsServer::start().await.unwrap());
        let database = match &postgres {
            Some(own) => own.empty_database().await,
            None => Postgres::shared().await.unwrap().empty_database().await,
        };
        let outside = port();
        let logs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e").join(name);
        let _ = std::fs::remove_dir_all(&logs);
        std::fs::create_dir_all(&logs).unwrap();
        let mut environment = environment(&nats, &database.unwrap(), outside, &logs);
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let ingest = port();
        let webhooks_to = format!("http://127.0.0.1:{ingest}/webhooks/whatsapp");
        environment.push(("CHASQUI__SIMULATOR__WEBHOOK_URL".to_owned(), webhooks_to));
        let several = |service, count| -> Vec<Process> {
            (0..count)
                .map(|number| Process::new(binary, (service, number), port(), &environment, &logs))
                .collect()
        };
        let first = Process::new(binary, ("ingest", 0), ingest, &environment, &logs);
        let second = Process::new(binary, ("ingest", 1), port(), &environment, &logs);
        let mut cluster = Self {
            nats,
            ingests: vec![first, second],
            persistences: several("persistence", 2),
            edges: several("edge", 3),
            whatsapps: several("whatsapp", extent.connected(2)),
            webhooks: several("webhooks", extent.connected(2)),
            bulks: several("bulk", extent.connected(2)),
            bots: several("bot", extent.bots()),
            outside: Process::new(binary, ("simulator", 0), outside, &environment, &logs),
            token: String::new(),
            postgres,
            environment: environment.clone(),
            logs,
        };
        cluster.tool(&["migrate"]).await;
        cluster.token = cluster.tool(&["token", "--user", "agent-1", "--staff"]).await;
        if extent == Extent::Connected {
            cluster.outside.start().await;
        }
        for process in cluster.processes() {
            process.start().await;
        }
        for process in cluster.processes() {
            process.is_ready(true).await;
        }
        cluster
    }

    /// A user's token, signed here: stories have hundreds of users.
    pub(crate) fn token_of(user: &str, tenant: &str) -> String {
        signed(&json!({ "id": user, "tenant": tenant, "exp": FAR_FUTURE }))
    }

    /// The token of somebody who sees the whole tenant.
    pub(crate) fn token_of_staff(user: &str, tenant: &str) -> String {
        signed(&json!({ "id": user, "tenant": tenant, "role": "staff", "exp": FAR_FUTURE }))
    }

    /// The token of a contact's widget in a tenant.
    pub(crate) fn token_of_widget(phone: &str, tenant: &str) -> String {
        signed(&json!({ "id": phone, "phone": phone, "tenant": tenant, "exp": FAR_FUTURE }))
    }

    /// The key of the bot.
    pub(crate) fn api_key() -> &'static str {
        API_KEY
    }

    /// The database server, where it is the cluster's own.
    pub(crate) fn postgres(&self) -> &Postgres {
        self.postgres.as_ref().expect("the story asked for a database of its own")
    }

    /// A `chasqui` command with the cluster's environment.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(chasqui().await);
        command.args(arguments).envs(self.environment.iter().cloned());
        command.env_remove("CHASQUI_CONFIG").current_dir(&self.logs);
        command
    }

    /// What an operator's command prints.
    pub(crate) async fn tool(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.run(arguments).await;
        let (printed, errors) = (String::from_utf8(stdout).unwrap(), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "chasqui {arguments:?}: {status}\n{printed}{errors}");
        printed.trim_end().to_owned()
    }

    /// How an operator's command ends.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments).await;
        let ended = tokio::task::spawn_blocking(move || command.output());
        tokio::time::timeout(DEADLINE, ended).await.expect("the command ends in time").unwrap().unwrap()
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        let inside = self.ingests.iter().chain(&self.persistences).chain(&self.edges);
        inside.chain(&self.whatsapps).chain(&self.webhooks).chain(&self.bots).chain(&self.bulks)
    }

    fn show_logs_of_a_failure(&self) {
        if std::thread::panicking() {
            for process in self.processes().chain([&self.outside]) {
                eprintln!("{}", process.last_words());
            }
        }
    }
}

impl Deref for Shared {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0
    }
}

impl Deref for Breakable {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.show_logs_of_a_failure();
    }
}

impl Drop for Breakable {
    fn drop(&mut self) {
        self.show_logs_of_a_failure();
    }
}

fn signed(claims: &Value) -> String {
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

fn environment(nats: &NatsServer, database: &str, outside: u16, directory: &Path) -> Vec<(String, String)> {
    let (graph, model) = (format!("http://127.0.0.1:{outside}"), format!("http://127.0.0.1:{outside}/v1"));
    let media = format!("file://{}", directory.join("media").display());
    [
        ("CHASQUI__SIMULATOR__PORT", outside.to_string().as_str()),
        ("CHASQUI__SIMULATOR__LINKED_DEVICES", "true"),
        ("CHASQUI__WHATSAPP__GRAPH_URL", &graph),
        ("OPENAI_BASE_URL", &model),
        ("OPENAI_API_KEY", "key-of-the-model"),
        ("CHASQUI__SIMULATOR__OPENAI_API_KEY", "key-of-the-model"),
        ("WHATSAPP_ACCESS_TOKEN", "token-of-the-number"),
        ("WHATSAPP_PHONE_NUMBER_ID", NUMBER),
        ("CHASQUI__MEDIA__STORE", &media),
        ("MEDIA_URL_KEY", "a-key-for-addresses-of-32-bytes-x"),
        ("SEALING_KEY", "a-key-for-sealing-of-32-bytes-xxx"),
        ("CHASQUI__INGEST__PRIVATE_NETWORKS_ALLOWED", "127.0.0.0/8"),
        ("CHASQUI__WEBHOOKS__PRIVATE_NETWORKS_ALLOWED", "127.0.0.0/8"),
        ("NATS_URL", nats.url().as_str()),
        ("DATABASE_URL", database),
        ("JWT_SECRET", JWT_SECRET),
        ("WHATSAPP_API_KEY", API_KEY),
        ("WHATSAPP_APP_SECRET", APP_SECRET),
        ("WHATSAPP_VERIFY_TOKEN", "verify-token"),
        ("DEFAULT_TENANT", "default"),
        ("CHASQUI__PERSISTENCE__SEED", "true"),
        ("RUST_LOG", "info"),
        ("CHASQUI__HTTP__HOST", "127.0.0.1"),
        ("CHASQUI__EDGE__WIDGET_ANONYMOUS", "true"),
        // A slow machine may need long to connect again; that must not look like a lost cursor.
        // What a killed persistence had in hand is another one's after this.
        ("CHASQUI__PERSISTENCE__ACK_WAIT_MS", "3000"),
        ("CHASQUI__EDGE__REPLAY_EVENTS_MAX", "20000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// A free port that no other process of this run gets. Different runs begin at different places.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let run = u16::try_from(std::process::id() % 100).expect("below 100");
    let from = FIRST_PORT + run * PORTS_A_RUN + NEXT.fetch_add(1, Ordering::Relaxed);
    let found = first_free_port(from).expect("one port is free");
    NEXT.fetch_add(found - from, Ordering::Relaxed);
    found
}
