//! The senders of a trial: open loop or closed loop.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use hyper::StatusCode;
use tokio::task::JoinSet;

use crate::{
    address::Address,
    audience::Heard,
    clock::Clock,
    http::Http,
    ledger::{Outcome, Sent},
    letter::Letter,
    plan::{Plan, origin_us},
};

/// How long a lane rests after a failure, so that a closed loop does not spin on a closed port.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);

/// How many messages a lane of a closed loop may be ahead of the sockets: the loop is closed by delivery, not by the
/// answer, else the queue in between would only grow.
pub(crate) const AHEAD_PER_LANE: u32 = 8;
/// How long a closed loop waits for the sockets before it counts what is missing as lost and ends.
const DELIVERY_WAIT: Duration = Duration::from_secs(5);

/// Something that sends one message at a time and waits for its answer.
pub(crate) trait Lane: Send + 'static {
    /// Sends a message.
    fn send(&mut self, message: u32) -> impl Future<Output = Outcome> + Send;
}

/// A lane that posts letters over a connection of its own.
#[derive(Debug)]
pub(crate) struct Poster {
    http: Http,
    letter: Letter,
    /// Further statuses that mean "durable" besides 200.
    also_durable: Option<StatusCode>,
}

impl Poster {
    /// `count` posters, each with an open connection of its own.
    pub(crate) async fn several(
        count: u32,
        to: &Address,
        letter: &Letter,
        also_durable: Option<StatusCode>,
    ) -> anyhow::Result<Vec<Self>> {
        let mut posters = Vec::new();
        for _ in 0..count {
            let mut http = Http::new(to);
            http.make_ready().await?;
            posters.push(Self { http, letter: letter.clone(), also_durable });
        }
        Ok(posters)
    }
}

impl Lane for Poster {
    async fn send(&mut self, message: u32) -> Outcome {
        match self.http.ask(self.letter.write(message)).await {
            Ok((status, _)) if status == StatusCode::OK || Some(status) == self.also_durable => {
                Outcome::Acknowledged
            }
            Ok((status, _)) => Outcome::Refused(status.as_u16()),
            Err(_) => Outcome::Failed,
        }
    }
}

/// Sends the plan's messages, beginning now, and returns what each lane sent, in order.
pub(crate) async fn send_all<L: Lane>(
    plan: &Plan,
    lanes: Vec<L>,
    clock: Clock,
    heard: Arc<Heard>,
) -> anyhow::Result<Vec<Vec<Sent>>> {
    let began_us = clock.now_us();
    let mut running = JoinSet::new();
    for (number, lane) in (0..).zip(lanes) {
        let (plan, heard) = (plan.clone(), heard.clone());
        let begin = Begin { clock, began_us };
        running.spawn(async move { (number, send_lane(&plan, number, lane, begin, &heard).await) });
    }
    let mut sent = running.join_all().await;
    sent.sort_unstable_by_key(|(number, _): &(u32, _)| *number);
    let sent: Vec<Vec<Sent>> = sent.into_iter().map(|(_, sent)| sent).collect();
    let any = sent.iter().flatten().any(|sent| sent.outcome == Outcome::Acknowledged);
    let answer = sent.iter().flatten().map(|sent| sent.outcome).next();
    any.then_some(sent).with_context(|| format!("no message was accepted; the first answer: {answer:?}"))
}

/// When all lanes began.
#[derive(Clone, Copy, Debug)]
struct Begin {
    clock: Clock,
    began_us: u64,
}

async fn send_lane(
    plan: &Plan,
    number: u32,
    mut lane: impl Lane,
    Begin { clock, began_us }: Begin,
    heard: &Heard,
) -> Vec<Sent> {
    let until_us = began_us + u64::from(plan.seconds) * 1_000_000;
    let mut sent = Vec::new();
    for message in plan.messages_of(number) {
        let due_us = plan.due_us(message).map(|due_us| began_us + due_us);
        if let Some(due_us) = due_us {
            tokio::time::sleep_until(clock.moment(due_us)).await;
        }
        if due_us.is_none() && !heard.room_for_one(DELIVERY_WAIT).await {
            break;
        }
        let sent_us = clock.now_us();
        if due_us.is_none() && sent_us >= until_us {
            break;
        }
        let outcome = lane.send(message).await;
        sent.push(Sent {
            origin_us: origin_us(due_us, sent_us),
            late_us: due_us.map_or(0, |due_us| sent_us.saturating_sub(due_us)),
            answered_us: clock.now_us(),
            outcome,
        });
        if outcome == Outcome::Failed {
            tokio::time::sleep(FAILURE_PAUSE).await;
        }
    }
    sent
}
