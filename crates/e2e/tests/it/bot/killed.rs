//! Replicas of the bot are killed while a thousand contacts walk the flow.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::jetstream::{self, consumer::pull};
use chasqui_proto::{MessageId, Tenant, stream, subject, v1};
use futures::{StreamExt, future::join_all};
use prost::Message;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::WALK;
use crate::world::{Cluster, Meta};

const CONVERSATIONS: usize = 1_000;
/// How often a replica is killed.
const KILL_EVERY: Duration = Duration::from_secs(5);
/// How long a contact waits for an answer: a killed replica's messages are another one's after some seconds, and all of
/// them share two cores.
const PATIENCE: Duration = Duration::from_mins(3);

/// Which messages of contacts were answered, by their ids.
#[derive(Default)]
struct Answered {
    times: Mutex<HashMap<String, usize>>,
    more: Notify,
}

impl Answered {
    /// Hears what the bot says, for as long as it is waited for.
    async fn hear(self: Arc<Self>, nats: async_nats::Client, tenant: Tenant) {
        let mut heard = nats.subscribe(subject::live_tenant(&tenant).as_str().to_owned()).await.unwrap();
        while let Some(fact) = heard.next().await {
            let is_out = subject::parse(&fact.subject)
                .is_some_and(|parts| (parts.noun, parts.fact) == ("messages", "out"));
            if is_out {
                *self.times.lock().unwrap().entry(answers(&fact.payload)).or_default() += 1;
                self.more.notify_waiters();
            }
        }
    }

    async fn is_answered(&self, message: &str) {
        let answered = async {
            loop {
                let more = self.more.notified();
                if self.times.lock().unwrap().contains_key(message) {
                    return;
                }
                more.await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, answered).await.is_ok(), "{message} is not answered");
    }
}

/// The message that a message answers.
fn answers(payload: &[u8]) -> String {
    v1::Message::decode(payload).unwrap().answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_conversations_end_in_one_appointment_each_while_replicas_die() {
    let cluster = Cluster::answering("bot-killed").await;
    let tenant: Tenant = "default".parse().unwrap();
    let nats = async_nats::connect(cluster.nats.url()).await.unwrap();
    let (meta, answered, over) =
        (Meta::new(&cluster), Arc::new(Answered::default()), CancellationToken::new());
    let hearing = tokio::spawn(answered.clone().hear(nats.clone(), tenant.clone()));

    let walks = async {
        let walked =
            join_all((0..CONVERSATIONS).map(|contact| walk(contact, &meta, &answered, &tenant))).await;
        over.cancel();
        walked
    };
    let (walked, killed) = tokio::join!(walks, kill_in_turn(&cluster, &over));
    assert!(killed > 0, "none was killed before it was over");
    hearing.abort();

    // Each message of a contact has its answers once: as many as the same step has in every other conversation.
    let mut steps: BTreeMap<usize, usize> = BTreeMap::new();
    let replies = replies(nats).await;
    for messages in &walked {
        for (step, message) in messages.iter().enumerate() {
            let times = replies.get(message).map_or(0, Vec::len);
            assert_eq!(times, *steps.entry(step).or_insert(times), "step {step} of {message}");
        }
    }
    assert!(steps.values().all(|times| *times > 0), "{steps:?}");
    let mut ids: Vec<&String> = replies.values().flatten().collect();
    let total = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), total, "an answer is stored twice");

    let made = cluster.appointments(0).await;
    let mut conversations: Vec<u64> =
        made.iter().map(|one| one["conversation_id"].as_u64().unwrap()).collect();
    conversations.sort_unstable();
    conversations.dedup();
    assert_eq!((made.len(), conversations.len()), (CONVERSATIONS, CONVERSATIONS));
}

/// A contact walks the flow, each step when the one before was answered; the ids of what it wrote.
async fn walk(contact: usize, meta: &Meta, answered: &Answered, tenant: &Tenant) -> Vec<String> {
    let phone = format!("5491100{contact:06}");
    let mut written = Vec::new();
    for says in ["cita"].iter().chain(&WALK) {
        let message = MessageId::of_provider(tenant, &meta.text(&phone, says).await).to_string();
        answered.is_answered(&message).await;
        written.push(message);
    }
    written
}

/// Kills a replica every five seconds, once the one before is back; how many were killed.
async fn kill_in_turn(cluster: &Cluster, over: &CancellationToken) -> usize {
    let mut pace = interval(KILL_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace.tick().await;
    let mut killed = 0;
    while over.run_until_cancelled(pace.tick()).await.is_some() {
        let bot = &cluster.bots[killed % cluster.bots.len()];
        bot.kill().await;
        bot.start().await;
        // On a busy machine that takes longer than until the next kill, and nobody would be left to answer.
        bot.is_ready(true).await;
        killed += 1;
    }
    killed
}

/// The ids of all answers there are in the stream, by the message they answer.
async fn replies(nats: async_nats::Client) -> HashMap<String, Vec<String>> {
    let messages = jetstream::new(nats).get_stream(stream::MESSAGES.name).await.unwrap();
    let filter = subject::messages_out_of_all().as_str().to_owned();
    let config = pull::OrderedConfig { filter_subject: filter, ..Default::default() };
    let consumer = messages.create_consumer(config).await.unwrap();
    let left = consumer.cached_info().num_pending;
    let mut stored = consumer.messages().await.unwrap().take(usize::try_from(left).unwrap());
    let mut replies: HashMap<String, Vec<String>> = HashMap::new();
    while let Some(message) = stored.next().await {
        let payload = message.unwrap().payload.clone();
        let id = v1::Message::decode(payload.clone()).unwrap().id;
        replies.entry(answers(&payload)).or_default().push(id);
    }
    replies
}
