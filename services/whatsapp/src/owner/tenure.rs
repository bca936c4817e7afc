//! One ownership of one session, from its lease to its end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chasqui_kit::{clock::now_ms, lease::Held};
use chasqui_proto::{
    stream::session_lease,
    v1::{ChannelKind, LinkEvent, NumberEntry, SessionStatus},
};
use tokio::{
    sync::{mpsc, watch},
    time::sleep_until,
};
use tokio_util::sync::CancellationToken;

use super::{
    Entry, Shared,
    connection::{Connection, connect},
    desk::{Change, Desk, Order},
};
use crate::{
    Error,
    connector::ConnectorError,
    line::{Halt, Line},
    sending::{Sending, Ties},
    sessions::{
        SessionKey, lives,
        machine::{Limits, Machine},
        store::{self, WriteError},
    },
};

/// Orders, events and halts that wait for the session.
const WAITING_MAX: usize = 64;
/// The pause before a state is read or stored again that could not be.
const STORE_AGAIN: Duration = Duration::from_millis(500);
/// How long nothing may happen before the state is looked at anyway.
const IDLE_MAX: Duration = Duration::from_mins(1);

/// The session ends here: somebody else owns it.
struct Overtaken;

struct Tenure<'a> {
    shared: &'a Shared,
    key: &'a SessionKey,
    line: Line,
    connection: Connection,
    machine: Machine,
    /// The position of the stored state, and its version.
    stored: (u64, u64),
    /// The state that the metrics show.
    shown: SessionStatus,
    /// When a state that could not be stored is tried again.
    store_again: Option<Instant>,
    /// Tells the sending side whether messages may be sent.
    open: watch::Sender<bool>,
}

/// Owns the session until this process stops, the lease is lost, or nobody wants the session.
pub(super) async fn run(shared: &Arc<Shared>, key: &SessionKey, held: &Held) {
    let stop = CancellationToken::new();
    // Also where this task fails.
    let _stopped = stop.clone().drop_guard();
    // Apart from what is awaited within: a lost lease ends it at once.
    let guard = async {
        tokio::select! {
            () = held.lost().cancelled() => {}
            () = shared.stop.cancelled() => {}
            () = stop.cancelled() => {}
        }
        stop.cancel();
    };
    let owning = async {
        if let Err(error) = own(shared, key, held.ownership, &stop).await {
            tracing::warn!(%error, session = %key, "session {key} could not be taken over; trying again");
        }
        stop.cancel();
    };
    tokio::join!(guard, owning);
}

async fn own(
    shared: &Shared,
    key: &SessionKey,
    ownership: u64,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let Some(read) = stop.run_until_cancelled(store::read(&shared.bus, key)).await else { return Ok(()) };
    let (session, seq) = read?;
    let number = shared.sessions.number(key);
    if number.is_none() && !session.as_ref().is_some_and(|session| lives(session.status())) {
        // What made it look wanted was not the newest.
        return Ok(());
    }
    let version = session.as_ref().map_or(0, |session| session.version);
    let machine = Machine::resume(key, session, number.is_some(), Limits::new(&shared.config), now_ms());
    let (line, connection) = connect(shared, key, number.as_ref(), ownership, stop);
    let (orders, ordered) = mpsc::channel(WAITING_MAX);
    let (tells, told) = mpsc::channel(WAITING_MAX);
    let desk = tokio::spawn(Desk::open(&line, &shared.fetcher, (orders, tells)).await?.serve());
    let (halts, halted) = mpsc::channel(WAITING_MAX);
    let (open, opened) = watch::channel(false);
    let ties = Ties { open: opened, told, halts, campaigns_held_until: campaigns_held_until(&machine) };
    let sending = tokio::spawn(Sending::run(line.clone(), shared.config.sending(), ties));
    let _entry = Entry::new(shared, key, line.clone());
    metrics::counter!("chasqui_whatsapp_takeovers_total").increment(1);
    tracing::info!(session = %key, node = %shared.node, ownership, "session {key} is owned here");
    let (stored, shown) = ((seq, version), machine.session().status());
    let mut tenure =
        Tenure { shared, key, line, connection, machine, stored, shown, store_again: None, open };
    count(shown, 1.0);
    let ended = tenure.live(number, ordered, halted).await;
    count(tenure.shown, -1.0);
    stop.cancel();
    tenure.connection.stop().await;
    for (part, task) in [("desk", desk), ("sending", sending)] {
        if let Err(error) = task.await {
            tracing::error!(%error, session = %key, "the {part} of a session failed");
        }
    }
    let reason = if ended.is_err() { "somebody else owns it" } else { "it is given back" };
    tracing::info!(session = %key, "session {key} is not owned here any more: {reason}");
    Ok(())
}

impl Tenure<'_> {
    async fn live(
        &mut self,
        number: Option<NumberEntry>,
        mut orders: mpsc::Receiver<Order>,
        mut halts: mpsc::Receiver<Halt>,
    ) -> Result<(), Overtaken> {
        let stop = self.line.stop.clone();
        let mut directory = self.shared.sessions.directory_changed();
        loop {
            self.settle().await?;
            if stop.is_cancelled() || self.is_over() {
                return Ok(());
            }
            let wake = self.wake();
            tokio::select! {
                () = stop.cancelled() => {}
                Some(order) = orders.recv() => self.obey(order).await?,
                event = self.connection.next() => self.hear(event),
                Some(halt) = halts.recv() => self.halt(halt),
                () = sleep_until(wake.into()) => self.machine.tick(now_ms()),
                _ = directory.changed() => {
                    if !self.shared.sessions.wants_owner(self.key) {
                        self.machine.suspend(now_ms());
                        return self.settle().await;
                    }
                    if self.shared.sessions.number(self.key) != number {
                        // The next owner begins with what the directory says now.
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Whether nobody wants an owner for it any more, and that is stored.
    fn is_over(&self) -> bool {
        let is_linked = self.line.kind() == ChannelKind::WhatsappLinked;
        let session = self.machine.session();
        is_linked && !lives(session.status()) && session.version == self.stored.1
    }

    fn wake(&self) -> Instant {
        let due_in = |at_ms: i64| Duration::from_millis(u64::try_from(at_ms - now_ms()).unwrap_or(0));
        let tick = self.machine.next_tick_ms().map_or(IDLE_MAX, due_in).min(IDLE_MAX);
        let tick = Instant::now() + tick;
        self.store_again.map_or(tick, |again| again.min(tick))
    }

    async fn obey(&mut self, order: Order) -> Result<(), Overtaken> {
        let done = match order.what {
            Change::Open => {
                self.machine.open(now_ms());
                Ok(())
            }
            Change::Close => self.close().await,
            Change::Link(event) => self.machine.told(&event, now_ms()),
        };
        // Whoever is answered finds the state that it was told.
        self.settle().await?;
        let is_stored = self.machine.session().version == self.stored.1;
        let answer = done.and_then(|()| {
            let session = self.machine.session().clone();
            if is_stored { Ok(session) } else { Err(Error::State("it could not be stored".to_owned())) }
        });
        // Who asked may have gone.
        let _ = order.answer.send(answer);
        Ok(())
    }

    /// What was connected once is logged out at the provider first: otherwise it would stay linked.
    async fn close(&mut self) -> Result<(), Error> {
        let is_linked = self.line.kind() == ChannelKind::WhatsappLinked;
        if is_linked && !self.machine.session().phone.is_empty() {
            let stop = self.line.stop.clone();
            let logged_out = stop.run_until_cancelled(self.line.connector.log_out()).await;
            logged_out.unwrap_or_else(|| {
                let ending = "the session is changing its owner".to_owned();
                Err(ConnectorError::Away(ending))
            })?;
        }
        self.machine.close(now_ms());
        Ok(())
    }

    fn hear(&mut self, event: Option<LinkEvent>) {
        let Some(event) = event else {
            return self.machine.ended(now_ms());
        };
        if let Err(error) = self.machine.told(&event, now_ms()) {
            tracing::warn!(%error, session = %self.key, "a connector told what cannot be");
        }
    }

    fn halt(&mut self, halt: Halt) {
        match halt {
            Halt::Number { reason } => self.machine.halted(&reason, now_ms()),
            Halt::Campaigns { reason } => {
                metrics::counter!("chasqui_whatsapp_campaign_halts_total").increment(1);
                tracing::error!(session = %self.key, reason, "campaigns of {} are stopped: {reason}", self.key);
                let pause = self.shared.config.sending().campaign_pause;
                let pause_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
                self.machine.campaigns_refused(&reason, pause_ms, now_ms());
            }
        }
    }

    /// Makes true what the machine wants: the connector, the sending side, and the stored state.
    async fn settle(&mut self) -> Result<(), Overtaken> {
        self.open.send_replace(self.machine.is_open());
        self.show();
        if self.machine.runs() {
            self.connection.start();
        } else if self.connection.stop().await {
            self.connection.let_go().await;
        }
        if self.machine.session().version == self.stored.1 {
            return Ok(());
        }
        if self.store_again.is_some_and(|again| Instant::now() < again) {
            return Ok(());
        }
        self.store().await
    }

    async fn store(&mut self) -> Result<(), Overtaken> {
        let session = self.machine.session().clone();
        let writer = self.line.ownership.to_string();
        match store::write(&self.shared.bus, self.key, &session, self.stored.0, &writer).await {
            Ok(seq) => {
                (self.stored, self.store_again) = ((seq, session.version), None);
                self.shared.sessions.apply(self.key, session, seq);
                Ok(())
            }
            Err(WriteError::Overtaken) => self.catch_up().await,
            Err(WriteError::Failed(error)) => {
                tracing::debug!(%error, session = %self.key, "a state could not be stored; trying again");
                self.store_again = Some(Instant::now() + STORE_AGAIN);
                Ok(())
            }
        }
    }

    /// Somebody wrote the state meanwhile: a replica that was asked to open the session while it had no owner, or the
    /// owner that there is.
    async fn catch_up(&mut self) -> Result<(), Overtaken> {
        let lease = session_lease(&self.key.tenant, &self.key.session);
        self.store_again = Some(Instant::now() + STORE_AGAIN);
        let (Ok(holder), Ok((stored, seq))) =
            (self.shared.leases.holder(&lease).await, store::read(&self.shared.bus, self.key).await)
        else {
            return Ok(());
        };
        if holder.as_deref() != Some(self.shared.node.as_str()) {
            return Err(Overtaken);
        }
        let stored = stored.unwrap_or_default();
        self.stored = (seq, stored.version);
        if stored.status() == SessionStatus::Starting {
            self.machine.open(now_ms());
        }
        self.machine.outdo(stored.version);
        self.store_again = None;
        Ok(())
    }

    /// Tells operators how the session stands, when that has changed.
    fn show(&mut self) {
        let (session, before) = (self.machine.session(), self.shown);
        let now = session.status();
        if now == before {
            return;
        }
        self.shown = now;
        count(before, -1.0);
        count(now, 1.0);
        if now == SessionStatus::Reconnecting {
            metrics::counter!("chasqui_whatsapp_reconnects_total").increment(1);
        }
        let (session, status, reason) = (self.key, now.name(), &session.reason);
        if now == SessionStatus::Failed {
            tracing::error!(%session, reason, "session {session} has failed: {reason}");
        } else {
            tracing::info!(%session, status, reason, "session {session} is {status}");
        }
    }
}

/// Until when campaigns wait that an earlier owner held back.
fn campaigns_held_until(machine: &Machine) -> Option<Instant> {
    let left_ms = machine.campaigns_held_until_ms()?.saturating_sub(now_ms());
    Instant::now().checked_add(Duration::from_millis(u64::try_from(left_ms).ok()?))
}

fn count(status: SessionStatus, change: f64) {
    metrics::gauge!("chasqui_whatsapp_sessions", "status" => status.name()).increment(change);
}
