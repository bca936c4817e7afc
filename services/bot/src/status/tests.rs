use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::Result;
use chasqui_kit::bus::NatsConfig;
use chasqui_proto::{
    stream,
    subject::{bot_updated, live},
    v1::{BotState, BotStatus, EntryKind},
};
use chasqui_testkit::{NatsServer, wait_for};
use tokio::{task::JoinHandle, time::Instant};

use super::*;

const SOON: Duration = Duration::from_secs(30);

struct World {
    nats: NatsServer,
    bus: Bus,
    clock: AtomicU64,
}

struct Replica {
    works: Arc<Works>,
    definitions: Definitions,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Replica {
    async fn stop(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.running.await?)
    }
}

fn tenant() -> Tenant {
    "default".parse().expect("it is a tenant")
}

impl World {
    async fn start() -> Result<Self> {
        let nats = NatsServer::start().await?;
        let bus = Bus::connect("test", &NatsConfig { url: nats.url(), ..NatsConfig::default() }).await?;
        chasqui_kit::stream::ensure_all(&bus).await?;
        Ok(Self { nats, bus, clock: AtomicU64::new(1_000) })
    }

    async fn replica(&self, node: &str, default: Responder) -> Result<Replica> {
        self.replica_with(node, default, Config::default()).await
    }

    async fn replica_with(&self, node: &str, default: Responder, config: Config) -> Result<Replica> {
        let bus = Bus::connect(node, &NatsConfig { url: self.nats.url(), ..NatsConfig::default() }).await?;
        let directory = Directory::open(&bus, &[EntryKind::Tenant]);
        directory.ready().await;
        let node = NodeToken::new(node);
        let status = Status {
            leases: Leases::open(&bus, &node).await?,
            responders: Responders::open(&bus, directory.clone(), default).await?,
            definitions: Definitions::open(&config)?,
            models: Arc::new(Models::new(&config, &bus)?),
            works: Arc::default(),
            tenant: tenant(),
            directory,
            config,
            node,
            bus,
        };
        let (works, definitions, stop) =
            (status.works.clone(), status.definitions.clone(), CancellationToken::new());
        let running = tokio::spawn(status.run(stop.clone()));
        Ok(Replica { works, definitions, stop, running })
    }

    async fn stored(&self) -> Option<BotStatus> {
        let states = self.bus.jetstream().get_stream(stream::STATE.name).await.ok()?;
        let stored = states.get_last_raw_message_by_subject(bot_updated(&tenant()).as_str()).await.ok()?;
        BotStatus::decode(stored.payload).ok()
    }

    /// Waits until the stored status is right.
    async fn until(&self, claim: &str, is_right: impl Fn(&BotStatus) -> bool) -> BotStatus {
        wait_for(SOON, claim, async || self.stored().await.filter(|status| is_right(status))).await
    }

    /// A replica elsewhere tells something, and whoever counts has counted it.
    async fn told_by(&self, node: &str, work: BotWork) -> BotWork {
        let at_ms = i64::try_from(self.clock.fetch_add(1, Ordering::Relaxed)).expect("it is small");
        let at_ms = if work.at_ms == 0 { clock::now_ms() + at_ms } else { work.at_ms };
        let work = BotWork { tenant: tenant().to_string(), node: node.to_owned(), at_ms, ..work };
        wait_for(SOON, "somebody counts", async || {
            let subject = bot_worked(&tenant(), &NodeToken::new(node)).as_str().to_owned();
            self.bus.client().request(subject, work.encode_to_vec().into()).await.ok()
        })
        .await;
        work
    }
}

fn answers(answers: u64) -> BotWork {
    BotWork { answers, answer_time_total_ms: answers * 20, handoffs: 1, ..BotWork::default() }
}

#[tokio::test]
async fn crm_05_a_tenant_has_a_status_before_anything_is_answered() -> Result<()> {
    let world = World::start().await?;
    let replica = world.replica("a", Responder::Builtin).await?;
    let status = world.until("it runs", |status| status.state() == BotState::Running).await;
    assert_eq!((status.tenant.as_str(), status.queued, status.reason.as_str()), ("default", 0, ""));
    assert!((clock::now_ms() - status.updated_at_ms).abs() < 60_000);
    replica.stop().await?;

    // Where something else answers, it is off, and whoever takes over says so.
    let replica = world.replica("b", Responder::External).await?;
    world.until("it is off", |status| status.state() == BotState::Off).await;
    replica.works.answered(&tenant(), 12);
    let status = world.until("it answered somebody", |status| status.state() == BotState::Running).await;
    assert_eq!((status.answers, status.answer_time_mean_ms), (1, 12));
    replica.stop().await
}

#[tokio::test]
async fn shc_29_what_was_answered_is_counted_once_whoever_counts() -> Result<()> {
    let world = World::start().await?;
    let first = world.replica("a", Responder::Builtin).await?;
    first.works.answered(&tenant(), 10);
    first.works.answered(&tenant(), 30);
    first.works.handed_over(&tenant());
    let status = world.until("two answers", |status| status.answers == 2).await;
    assert_eq!((status.handoffs, status.answer_time_mean_ms), (1, 20));

    let second = world.replica("b", Responder::Builtin).await?;
    let told = world.told_by("elsewhere", answers(5)).await;
    world.told_by("elsewhere", told).await;
    world.until("a word that comes twice is counted once", |status| status.answers == 7).await;

    // The one that counts dies, and while nobody counts, more is answered.
    first.running.abort();
    second.works.answered(&tenant(), 20);
    let status = world.until("another goes on", |status| status.answers == 8).await;
    assert_eq!((status.state(), status.handoffs), (BotState::Running, 2));

    // What was done last before a replica stops is not forgotten.
    second.works.answered(&tenant(), 20);
    second.stop().await?;
    assert_eq!(world.stored().await.map(|status| status.answers), Some(9));
    Ok(())
}

#[tokio::test]
async fn however_much_happens_it_is_told_once_a_second() -> Result<()> {
    let world = World::start().await?;
    let replica = world.replica("a", Responder::Builtin).await?;
    let mut told = world.bus.client().subscribe(live(&bot_updated(&tenant())).as_str().to_owned()).await?;
    world.bus.barrier().await?;
    let began = Instant::now();
    let nodes: Vec<String> = (0..20).map(|node| format!("node-{node}")).collect();
    for _ in 0..3 {
        futures::future::join_all(nodes.iter().map(|node| world.told_by(node, answers(1)))).await;
    }
    world.until("everything is counted", |status| status.answers == 60).await;
    let mut times = 0;
    loop {
        let next = told.next().await.expect("it is subscribed");
        times += 1;
        if BotStatus::decode(next.payload)?.answers == 60 {
            break;
        }
    }
    assert!(times <= began.elapsed().as_secs() + 2, "told {times} times in {:?}", began.elapsed());
    replica.stop().await
}

#[tokio::test]
async fn whatever_is_wrong_shows_while_it_is_wrong() -> Result<()> {
    let world = World::start().await?;
    let home = tempfile::tempdir()?;
    let write = |text: &str| std::fs::write(home.path().join("default.toml"), text);
    write("language = \"es\"\n")?;
    let config = Config {
        definitions: Some(Path::new(home.path()).to_owned()),
        definitions_interval_ms: 100,
        ..Config::default()
    };
    let replica = world.replica_with("a", Responder::Builtin, config).await?;
    let (definitions, stop) = (replica.definitions.clone(), replica.stop.clone());
    let following = tokio::spawn(async move { definitions.follow(stop).await });
    world.until("it runs", |status| status.state() == BotState::Running).await;

    write("language = \"fr\"\n")?;
    let status = world.until("the file is wrong", |status| status.state() == BotState::Degraded).await;
    assert!(
        status.reason.ends_with("default.toml:1:12: `language`: must be \"es\" or \"en\""),
        "{}",
        status.reason
    );
    let failing = BotWork { model: "m".to_owned(), model_state: "failing".to_owned(), ..BotWork::default() };
    world.told_by("elsewhere", failing).await;
    world.until("a model elsewhere fails", |status| status.reason.contains("the language model fails")).await;

    write("[model]\n")?;
    world.until("the model has no key", |status| status.reason.contains(NO_KEY)).await;

    write("language = \"en\"\n")?;
    world.told_by("elsewhere", BotWork { model_state: "ok".to_owned(), ..BotWork::default() }).await;
    let status = world.until("all is well", |status| status.state() == BotState::Running).await;
    assert_eq!(status.reason, "");
    replica.stop().await?;
    Ok(following.await?)
}
