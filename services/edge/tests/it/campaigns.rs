//! Dashboards that watch campaigns, live, from the middle, and after they were away.

use std::time::Instant;

use chasqui_kit::{TraceContext, publish::Fact};
use chasqui_proto::{
    Tenant, subject,
    subject::NodeToken,
    v1::{BulkProgress, CampaignStatus},
};
use futures::future::join_all;
use reqwest::Client as Http;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    cable::Cable,
    sse::Stream,
    world::{Client, Node, World, jwt},
};

/// A campaign as its runner tells it.
fn campaign(id: &str, status: CampaignStatus, version: u64) -> BulkProgress {
    BulkProgress {
        tenant: "default".to_owned(),
        campaign: id.to_owned(),
        status: status.into(),
        sent: u32::try_from(version).unwrap(),
        total: 100,
        current_conversation: "5491100000001".to_owned(),
        name: format!("campaign {id}"),
        version,
        ..BulkProgress::default()
    }
}

impl<B> World<B> {
    /// Stores how a campaign stands; its position among the states.
    async fn tells(&self, progress: &BulkProgress) -> u64 {
        let tenant: Tenant = progress.tenant.parse().unwrap();
        let subject = subject::bulk_progress(&tenant, &NodeToken::new(&progress.campaign));
        let fact = Fact::new(subject, progress, Uuid::now_v7().to_string(), TraceContext::root());
        self.bus.publish(fact).await.unwrap().seq
    }

    /// A campaign that has ended, and what became of its messages since.
    async fn ends(&self, id: &str, version: u64) {
        let end = campaign(id, CampaignStatus::Completed, version);
        let end_seq = self.tells(&end).await;
        for read in [1, 2] {
            let after = BulkProgress { after_end: true, end_seq, read, version: version + 1, ..end.clone() };
            self.tells(&after).await;
        }
    }
}

/// A member of staff with its cursor, as `docs/dialects/crm.md` says to keep it.
struct Watcher {
    client: Client,
    epoch: String,
    seq: u64,
}

impl Watcher {
    async fn on(node: &Node) -> Self {
        Self::greeted(node.staff("default", None).await).await
    }

    /// It leaves, and comes back to a node.
    async fn moves_to(self, node: &Node) -> Self {
        let cursor = (self.epoch, self.seq);
        drop(self.client);
        let back = Self::greeted(node.staff("default", Some((&cursor.0, cursor.1))).await).await;
        assert_eq!(back.seq, cursor.1);
        back
    }

    async fn greeted(mut client: Client) -> Self {
        let greeting = client.frame().await;
        assert_eq!(greeting["type"], "connected", "it comes before everything else");
        let epoch = greeting["data"]["epoch"].as_str().unwrap().to_owned();
        Self { client, epoch, seq: greeting["seq"].as_u64().unwrap() }
    }

    /// The next frame of a campaign: its type, campaign and data.
    async fn sees(&mut self) -> (String, String, Value) {
        let frame = self.client.frame().await;
        assert!(frame["type"].as_str().unwrap().starts_with("bulk_message_"), "{frame}");
        frame["epoch"].as_str().unwrap().clone_into(&mut self.epoch);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&frame["type"]), text(&frame["data"]["campaign"]), frame["data"].clone())
    }

    async fn sees_progress(&mut self, id: &str, sent: u32) {
        let (kind, campaign, data) = self.sees().await;
        assert_eq!((kind.as_str(), campaign.as_str()), ("bulk_message_progress", id), "{data}");
        assert_eq!(data["progress"]["sent"], sent, "{data}");
    }

    async fn sees_end(&mut self, id: &str, sent: u32) -> Value {
        let (kind, campaign, data) = self.sees().await;
        assert_eq!((kind.as_str(), campaign.as_str()), ("bulk_message_completed", id), "{data}");
        assert_eq!(data["successCount"], sent, "{data}");
        data
    }

    /// Nothing of any campaign comes before the answer to a question.
    async fn sees_nothing(&mut self) {
        self.client.say(&json!({ "type": "ping" })).await;
        assert_eq!(self.client.frame().await["type"], "pong");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_07_crm_20_who_comes_in_the_middle_is_told_at_once_what_is_under_way_on_every_node() {
    let world = World::start().await;
    let one = Node::start(&world, "one", &[]).await;
    let mut early = Watcher::on(&one).await;
    world.tells(&campaign("planned", CampaignStatus::Scheduled, 1)).await;
    world.tells(&campaign("ended", CampaignStatus::Completed, 9)).await;
    world.tells(&campaign("draft", CampaignStatus::Draft, 1)).await;
    world.tells(&campaign("running", CampaignStatus::Running, 3)).await;
    world
        .tells(&BulkProgress { tenant: "acme".to_owned(), ..campaign("theirs", CampaignStatus::Paused, 5) })
        .await;
    early.sees_progress("planned", 1).await;
    early.sees_end("ended", 9).await;
    early.sees_progress("running", 3).await;
    let two = Node::start(&world, "two", &[]).await;
    for node in [&one, &two] {
        let mut late = Watcher::on(node).await;
        late.sees_progress("planned", 1).await;
        late.sees_progress("running", 3).await;
        late.sees_nothing().await;
    }
    let mut far = Watcher::on(&two).await;
    far.sees_progress("planned", 1).await;
    far.sees_progress("running", 3).await;
    world.tells(&campaign("running", CampaignStatus::Running, 4)).await;
    world.ends("running", 5).await;
    for watcher in [&mut early, &mut far] {
        watcher.sees_progress("running", 4).await;
        watcher.sees_end("running", 5).await;
        watcher.sees_nothing().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_08_who_was_away_learns_once_what_became_of_a_campaign() {
    let world = World::start().await;
    let (one, two) = (Node::start(&world, "one", &[]).await, Node::start(&world, "two", &[]).await);
    let mut watcher = Watcher::on(&one).await;
    world.tells(&campaign("quiet", CampaignStatus::Paused, 2)).await;
    world.tells(&campaign("busy", CampaignStatus::Running, 3)).await;
    watcher.sees_progress("quiet", 2).await;
    watcher.sees_progress("busy", 3).await;
    // Nothing changed.
    let mut watcher = watcher.moves_to(&two).await;
    watcher.sees_nothing().await;
    let cursor = (watcher.epoch.clone(), watcher.seq);
    drop(watcher);
    world.ends("busy", 7).await;
    // The first node has heard it; the second has nobody of the tenant by now, or has heard it too; the third reads it.
    let three = Node::start(&world, "three", &[]).await;
    for node in [&one, &two, &three] {
        let mut back = Watcher::greeted(node.staff("default", Some((&cursor.0, cursor.1))).await).await;
        assert_eq!(back.sees_end("busy", 7).await["read"], 2, "with what is known by now");
        back.sees_nothing().await;
        let mut again = back.moves_to(&one).await;
        again.sees_nothing().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_seen_the_end_is_not_told_again_for_what_becomes_of_the_messages() {
    let world = World::start().await;
    let one = Node::start(&world, "one", &[]).await;
    let mut watcher = Watcher::on(&one).await;
    world.ends("a", 7).await;
    watcher.sees_end("a", 7).await;
    // A node that begins to listen now knows the last word only.
    let two = Node::start(&world, "two", &[]).await;
    let mut watcher = watcher.moves_to(&two).await;
    watcher.sees_nothing().await;
    let after = campaign("a", CampaignStatus::Completed, 9);
    world.tells(&BulkProgress { after_end: true, end_seq: 1, ..after }).await;
    world.tells(&campaign("b", CampaignStatus::Running, 1)).await;
    watcher.sees_progress("b", 1).await;
    // Started again, it is told again.
    world.tells(&campaign("a", CampaignStatus::Running, 10)).await;
    watcher.sees_progress("a", 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_12_who_chose_other_types_is_told_of_no_campaign() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let mut watcher = Watcher::on(&node).await;
    watcher
        .client
        .say(&json!({ "type": "subscribe", "data": { "types": ["bulk_message_completed"] } }))
        .await;
    assert_eq!(watcher.client.frame().await["type"], "subscribed");
    world.tells(&campaign("a", CampaignStatus::Running, 1)).await;
    world.tells(&campaign("a", CampaignStatus::Completed, 2)).await;
    watcher.sees_end("a", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_20_whoever_connects_while_a_campaign_runs_sees_it_go_forward_to_its_one_end() {
    const VERSIONS: u64 = 150;
    let world = World::start().await;
    let everybody = ("user_connections_max", "0");
    let nodes = [
        Node::start(&world, "one", &[everybody]).await,
        Node::start(&world, "two", &[everybody, ("linger_ms", "1")]).await,
    ];
    let (said, heard) = watch::channel(0);
    let running = async {
        for version in 1..=VERSIONS {
            world.tells(&campaign("a", CampaignStatus::Running, version)).await;
            said.send_replace(version);
        }
        world.ends("a", VERSIONS + 1).await;
    };
    let watching = join_all((0..24_u64).map(|number| {
        let (mut heard, node) = (heard.clone(), &nodes[usize::try_from(number % 2).unwrap()]);
        let (other, from) = (&nodes[usize::try_from((number + 1) % 2).unwrap()], number * 6 + 1);
        async move {
            heard.wait_for(|version| *version >= from).await.unwrap();
            let mut watcher = Watcher::on(node).await;
            let mut versions: Vec<u64> = Vec::new();
            loop {
                let (kind, _, data) = watcher.sees().await;
                if kind == "bulk_message_completed" {
                    versions.push(data["successCount"].as_u64().unwrap());
                    break;
                }
                versions.push(data["progress"]["sent"].as_u64().unwrap());
                // Some change the node on the way.
                if versions.len() == 5 && number % 3 == 0 {
                    watcher = watcher.moves_to(other).await;
                }
            }
            assert!(versions[0] >= from, "{versions:?} begins before {from}");
            assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?} goes back");
            assert_eq!(versions.last(), Some(&(VERSIONS + 1)));
            watcher.sees_nothing().await;
        }
    }));
    tokio::join!(running, watching);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_campaign_that_went_past_a_node_is_told_when_the_broker_is_back() {
    let world = World::start().await;
    let cable = Cable::to(world.nats.port()).await;
    let node = Node::start_behind(&cable, &world, "one").await;
    let mut watcher = Watcher::on(&node).await;
    world.tells(&campaign("a", CampaignStatus::Running, 3)).await;
    watcher.sees_progress("a", 3).await;
    cable.cut();
    world.ends("a", 7).await;
    cable.mend();
    // Nothing comes after it.
    world.bus.barrier().await.unwrap();
    let data = loop {
        let (kind, _, data) = watcher.sees().await;
        if kind == "bulk_message_completed" {
            break data;
        }
    };
    assert_eq!(data["successCount"], 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_thousands_of_campaigns_has_its_newest_hundred_shown_and_soon() {
    let world = World::start().await;
    for batch in 0..12_u64 {
        let told = (0..100).map(|number| {
            let id = format!("c{}", batch * 100 + number);
            let status = if batch == 3 { CampaignStatus::Paused } else { CampaignStatus::Completed };
            let (world, progress) = (&world, campaign(&id, status, batch + 1));
            async move { world.tells(&progress).await }
        });
        join_all(told).await;
    }
    world.tells(&campaign("newest", CampaignStatus::Running, 20)).await;
    let node = Node::start(&world, "one", &[]).await;
    let began = Instant::now();
    let mut watcher = Watcher::on(&node).await;
    for _ in 1..100 {
        assert_eq!(watcher.sees().await.2["status"], "paused");
    }
    watcher.sees_progress("newest", 20).await;
    assert!(began.elapsed().as_secs() < 3, "{:?}", began.elapsed());
    watcher.sees_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_of_brokers_the_leader_s_word_counts() {
    let world = World::start_cluster().await;
    world.tells(&campaign("planned", CampaignStatus::Scheduled, 1)).await;
    for version in 1..=5 {
        world.tells(&campaign("a", CampaignStatus::Running, version)).await;
        let node = Node::start(&world, &format!("node-{version}"), &[]).await;
        let mut watcher = Watcher::on(&node).await;
        watcher.sees_progress("planned", 1).await;
        watcher.sees_progress("a", u32::try_from(version).unwrap()).await;
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_14_who_polls_or_reads_a_stream_is_told_the_same_and_once() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    world.tells(&campaign("a", CampaignStatus::Running, 3)).await;
    let token = jwt(&json!({ "id": "agent-1", "tenant": "default" }));
    let polls = async |cursor: &str, wait: u64| {
        let url = format!("http://{}/api/events?since={cursor}&wait={wait}", node.address);
        let answer: Value =
            Http::new().get(url).bearer_auth(&token).send().await.unwrap().json().await.unwrap();
        let kinds = answer["events"].as_array().unwrap().iter().map(|frame| frame["type"].clone());
        (kinds.collect::<Vec<Value>>(), answer["cursor"].as_str().unwrap().to_owned())
    };
    let (shown, cursor) = polls("", 0).await;
    assert_eq!(shown, ["bulk_message_progress"]);
    let (shown, cursor) = polls(&cursor, 0).await;
    assert!(shown.is_empty(), "{shown:?}");
    world.ends("a", 5).await;
    let (shown, ended) = polls(&cursor, 20).await;
    assert_eq!(shown, ["bulk_message_completed"]);
    assert!(polls(&ended, 0).await.0.is_empty());
    // By server-sent events, from the cursor of the polls and on.
    let mut stream = Stream::open_at(&node, &token, &cursor).await;
    assert_eq!(stream.event().await.name, "connected");
    let end = stream.event().await;
    assert_eq!(end.name, "bulk_message_completed");
    let seq = world.contact_writes("5491100000001", "hola").await;
    let message = stream.event().await;
    let epoch = end.frame["epoch"].as_str().unwrap();
    assert_eq!(message.id, Some(format!("{epoch}.{seq}")), "the cursor keeps what was told of campaigns");
    let mut again = Stream::open_at(&node, &token, &message.id.unwrap()).await;
    assert_eq!(again.event().await.name, "connected");
    let seq = world.contact_writes("5491100000001", "otra").await;
    assert_eq!(
        again.event().await.id,
        Some(format!("{epoch}.{seq}")),
        "nothing of the campaign came before it"
    );
}
