//! A conversation's lane in this process: its messages, one turn after the other, and what waits in it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chasqui_kit::clock;
use chasqui_proto::v1::Waiting;
use tokio::{
    sync::mpsc,
    time::{sleep, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    arrival::{Arrival, Written},
    decision::Thought,
    hands::InHand,
    inquiry::Inquiry,
    meter,
    obstacle::Obstacle,
    office::Office,
    past::Stored,
    place::Place,
    turn::{self, Outlook, Task},
    waiting,
};

/// How long a lane without work stays.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// How often a turn is made again because somebody else went on meanwhile.
const TURNS_MAX: u32 = 16;
/// The pause before what could not be done is tried again.
const AGAIN_PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether another replica has answered what waits.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest pause before people are looked for again.
const HANDOVER_PAUSE_MAX: Duration = Duration::from_secs(30);

/// A message of the contact in hand.
struct Held {
    in_hand: InHand,
    stored: Stored,
    is_first: bool,
}

/// One conversation.
pub(crate) struct Lane {
    office: Arc<Office>,
    place: Place,
    inbox: mpsc::Receiver<(Arrival, InHand)>,
    /// What is not answered yet. None of it is acknowledged: should this process die, it comes to another one.
    held: Vec<Held>,
    /// When what is held is looked at again.
    due: Option<Instant>,
    /// Everything up to here is handled, and its replies are published.
    handled: u64,
    waiting: Option<Waiting>,
    thinking: Option<AbortOnDropHandle<Thought>>,
    /// What the language model said and is not written yet.
    thought: Option<Thought>,
    /// How often in a row people could not be given the conversation.
    handovers_failed: u32,
}

impl Lane {
    pub(crate) fn new(office: Arc<Office>, place: Place, inbox: mpsc::Receiver<(Arrival, InHand)>) -> Self {
        Self {
            office,
            place,
            inbox,
            held: Vec::new(),
            due: None,
            handled: 0,
            waiting: None,
            thinking: None,
            thought: None,
            handovers_failed: 0,
        }
    }

    /// Answers until there is nothing to do for a while, or it is to stop. What is in hand then is given back.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Place {
        loop {
            let is_idle = self.held.is_empty() && self.thinking.is_none() && self.thought.is_none();
            let due = self.due.unwrap_or_else(Instant::now);
            tokio::select! {
                () = stop.cancelled() => break,
                arrival = self.inbox.recv() => match arrival {
                    Some(arrival) => self.arrive(arrival).await,
                    None => break,
                },
                thought = thought(self.thinking.as_mut()), if self.thinking.is_some() => {
                    (self.thinking, self.thought) = (None, thought);
                    self.attend().await;
                }
                () = sleep_until(due.into()), if self.due.is_some() => self.attend().await,
                // Nothing is sent to a closed inbox: what is in it already is handled first.
                () = sleep(IDLE_MAX), if is_idle => self.inbox.close(),
            }
        }
        self.give_back().await;
        self.place
    }

    async fn arrive(&mut self, (arrival, in_hand): (Arrival, InHand)) {
        match arrival.written {
            Written::Agent { at_ms } => self.hush(at_ms, in_hand).await,
            Written::Contact(stored) if stored.seq <= self.handled && !self.waits(stored.seq) => {
                in_hand.done().await;
            }
            Written::Contact(stored) => {
                self.held.push(Held { in_hand, stored, is_first: arrival.is_first });
                self.attend().await;
            }
        }
    }

    fn waits(&self, seq: u64) -> bool {
        !self.held.is_empty() || waiting::contains(self.waiting.as_ref(), seq)
    }

    async fn hush(&mut self, at_ms: i64, in_hand: InHand) {
        for _ in 0..TURNS_MAX {
            match turn::hush(&self.office, &self.place, at_ms).await {
                Ok(()) => return in_hand.done().await,
                Err(Obstacle::Overtaken) => meter::conflict(),
                Err(Obstacle::Away(error)) => {
                    tracing::warn!(error, conversation = %self.place, "the bot cannot be silenced yet");
                    break;
                }
            }
        }
        in_hand.again(AGAIN_PAUSE).await;
    }

    /// Makes a turn, again where somebody else went on meanwhile.
    async fn attend(&mut self) {
        let mut result = Err(Obstacle::Overtaken);
        for number in 0..TURNS_MAX {
            let newest = self.held.iter().max_by_key(|held| held.stored.seq);
            let task = Task {
                goal: newest.map(|held| &held.stored),
                is_alone: self.waiting.is_none()
                    && matches!(self.held.as_slice(), [held] if held.is_first && held.stored.seq > self.handled),
                handled: self.handled,
                thought: self.thought.as_ref(),
                is_thinking: self.thinking.is_some(),
                is_retry: number > 0,
            };
            // Boxed: the future is large, and lanes are many.
            result = Box::pin(turn::take(&self.office, &self.place, task)).await;
            if !matches!(result, Err(Obstacle::Overtaken)) {
                break;
            }
            meter::conflict();
        }
        match result {
            Ok(outlook) => self.settle(outlook).await,
            Err(error) => self.postpone(&error).await,
        }
    }

    async fn settle(&mut self, outlook: Outlook) {
        let Outlook { handled, is_others, waiting, is_ownerless, inquiry } = outlook;
        // Something before it may be for the flow, and in the hands of another replica still.
        if !is_others {
            self.handled = self.handled.max(handled);
        }
        self.waiting = waiting;
        if !is_ownerless {
            self.thought = None;
        }
        for mut held in std::mem::take(&mut self.held) {
            if is_ownerless || waiting::contains(self.waiting.as_ref(), held.stored.seq) {
                held.in_hand.wait();
                self.held.push(held);
            } else if held.stored.seq <= handled {
                held.in_hand.done().await;
            } else {
                held.in_hand.again(Duration::ZERO).await;
            }
        }
        self.handovers_failed = if is_ownerless { self.handovers_failed + 1 } else { 0 };
        if let Some(inquiry) = inquiry {
            self.thinking = Some(self.think(inquiry));
        }
        self.due = if self.held.is_empty() { None } else { self.next_look(is_ownerless) };
    }

    fn think(&self, inquiry: Inquiry) -> AbortOnDropHandle<Thought> {
        let (office, place) = (self.office.clone(), self.place.clone());
        AbortOnDropHandle::new(tokio::spawn(async move { inquiry.ask(&office, &place).await }))
    }

    /// When what is held is to be looked at again; none while the language model is at work here.
    fn next_look(&self, is_ownerless: bool) -> Option<Instant> {
        let now = Instant::now();
        if is_ownerless {
            let doubled = AGAIN_PAUSE.saturating_mul(1 << self.handovers_failed.saturating_sub(1).min(8));
            return Some(now + doubled.min(HANDOVER_PAUSE_MAX));
        }
        let waiting = self.waiting.as_ref()?;
        let now_ms = clock::now_ms();
        let until = |at_ms: i64| Duration::from_millis(u64::try_from(at_ms - now_ms).unwrap_or(0));
        if waiting::is_held(waiting, now_ms) {
            if self.thinking.is_some() {
                return None;
            }
            return Some(now + until(waiting.held_until_ms).min(LOOK_EVERY));
        }
        Some(now + until(waiting.due_at_ms))
    }

    /// Nothing can be done now. What the language model said is kept, as it was paid for; otherwise any replica may try.
    async fn postpone(&mut self, error: &Obstacle) {
        tracing::warn!(%error, conversation = %self.place, "a conversation waits for the broker");
        if self.thought.is_some() || self.thinking.is_some() {
            self.due = Some(Instant::now() + AGAIN_PAUSE);
            return;
        }
        self.due = None;
        for held in self.held.drain(..) {
            held.in_hand.again(AGAIN_PAUSE).await;
        }
    }

    async fn give_back(&mut self) {
        self.inbox.close();
        while let Ok((_, in_hand)) = self.inbox.try_recv() {
            in_hand.again(Duration::ZERO).await;
        }
        if self.thinking.take().is_some()
            && let Err(error) = turn::release(&self.office, &self.place).await
        {
            tracing::debug!(%error, conversation = %self.place, "the next replica waits for an answer given up");
        }
        for held in self.held.drain(..) {
            held.in_hand.again(Duration::ZERO).await;
        }
    }
}

/// What the language model says. Waiting for it may be broken off.
async fn thought(thinking: Option<&mut AbortOnDropHandle<Thought>>) -> Option<Thought> {
    match thinking {
        Some(thinking) => match thinking.await {
            Ok(thought) => Some(thought),
            Err(error) => {
                tracing::error!(%error, "the language model's task failed; it is asked again");
                None
            }
        },
        None => std::future::pending().await,
    }
}
