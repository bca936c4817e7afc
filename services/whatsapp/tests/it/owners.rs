use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use chasqui_kit::request::RequestError;
use chasqui_proto::{
    subject::{self, NodeToken},
    v1::{OpenOwned, OwnerRequest, SessionStatus, owner_request::What},
};
use chasqui_testkit::wait_for;
use chasqui_whatsapp::Config;
use futures::StreamExt;
use prost::Message;

use crate::{
    linked::{Linked, connected, qr},
    world::{self, Replica, SESSION, SOON, World, config, tenant},
};

/// What the design promises for an owner that dies.
const TAKEOVER_MAX: Duration = Duration::from_secs(10);

/// The replica that owns the session, and the others.
async fn owner_of(world: &World, replicas: Vec<Replica>) -> (Replica, Vec<Replica>) {
    let holder = world.owned(SESSION).await;
    let (mut owners, others): (Vec<_>, Vec<_>) =
        replicas.into_iter().partition(|replica| replica.node.as_str() == holder);
    (owners.pop().expect("one of them owns it"), others)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_owner_is_killed_has_another_within_ten_seconds() -> Result<()> {
    let world = World::start().await?;
    let replicas = vec![world.replica("a", config()).await?, world.replica("b", config()).await?];
    let connector = Linked::start(&world, "connector-1", Some(connected())).await;
    world.open(SESSION).await?;
    let before = world.becomes(SESSION, SessionStatus::Connected).await;
    let (owner, others) = owner_of(&world, replicas).await;
    let ownership = connector.seen(|seen| seen.starts[0].ownership);
    owner.kill();
    let killed = Instant::now();
    let taken = wait_for(SOON, "the other replica's owner speaks to the connector", async || {
        let newest = connector.seen(|seen| seen.starts.last().map(|start| start.ownership))?;
        (newest > ownership).then_some(newest)
    })
    .await;
    let took = killed.elapsed();
    println!("taken over after {:.2} s", took.as_secs_f64());
    assert!(took <= TAKEOVER_MAX, "{took:?}");
    assert_eq!(world.owned(SESSION).await, others[0].node.as_str());
    // Nobody was shown that it changed hands.
    assert_eq!(world.open(SESSION).await?, before);
    assert!(taken > ownership);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_owner_stops_is_given_to_another_at_once() -> Result<()> {
    let world = World::start().await?;
    let replicas = vec![world.replica("a", config()).await?, world.replica("b", config()).await?];
    let connector = Linked::start(&world, "connector-1", Some(connected())).await;
    world.open(SESSION).await?;
    world.becomes(SESSION, SessionStatus::Connected).await;
    let (owner, others) = owner_of(&world, replicas).await;
    owner.stop().await?;
    let stopped = Instant::now();
    wait_for(SOON, "the other one owns it", async || {
        (world.holder(SESSION).await? == others[0].node.as_str()).then_some(())
    })
    .await;
    // Less than the lease stands: it was given back.
    assert!(stopped.elapsed() < Duration::from_secs(4), "{:?}", stopped.elapsed());
    let was_let_go = connector.seen(|seen| !seen.commands.is_empty());
    assert!(!was_let_go, "the connector keeps the session through a change of owner");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_loses_its_lease_stops_before_it_knows_why() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("a", config()).await?;
    let connector = Linked::start(&world, "connector-1", Some(connected())).await;
    world.open(SESSION).await?;
    let before = world.becomes(SESSION, SessionStatus::Connected).await;
    world.owned(SESSION).await;
    let held = world.take_lease(SESSION).await;
    wait_for(SOON, "nobody answers for the session any more", async || {
        let told = connector.tell(SESSION, connected()).await;
        matches!(told, Err(RequestError::NoResponders(_))).then_some(())
    })
    .await;
    // It is another owner's now: what becomes of it is not said by this one.
    assert_eq!(world.state(SESSION).await, Some(before));
    assert!(connector.seen(|seen| seen.commands.is_empty()));
    held.release().await;
    assert_eq!(world.owned(SESSION).await, "a");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_29_a_qr_outlives_the_owner_that_showed_it() -> Result<()> {
    let world = World::start().await?;
    let config = Config { session_timeout_ms: 60_000, ..config() };
    let replicas = vec![world.replica("a", config.clone()).await?, world.replica("b", config).await?];
    let _connector = Linked::start(&world, "connector-1", Some(qr("2@first"))).await;
    world.open(SESSION).await?;
    let scan = world.becomes(SESSION, SessionStatus::ScanQr).await;
    let (owner, others) = owner_of(&world, replicas).await;
    owner.kill();
    let _next = owner_of(&world, others).await;
    assert_eq!(world.open(SESSION).await?, scan);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_never_own_one_session_at_once() -> Result<()> {
    let world = World::start().await?;
    let mut replicas = Vec::new();
    for node in ["a", "b", "c"] {
        replicas.push(world.replica(node, config()).await?);
    }
    let connector = Linked::start(&world, "connector-1", Some(connected())).await;
    world.open(SESSION).await?;
    world.becomes(SESSION, SessionStatus::Connected).await;
    let asking = AllOwners::start(&world).await;
    let (owner, others) = owner_of(&world, replicas).await;
    owner.kill();
    let (owner, others) = owner_of(&world, others).await;
    owner.stop().await?;
    let _last = owner_of(&world, others).await;
    let (asked, most) = asking.end();
    println!("{asked} questions, at most {most} answer(s) each");
    assert!(asked > 100, "{asked}");
    assert_eq!(most, 1);
    let ownerships = connector.seen(|seen| seen.ownerships.clone());
    assert!(ownerships.is_sorted(), "an earlier owner spoke after a later one: {ownerships:?}");
    Ok(())
}

/// Asks whoever owns the session, all the time, and counts the answers to each question.
struct AllOwners {
    asked: Arc<AtomicUsize>,
    answers: Arc<std::sync::Mutex<HashMap<String, usize>>>,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl AllOwners {
    async fn start(world: &World) -> Self {
        let bus = world::connect(&world.nats, "asker").await;
        let inbox = bus.client().new_inbox();
        let mut answered = bus.client().subscribe(format!("{inbox}.*")).await.expect("it listens");
        let answers: Arc<std::sync::Mutex<HashMap<String, usize>>> = Arc::default();
        let asked = Arc::new(AtomicUsize::new(0));
        let (counted, count) = (answers.clone(), asked.clone());
        let counting = tokio::spawn(async move {
            while let Some(answer) = answered.next().await {
                // That nobody listens is told in the same way.
                if answer.status.is_none() {
                    *counted
                        .lock()
                        .expect("no holder of this lock panics")
                        .entry(answer.subject.to_string())
                        .or_default() += 1;
                }
            }
        });
        let asking = tokio::spawn(async move {
            let subject = subject::whatsapp_owner(&tenant(), &NodeToken::new(SESSION));
            let open = OwnerRequest { what: Some(What::Open(OpenOwned {})) }.encode_to_vec();
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            loop {
                pace.tick().await;
                let number = count.fetch_add(1, Ordering::Relaxed);
                let (subject, reply) = (subject.as_str().to_owned(), format!("{inbox}.{number}"));
                bus.client()
                    .publish_with_reply(subject, reply, open.clone().into())
                    .await
                    .expect("it is asked");
            }
        });
        Self { asked, answers, tasks: [counting, asking] }
    }

    /// How many questions were asked, and the most answers one of them had.
    fn end(self) -> (usize, usize) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        let most =
            self.answers.lock().expect("no holder of this lock panics").values().copied().max().unwrap_or(0);
        (self.asked.load(Ordering::Relaxed), most)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_shared_among_replicas() -> Result<()> {
    const SESSIONS: usize = 20;
    let world = World::start().await?;
    let _replicas = [world.replica("a", config()).await?, world.replica("b", config()).await?];
    let _connector = Linked::start(&world, "connector-1", Some(connected())).await;
    let mut owned: HashMap<String, usize> = HashMap::new();
    for number in 0..SESSIONS {
        let session = format!("s{number}");
        world.open(&session).await?;
        *owned.entry(world.owned(&session).await).or_default() += 1;
    }
    println!("{owned:?}");
    assert!(owned.len() == 2 && owned.values().all(|sessions| *sessions >= SESSIONS / 4), "{owned:?}");
    Ok(())
}
