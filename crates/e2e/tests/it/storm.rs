//! Everybody of a node comes back at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::world::{Cluster, Dialect, Meta, Native, http};

const TENANTS: [&str; 4] = ["norte", "sur", "este", "oeste"];
/// At the node that dies, of each tenant.
const STAFF: usize = 90;
const USERS: usize = 10;
/// How many users of a tenant write, each at another node.
const WRITERS: usize = 4;
const CONTACT: &str = "5491100000731";
const LAST: &str = "the last one";

/// The front ends of one tenant at the node that dies, and who writes to them.
struct Tenant {
    name: &'static str,
    staff: Vec<Native>,
    users: Vec<Native>,
    /// A second tab of each of the first users, at another node.
    writers: Vec<Native>,
}

fn number(tenant: &str) -> String {
    format!("number-of-{tenant}")
}

impl Tenant {
    async fn open(cluster: &Cluster, name: &'static str) -> Self {
        cluster.tool(&["admin", "--tenant", name, "number", "put", &number(name)]).await;
        let staff = (0..STAFF).map(async |number| {
            let token = Cluster::token_of_staff(&format!("staff-{number}"), name);
            Native::open(cluster, 0, Dialect::Crm, &token).await
        });
        let tab = async |edge: usize, number: usize| {
            let token = Cluster::token_of(&format!("user-{number}"), name);
            Native::open(cluster, edge, Dialect::Chat, &token).await
        };
        Self {
            name,
            staff: join_all(staff).await,
            users: join_all((0..USERS).map(|number| tab(0, number))).await,
            writers: join_all((0..WRITERS).map(|number| tab(1, number))).await,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Native> {
        self.staff.iter().chain(&self.users)
    }
}

/// A contact of each tenant writes all the time; how much, all of them together, is counted.
fn contact(
    cluster: &Cluster,
    tenant: &'static str,
    count: Arc<AtomicUsize>,
    stop: CancellationToken,
) -> JoinHandle<Vec<String>> {
    let meta = Meta::new(cluster);
    tokio::spawn(async move {
        let (mut written, mut pace) = (Vec::new(), interval(Duration::from_millis(200)));
        while stop.run_until_cancelled(pace.tick()).await.is_some() {
            let text = format!("contact {}", written.len());
            meta.text_to(&number(tenant), CONTACT, &text).await;
            count.fetch_add(1, Ordering::Relaxed);
            written.push(text);
        }
        written
    })
}

/// Asks the nodes all the time whether they are ready; how often they said yes, and no.
fn watch(cluster: &Cluster, edges: &[usize], stop: CancellationToken) -> JoinHandle<(usize, usize)> {
    let urls: Vec<String> = edges.iter().map(|edge| cluster.edges[*edge].url("/readyz")).collect();
    tokio::spawn(async move {
        let (client, mut pace, mut said) = (http(), interval(Duration::from_millis(50)), (0, 0));
        while stop.run_until_cancelled(pace.tick()).await.is_some() {
            for url in &urls {
                let is_ready = client.get(url).send().await.is_ok_and(|answer| answer.status().is_success());
                *if is_ready { &mut said.0 } else { &mut said.1 } += 1;
            }
        }
        said
    })
}

/// Each user writes one message more, and has its other tab show it.
async fn users_write(tenants: &[Tenant], round: usize) {
    let writes =
        tenants.iter().flat_map(|tenant| tenant.writers.iter().enumerate()).map(async |(number, writer)| {
            let (user, text) = (format!("user-{number}"), format!("user {round}"));
            writer.says(
                &json!({ "event": "chat_message", "chat_id": user, "sender_id": user, "message": text }),
            );
            writer.texts_until(&text).await;
        });
    join_all(writes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_13_400_clients_of_a_killed_node_come_back_at_once_and_lose_and_double_nothing() {
    let cluster = Cluster::breakable("storm").await;
    let tenants = join_all(TENANTS.map(|name| Tenant::open(&cluster, name))).await;
    let (count, quiet, done) =
        (Arc::<AtomicUsize>::default(), CancellationToken::new(), CancellationToken::new());
    let contacts = TENANTS.map(|name| contact(&cluster, name, count.clone(), quiet.clone()));
    let ready = watch(&cluster, &[1, 2], done.clone());
    for round in 0..5 {
        users_write(&tenants, round).await;
    }
    cluster.edges[0].kill().await;
    let killed = Instant::now();
    // Written while everybody is on the way.
    users_write(&tenants, 5).await;
    join_all(tenants.iter().flat_map(Tenant::all).map(|client| client.is_live_away_from(0))).await;
    println!(
        "{} clients were back after {:?}",
        tenants.iter().flat_map(Tenant::all).count(),
        killed.elapsed()
    );
    for round in 6..10 {
        users_write(&tenants, round).await;
    }
    quiet.cancel();
    let meta = Meta::new(&cluster);
    for (tenant, contact) in tenants.iter().zip(contacts) {
        let written = contact.await.unwrap();
        assert!(!written.is_empty());
        meta.text_to(&number(tenant.name), CONTACT, LAST).await;
        for console in &tenant.staff {
            let mut texts = console.texts_until(LAST).await;
            let of_users = texts.extract_if(.., |text| text.starts_with("user ")).count();
            assert_eq!(of_users, 10 * WRITERS, "of {}'s users", tenant.name);
            assert_eq!(texts.pop().as_deref(), Some(LAST));
            assert_eq!(texts, written, "of {}'s contact", tenant.name);
        }
        let expected: Vec<String> = (0..10).map(|round| format!("user {round}")).collect();
        for user in &tenant.users[..WRITERS] {
            assert_eq!(user.texts_until("user 9").await, expected);
        }
        for client in tenant.all() {
            assert_eq!(client.greetings(), (2, 0), "each came back once, with its cursor");
        }
    }
    done.cancel();
    let (yes, no) = ready.await.unwrap();
    println!("{yes} times ready, {no} times not");
    assert!(yes > 0 && no == 0, "a node that lives was not ready {no} times");
    assert!(count.load(Ordering::Relaxed) > 0);
}
