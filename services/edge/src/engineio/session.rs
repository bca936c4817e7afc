//! One session: the loop that reads, writes, pings and works off what the client says. One task, no channels.

use std::collections::VecDeque;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::select;
use tokio::time::{Instant, Sleep, sleep_until};

use super::conversation::{Call, Conversation, EndReason, Incoming, Received};
use super::heartbeat::Heartbeat;
use super::packet::{self, Packet};
use super::refusal::Refusal;
use super::registry::Registration;
use super::transport::{Inbound, Transport};
use crate::close::CloseCode;
use crate::outbox::{Frame, Outbox};

/// With so many messages waiting to be worked off, a WebSocket is not read further: TCP slows the client down.
const PARKED_MAX: usize = 4;

/// With so many replies waiting to be written, no further message is worked off.
const REPLIES_MAX: usize = 16;

/// Time a closed outbox waits for a polling client to fetch its last frames.
const CLOSE_LINGER: Duration = Duration::from_secs(5);

/// A session and everything it owns.
pub(super) struct Session<C: Conversation> {
    pub(super) transport: Transport,
    pub(super) heartbeat: Heartbeat,
    pub(super) conversation: C,
    pub(super) outbox: Arc<Outbox>,
    pub(super) registration: Registration,
    pub(super) write_timeout: Duration,
    /// Packets that go out before anything from the outbox: the handshake, answers of the conversation.
    pub(super) replies: Vec<Frame>,
    /// Messages not worked off yet.
    pub(super) parked: VecDeque<Incoming>,
    pub(super) call: Option<Call<C::Outcome>>,
    /// Set while a closed outbox waits for a chance to be written.
    pub(super) closing: Option<(CloseCode, Instant)>,
}

enum Happened<T> {
    CameIn(Inbound),
    /// `None`: it panicked.
    CallEnded(Option<T>),
    OutboxReady,
    OutboxClosed(CloseCode),
    TimePassed,
}

impl<C: Conversation> Session<C> {
    /// Runs the session to its end; returning means that the conversation has ended too.
    pub(super) async fn run(mut self) {
        let reason = self.converse().await;
        self.outbox.close(reason.outbox_code());
        drop(self.registration);
        self.transport.close(reason).await;
        if self.call.is_some()
            && let Some(outcome) = ended(&mut self.call).await
        {
            self.conversation.complete(outcome, &mut self.replies);
        }
        self.conversation.end(reason).await;
        self.transport.linger().await;
    }

    async fn converse(&mut self) -> EndReason {
        let mut timer = pin!(sleep_until(self.deadline()));
        loop {
            if let Err(reason) = self.step(timer.as_mut()).await {
                return reason;
            }
        }
    }

    /// Does what can be done at once, then waits for one thing to happen.
    async fn step(&mut self, mut timer: Pin<&mut Sleep>) -> Result<(), EndReason> {
        self.work_off()?;
        self.write().await?;
        let deadline = self.deadline();
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        let reads = self.reads();
        let takes = self.takes_from_outbox();
        let waits_for_close = !takes && self.closing.is_none();
        let happened = select! {
            biased;
            inbound = self.transport.next(), if reads => Happened::CameIn(inbound),
            outcome = ended(&mut self.call) => Happened::CallEnded(outcome),
            () = self.outbox.ready(), if takes => Happened::OutboxReady,
            code = self.outbox.closed(), if waits_for_close => Happened::OutboxClosed(code),
            () = timer => Happened::TimePassed,
        };
        self.react(happened, Instant::now())
    }

    fn react(&mut self, happened: Happened<C::Outcome>, now: Instant) -> Result<(), EndReason> {
        match happened {
            Happened::CameIn(inbound) => self.take_in(inbound, now)?,
            Happened::CallEnded(outcome) => {
                self.call = None;
                let outcome = outcome.ok_or(EndReason::Closed(CloseCode::INTERNAL))?;
                self.conversation.complete(outcome, &mut self.replies);
            }
            Happened::OutboxReady => {}
            Happened::OutboxClosed(code) => self.closing = Some((code, now + CLOSE_LINGER)),
            Happened::TimePassed => self.look_at_the_clock(now)?,
        }
        Ok(())
    }

    fn take_in(&mut self, inbound: Inbound, now: Instant) -> Result<(), EndReason> {
        if !matches!(inbound, Inbound::Ended(_)) {
            self.heartbeat.heard(now);
        }
        match inbound {
            Inbound::Packet(packet) => self.take_packet(packet, now)?,
            Inbound::Payload(packets, answer) => {
                let busy = !self.parked.is_empty();
                let taken = packets.into_iter().try_for_each(|packet| self.take_packet(packet, now));
                match (&mut self.transport, taken) {
                    (Transport::Polling(polling), Ok(())) if busy => polling.hold_post(answer),
                    (_, Err(EndReason::ParseError)) => drop(answer.send(Err(Refusal::BadRequest))),
                    _ => drop(answer.send(Ok(()))),
                }
                taken?;
            }
            Inbound::Upgraded(link) => {
                self.registration.upgraded();
                self.transport.worked_off();
                self.transport = Transport::WebSocket(*link);
            }
            Inbound::Nothing => {}
            Inbound::Ended(reason) => return Err(reason),
        }
        Ok(())
    }

    fn take_packet(&mut self, packet: Packet, now: Instant) -> Result<(), EndReason> {
        match packet {
            Packet::Message(text) => self.parked.push_back(Incoming::Text(text)),
            Packet::Binary(bytes) => self.parked.push_back(Incoming::Binary(bytes)),
            Packet::Pong => {
                if let Some(position) = self.heartbeat.ponged(now) {
                    self.conversation.confirmed(position);
                }
            }
            Packet::Close => return Err(EndReason::TransportClosed),
            Packet::Ping => return Err(EndReason::ParseError),
            Packet::Upgrade | Packet::Noop => {}
        }
        Ok(())
    }

    /// Hands parked messages to the conversation until one takes time.
    fn work_off(&mut self) -> Result<(), EndReason> {
        while self.call.is_none() && self.replies.len() < REPLIES_MAX {
            let Some(message) = self.parked.pop_front() else {
                self.parked = VecDeque::new();
                self.transport.worked_off();
                break;
            };
            match self.conversation.receive(message, &mut self.replies) {
                Received::Done => {}
                Received::Call(call) => self.call = Some(call),
                Received::Violation => return Err(EndReason::ParseError),
            }
        }
        Ok(())
    }

    /// Writes what there is: replies, what the outbox holds, a ping that is due, the farewell of a closed outbox.
    async fn write(&mut self) -> Result<(), EndReason> {
        if !self.transport.is_writable() {
            return Ok(());
        }
        let mut frames = std::mem::take(&mut self.replies);
        let mut batch = None;
        let mut closed = None;
        if self.takes_from_outbox() && self.transport.fits(&frames) {
            batch = self.outbox.take_batch(&mut frames);
            // The farewell is only said with the last frames.
            closed = self.outbox.drained().filter(|_| self.transport.fits(&frames));
        }
        if let Some(batch) = batch {
            self.heartbeat.wrote(batch.position, batch.durable, Instant::now());
        }
        if let Some(code) = closed {
            let before_farewell = frames.len();
            self.conversation.farewell(code, &mut frames);
            // A polling client works packets off later than it sees a close beside them, so a farewell goes alone; it
            // makes the client leave.
            if matches!(self.transport, Transport::Polling(_)) && frames.len() == before_farewell {
                frames.push(packet::CLOSE.into());
            }
        } else if self.heartbeat.is_due() {
            frames.push(packet::PING.into());
            self.heartbeat.pinged();
        }
        if !frames.is_empty() {
            self.transport.write(&mut frames, self.write_timeout).await?;
            if !frames.is_empty() {
                // What did not fit goes out first next time.
                self.replies = frames;
            }
        }
        closed.map_or(Ok(()), |code| Err(EndReason::Closed(code)))
    }

    fn look_at_the_clock(&mut self, now: Instant) -> Result<(), EndReason> {
        if let Some((code, _)) = self.closing.filter(|(_, until)| now >= *until) {
            return Err(EndReason::Closed(code));
        }
        if self.conversation.deadline().is_some_and(|until| now >= until) {
            return Err(EndReason::HandshakeTimeout);
        }
        if !self.reads() || self.transport.holds_post() {
            // It is us who keep the client from answering.
            self.heartbeat.heard(now);
        }
        if self.heartbeat.tick(now) { Ok(()) } else { Err(EndReason::PingTimeout) }
    }

    fn deadline(&self) -> Instant {
        let mut deadline = self.heartbeat.deadline();
        for other in [self.conversation.deadline(), self.closing.map(|(_, until)| until)] {
            deadline = other.map_or(deadline, |other| deadline.min(other));
        }
        deadline
    }

    fn reads(&self) -> bool {
        self.parked.len() < PARKED_MAX || matches!(self.transport, Transport::Polling(_))
    }

    fn takes_from_outbox(&self) -> bool {
        self.transport.is_writable() && !self.conversation.holds_outbox()
    }
}

/// Waits for the call, if there is one; `None` if it panics, so that the session can still end in order.
async fn ended<T>(call: &mut Option<Call<T>>) -> Option<T> {
    match call {
        Some(call) => AssertUnwindSafe(call).catch_unwind().await.ok(),
        None => pending().await,
    }
}
