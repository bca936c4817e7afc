//! What no client of ours would say, a hundred thousand times.

mod noise;
mod pipe;

use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use self::{noise::Noise, pipe::Pipe};
use crate::world::{Cluster, Dialect, Meta, Native, http};

const TENANT: &str = "ruido";
/// How many connections, or requests, of a kind make noise at once.
const AT_ONCE: u64 = 4;
const MIB: u64 = 1024 * 1024;
/// What the process may have grown by, after it was warm. It is a debug build whose allocator gives little back.
const GROWTH_MAX: u64 = 48 * MIB;

/// How much of each kind; in all 100,000.
#[derive(Clone, Copy)]
struct Load {
    crm: u64,
    chat: u64,
    socketio: u64,
    polling: u64,
    queries: u64,
}

const LOAD: Load = Load { crm: 40_000, chat: 40_000, socketio: 12_000, polling: 4_000, queries: 4_000 };
const WARM_UP: Load = Load { crm: 4_000, chat: 4_000, socketio: 1_200, polling: 400, queries: 400 };

/// How many frames were no frames of their dialect, and how many answers there were to them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answers {
    malformed: u64,
    answered: u64,
}

impl Answers {
    fn add(&mut self, other: &Self) {
        self.malformed += other.malformed;
        self.answered += other.answered;
    }
}

/// All kinds at the same time.
async fn make(load: Load, cluster: &Cluster, seed: u64) -> [Answers; 2] {
    let address = cluster.edges[0].address();
    let noise = |kind: u64, number: u64| Noise::new(seed.wrapping_mul(1_000) + kind * 100 + number);
    let staff = Cluster::token_of_staff("ruidosa", TENANT);
    let user = Cluster::token_of("ruidosa-2", TENANT);
    let share = |frames: u64| frames / AT_ONCE;
    let crm = join_all((0..AT_ONCE).map(async |number| {
        Pipe::open(&address, Dialect::Crm, &staff).await.noise(share(load.crm), noise(0, number)).await
    }));
    let chat = join_all((0..AT_ONCE).map(async |number| {
        Pipe::open(&address, Dialect::Chat, &user).await.noise(share(load.chat), noise(1, number)).await
    }));
    let socketio =
        join_all((0..AT_ONCE).map(|number| pipe::socketio(&address, share(load.socketio), noise(2, number))));
    let polling =
        join_all((0..AT_ONCE).map(|number| pipe::polling(&address, share(load.polling), noise(3, number))));
    let queries =
        join_all((0..AT_ONCE).map(|number| pipe::queries(&address, share(load.queries), noise(4, number))));
    let (crm, chat, ..) = tokio::join!(crm, chat, socketio, polling, queries);
    [crm, chat].map(|of_all| {
        let mut sum = Answers::default();
        for answers in &of_all {
            sum.add(answers);
        }
        sum
    })
}

/// A contact writes and a console shows it, until stopped; how many times, and how long it took at most.
async fn are_served(console: &Native, meta: &Meta, stop: CancellationToken) -> (u32, Duration) {
    let (mut served, mut longest) = (0, Duration::ZERO);
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    while stop.run_until_cancelled(pace.tick()).await.is_some() {
        let (text, begin) = (format!("en medio del ruido {served}"), Instant::now());
        meta.text("5491100000741", &text).await;
        console.texts_until(&text).await;
        longest = longest.max(begin.elapsed());
        served += 1;
    }
    (served, longest)
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_32_crm_22_of_100_000_garbled_frames_each_is_answered_and_the_node_stays_up_and_flat() {
    let unlimited = [
        ("CHASQUI__EDGE__FRAMES_PER_SECOND_MAX", "1000000"),
        ("CHASQUI__EDGE__TENANT_FRAMES_PER_SECOND_MAX", "1000000"),
        ("CHASQUI__EDGE__HANDSHAKES_PER_SECOND_MAX", "100000"),
        ("RUST_LOG", "warn"),
    ];
    let cluster = Cluster::breakable_with("garbage", &unlimited).await;
    let (edge, meta) = (&cluster.edges[0], Meta::new(&cluster));
    let seed =
        std::env::var("CHASQUI_E2E_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("the same garbage again: CHASQUI_E2E_SEED={seed}");
    let good = Native::open(&cluster, 0, Dialect::Crm, &cluster.token).await;
    make(WARM_UP, &cluster, seed).await;
    let warm = edge.memory().await;
    let stop = CancellationToken::new();
    let noise = async {
        let begin = Instant::now();
        let answers = make(LOAD, &cluster, seed.wrapping_add(1)).await;
        stop.cancel();
        (answers, begin.elapsed())
    };
    let (([crm, chat], took), (served, longest)) =
        tokio::join!(noise, are_served(&good, &meta, stop.clone()));
    let after = edge.memory().await;
    println!(
        "{crm:?} {chat:?} in {took:?}; {served} messages beside it, the slowest after {longest:?}; \
         {} MiB, then {} MiB",
        warm / MIB,
        after / MIB
    );
    for answers in [crm, chat] {
        assert!(answers.malformed > 1_000, "{answers:?}: that was no garbage");
        assert_eq!(answers.answered, answers.malformed, "each frame that was none is told so");
    }
    assert!(served > 0 && good.greetings() == (1, 0), "the good client was served throughout");
    assert!(after < warm + GROWTH_MAX, "the node grew from {warm} to {after} bytes");
    edge.is_ready(true).await;
    let metrics = http().get(edge.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("chasqui_edge_refused_frames_total"));
}
