//! Who is sent next, and what every attempt means for the others.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use chasqui_kit::{clock, consume::Delivery};
use chasqui_proto::v1::Priority;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};

use super::{
    Ties,
    attempt::{self, Chance, End, Report},
    deferral::Deferral,
    hand::Hand,
    limits_pairs, meter,
    parcel::Parcel,
};
use crate::{
    line::{Halt, Pair},
    outbox::Effect,
    pace::{
        circuit::Circuit,
        number::NumberPace,
        pair::{Pairs, Trip},
    },
    priority::{PRIORITIES, rank},
    queue::{Queue, Waiting},
};

/// How often uncertain messages are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a number that the provider refuses waits before one message is tried, if nobody opens it before.
const HALT_PAUSE: Duration = Duration::from_mins(5);
/// What attempts in hand have beyond the provider's time to answer, to write down what became of them.
const FINISH_MAX: Duration = Duration::from_secs(15);

/// The queue and the pace of one session.
pub(crate) struct Desk {
    hand: Arc<Hand>,
    ties: Ties,
    queue: Queue<Box<Parcel>>,
    number: NumberPace,
    pairs: Pairs,
    circuit: Circuit,
    deferral: Deferral,
    /// How many of each priority wait in the stream, as the broker last told.
    behind: [u64; 3],
    /// Everything unacknowledged here, by its position in the queue's stream; the broker's newer delivery of it, if one
    /// came meanwhile.
    held: HashMap<u64, Option<Delivery>>,
    uncertain: HashMap<u64, (Priority, Box<Parcel>)>,
    tasks: JoinSet<Option<Report>>,
    /// Attempts among the tasks.
    in_flight: usize,
}

impl Desk {
    pub(crate) fn new(hand: Arc<Hand>, ties: Ties) -> Self {
        let number = NumberPace::new(hand.line.messages_per_second_max);
        let pairs = Pairs::new(limits_pairs(hand.line.kind()));
        let deferral = Deferral::new(hand.settings.later_after);
        Self {
            hand,
            ties,
            queue: Queue::new(),
            number,
            pairs,
            circuit: Circuit::default(),
            deferral,
            behind: [0; 3],
            held: HashMap::new(),
            uncertain: HashMap::new(),
            tasks: JoinSet::new(),
            in_flight: 0,
        }
    }

    /// A message of an earlier owner went at this time.
    pub(crate) fn remember(&mut self, pair: &Pair, at: Instant) {
        self.number.take(at);
        self.number.idle();
        self.hand.gate.take(at);
        self.pairs.take(pair, Trip { written: at, answered: at });
    }

    /// Campaigns wait as the owner before has left it.
    pub(crate) fn hold_campaigns(&mut self, now: Instant) {
        if let Some(until) = self.ties.campaigns_held_until {
            self.queue.hold(Priority::Campaign, until, now);
        }
    }

    /// Sends until stopped, then waits for what is in hand.
    pub(crate) async fn run(&mut self, mut arrivals: mpsc::Receiver<(Priority, Delivery)>) {
        let stop = self.hand.line.stop.clone();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = true;
        loop {
            self.dispatch(Instant::now());
            let wake_at = self.wake_at(Instant::now());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.tasks.join_next() => self.ended(ended),
                Some((priority, delivery)) = arrivals.recv() => self.admit(priority, delivery),
                changed = self.ties.open.changed(), if told => match changed {
                    Ok(()) => self.reopened(),
                    Err(_) => told = false,
                },
                Some(halt) = self.ties.told.recv() => self.halt(halt, Instant::now()),
                () = until(wake_at), if wake_at.is_some() => {}
                _ = looks.tick() => self.look(),
            }
        }
        drop(arrivals);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.hand.settings.send_wait + FINISH_MAX, all).await.is_err() {
            tracing::warn!(session = %self.hand.line.session, "attempts did not end in time");
        }
        self.tasks.shutdown().await;
        // What is left is the next owner's.
        (self.queue, self.uncertain, self.behind) = (Queue::new(), HashMap::new(), [0; 3]);
        self.show();
    }

    /// Starts every attempt that may start now.
    fn dispatch(&mut self, now: Instant) {
        while self.may_send(now) {
            let Some((pair, waiting)) = self.queue.next(now, &self.pairs) else { break };
            self.number.take(now);
            let chance = Chance {
                priority: waiting.priority,
                probing: self.circuit.is_open(),
                pair_pause: self.pairs.pause_of(&pair),
            };
            let attempt = attempt::attempt(Arc::clone(&self.hand), waiting.item, chance);
            self.in_flight += 1;
            self.tasks.spawn(async { Some(attempt.await) });
        }
        if !self.queue.is_ready() {
            self.number.idle();
        }
    }

    fn may_send(&self, now: Instant) -> bool {
        *self.ties.open.borrow()
            && self.in_flight < self.hand.settings.in_flight_max
            && self.circuit.admits(now, self.in_flight)
            && self.number.earliest(now) <= now
    }

    /// When something may start that may not now, and nothing else would tell.
    fn wake_at(&self, now: Instant) -> Option<Instant> {
        if !*self.ties.open.borrow() || self.in_flight >= self.hand.settings.in_flight_max {
            return None;
        }
        let free = self.number.earliest(now).max(self.circuit.probe_at().unwrap_or(now));
        if self.circuit.is_open() && self.in_flight > 0 {
            return None;
        }
        let first = if self.queue.is_ready() { Some(now) } else { self.queue.wake_at() };
        first.map(|first| first.max(free))
    }

    fn admit(&mut self, priority: Priority, delivery: Delivery) {
        self.behind[rank(priority)] = delivery.pending;
        if let Some(newer) = self.held.get_mut(&delivery.seq) {
            *newer = Some(delivery);
            return;
        }
        match Parcel::read(delivery) {
            Ok(parcel) => {
                self.held.insert(parcel.delivery.seq, None);
                self.take_in(priority, parcel, Instant::now());
            }
            Err(unread) => {
                let (delivery, error) = *unread;
                let hand = Arc::clone(&self.hand);
                self.tasks.spawn(async move {
                    if hand.copy_to_dead_letters(&delivery, "undecodable", &error).await {
                        delivery.done().await;
                    }
                    None
                });
            }
        }
    }

    fn take_in(&mut self, priority: Priority, parcel: Box<Parcel>, now: Instant) {
        let ahead = if limits_pairs(self.hand.line.kind()) { self.queue.length_of(&parcel.pair) } else { 0 };
        let Some(at) = self.deferral.of(&parcel.pair, ahead, parcel.is_back, now) else {
            return self.wait(priority, parcel, now);
        };
        let at_ms = clock::now_ms() + i64::try_from((at - now).as_millis()).unwrap_or(i64::MAX);
        let deferred = attempt::defer(Arc::clone(&self.hand), parcel, priority, at_ms);
        self.tasks.spawn(async { Some(deferred.await) });
    }

    fn wait(&mut self, priority: Priority, parcel: Box<Parcel>, not_before: Instant) {
        let (pair, order) = (parcel.pair.clone(), parcel.order());
        let waiting = Waiting { order, priority, not_before, item: parcel };
        self.queue.push(&pair, waiting, Instant::now(), &self.pairs);
    }

    fn ended(&mut self, ended: Result<Option<Report>, JoinError>) {
        let report = match ended {
            Ok(Some(report)) => report,
            Ok(None) => return,
            Err(error) => {
                // What it held stays unacknowledged, and its lane closed: the next owner begins with both anew.
                tracing::error!(%error, session = %self.hand.line.session, "an attempt to send failed; the session is given back");
                return self.hand.line.stop.cancel();
            }
        };
        let now = Instant::now();
        let pair = report.parcel.pair.clone();
        if let Some(trip) = report.trip {
            self.pairs.take(&pair, trip);
        }
        if let Some(effect) = report.effect {
            self.apply(effect, &pair, now);
        }
        match report.end {
            End::Again(at) => self.wait(report.priority, report.parcel, at),
            End::Uncertain => {
                self.uncertain.insert(report.parcel.delivery.seq, (report.priority, report.parcel));
            }
            End::Done => {
                if let Some(Some(newer)) = self.held.remove(&report.parcel.delivery.seq) {
                    self.tasks.spawn(async move {
                        newer.done().await;
                        None
                    });
                }
            }
        }
        if report.was_attempt {
            self.in_flight -= 1;
            self.queue.release(&pair, now, &self.pairs);
        }
    }

    fn apply(&mut self, effect: Effect, pair: &Pair, now: Instant) {
        match effect {
            Effect::Silent | Effect::Unwritten => self.circuit.silent(now),
            _ => self.circuit.answered(),
        }
        match effect {
            Effect::Answered | Effect::Silent | Effect::Unwritten => {}
            Effect::Accepted => {
                self.number.accepted();
                self.pairs.accepted(pair);
            }
            Effect::NumberThrottled(pause) => {
                meter::throttled("number");
                self.number.throttle(now, pause);
            }
            Effect::PairRefused => {
                meter::throttled("pair");
                self.pairs.refused(pair, now);
            }
            Effect::NumberHalted(reason) => self.halt(Halt::Number { reason }, now),
            Effect::CampaignsHalted(reason) => self.halt(Halt::Campaigns { reason }, now),
        }
    }

    /// The provider refuses the number, or its campaigns.
    fn halt(&mut self, halt: Halt, now: Instant) {
        let is_news = match halt {
            Halt::Number { .. } => {
                self.number.pause(now + HALT_PAUSE);
                true
            }
            Halt::Campaigns { .. } => {
                self.queue.hold(Priority::Campaign, now + self.hand.settings.campaign_pause, now)
            }
        };
        if is_news {
            // A full channel holds as much already.
            let _ = self.ties.halts.try_send(halt);
        }
    }

    /// The session was opened, or closed. Campaigns that were refused wait all the same.
    fn reopened(&mut self) {
        if *self.ties.open.borrow_and_update() {
            self.number.resume();
        }
    }

    fn look(&mut self) {
        for (_, (priority, parcel)) in self.uncertain.drain() {
            let look = attempt::look(Arc::clone(&self.hand), parcel, priority);
            self.tasks.spawn(async { Some(look.await) });
        }
        self.show();
    }

    fn show(&self) {
        let session = self.hand.line.session.as_str();
        for priority in PRIORITIES {
            let behind = usize::try_from(self.behind[rank(priority)]).unwrap_or(usize::MAX);
            meter::waiting(session, priority, self.queue.length(priority).saturating_add(behind));
        }
        meter::uncertain(session, self.uncertain.len());
    }
}

async fn until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at.into()).await;
    }
}
