//! A connected socket: one task writes what waits, obeys what is said, and beats.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chasqui_kit::{Code, Coded};
use chasqui_websocket::{Error, Message, Text, WebSocket};
use tokio::time::{Interval, MissedTickBehavior, error::Elapsed, timeout};

use super::{JsonDialect, Obeyed};
use crate::{
    auth::{Hold, Identity},
    close::CloseCode,
    feed::Membership,
    limit::{Pace, Verdict},
    outbox::{Batch, Delivery, Frame, Outbox},
    service::Edge,
};

/// How long one write to a socket may take before the client counts as gone.
pub(super) const WRITE_WAIT: Duration = Duration::from_secs(10);

/// Who has joined its feed, and how that reaches it.
pub(super) struct Joined {
    pub(super) identity: Arc<Identity>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) membership: Membership,
}

/// A connected socket.
pub(super) struct Session<'a, D> {
    edge: &'a Arc<Edge>,
    socket: &'a mut WebSocket,
    dialect: &'a mut D,
    identity: Arc<Identity>,
    outbox: Arc<Outbox>,
    membership: Membership,
    lease: Hold,
    pace: Pace,
    /// When the client last said anything.
    heard: Instant,
    /// Position of the last frame written.
    written: u64,
}

impl<'a, D: JsonDialect> Session<'a, D> {
    pub(super) fn new(
        edge: &'a Arc<Edge>,
        socket: &'a mut WebSocket,
        dialect: &'a mut D,
        Joined { identity, outbox, membership }: Joined,
    ) -> Self {
        let lease = edge.leases.hold(identity.expires_at_ms, &outbox, D::token_expiring);
        let (pace, heard) = (Pace::default(), Instant::now());
        Self { edge, socket, dialect, identity, outbox, membership, lease, pace, heard, written: 0 }
    }

    /// Until somebody ends it; the code to close with.
    pub(super) async fn run(&mut self) -> CloseCode {
        let mut heartbeat = self.edge.heartbeat();
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Err(code) = self.step(&mut heartbeat).await {
                return code;
            }
        }
    }

    async fn step(&mut self, heartbeat: &mut Interval) -> Result<(), CloseCode> {
        tokio::select! {
            () = self.outbox.ready() => self.flush().await,
            frame = self.socket.recv() => {
                self.heard = Instant::now();
                match frame {
                    Some(Ok(Message::Text(text))) => Box::pin(self.obey(&text)).await,
                    Some(Ok(Message::Ping(_))) => Ok(()),
                    Some(Ok(Message::Pong(position))) => {
                        self.confirm(&position);
                        Ok(())
                    }
                    // Some clients send their text as bytes.
                    Some(Ok(Message::Binary(bytes))) => match str::from_utf8(&bytes) {
                        Ok(text) => Box::pin(self.obey(text)).await,
                        Err(_) => self.reply(D::error("invalid_input", "frames must be text")),
                    }
                    Some(Ok(Message::Close(_))) | None => Err(CloseCode::CLIENT_LEFT),
                    Some(Err(error)) => Err(code_of(&error)),
                }
            }
            _ = heartbeat.tick() => Box::pin(self.beat()).await,
        }
    }

    async fn obey(&mut self, text: &str) -> Result<(), CloseCode> {
        match self.edge.paces.judge(&mut self.pace, &self.identity.tenant, Instant::now()) {
            Verdict::Pass => {}
            Verdict::Refuse(why) => return self.reply(D::error(Code::RateLimited.as_str(), why)),
            Verdict::Close => return Err(CloseCode::RATE_LIMITED),
        }
        match self.obeyed_beside_events(text).await? {
            Obeyed::Done => Ok(()),
            Obeyed::Refresh { token } => self.refresh(&token).await,
        }
    }

    /// A command may wait for another service; events go on being written meanwhile.
    async fn obeyed_beside_events(&mut self, text: &str) -> Result<Obeyed, CloseCode> {
        let Self { dialect, outbox, socket, written, .. } = self;
        let mut obeyed = pin!(dialect.obey(text));
        loop {
            tokio::select! {
                biased;
                obeyed = &mut obeyed => return obeyed,
                () = outbox.ready() => flush(outbox, socket, written).await?,
            }
        }
    }

    /// The connection goes on with another token of the same user.
    async fn refresh(&mut self, token: &str) -> Result<(), CloseCode> {
        let renewed = self.edge.gate.identify(token).await.and_then(|new| {
            self.identity.may_become(&new)?;
            Ok(new.expires_at_ms)
        });
        match renewed {
            Ok(expires_at_ms) => {
                self.lease.renew(expires_at_ms);
                self.reply(D::token_refreshed(expires_at_ms))
            }
            Err(error) => self.reply(D::error(error.code().as_str(), &error.to_string())),
        }
    }

    fn reply(&self, frame: Text) -> Result<(), CloseCode> {
        self.outbox.push(frame, Delivery::Reply).map(drop).map_err(|_| CloseCode::SLOW_CONSUMER)
    }

    async fn flush(&mut self) -> Result<(), CloseCode> {
        flush(&self.outbox, self.socket, &mut self.written).await
    }

    fn confirm(&mut self, position: &[u8]) {
        // Pings for liveness carry none.
        if let Ok(position) = position.try_into().map(u64::from_be_bytes) {
            self.dialect.confirmed(position.min(self.written));
        }
    }

    /// Protocol ping for liveness, and the position for the client's cursor.
    async fn beat(&mut self) -> Result<(), CloseCode> {
        let silence_max = self.edge.config.heartbeat_interval() + self.edge.config.heartbeat_timeout();
        if self.heard.elapsed() > silence_max {
            return Err(CloseCode::HEARTBEAT_TIMEOUT);
        }
        let seq = self.membership.head();
        self.flush().await?;
        // A heartbeat's position covers everything before it: not to be said while some of that still waits.
        let heartbeat = if self.outbox.is_empty() { D::heartbeat(seq) } else { None };
        let mut frames: Vec<Frame> = heartbeat.map(Frame::text).into_iter().collect();
        frames.push(Frame::ping(Bytes::new()));
        outcome(&timeout(WRITE_WAIT, self.socket.write(&mut frames)).await)
    }
}

/// Writes everything that waits, with one flush. `written` is the position of the last frame written.
async fn flush(outbox: &Outbox, socket: &mut WebSocket, written: &mut u64) -> Result<(), CloseCode> {
    if let Some(code) = outbox.drained() {
        return Err(code);
    }
    let mut frames: Vec<Frame> = Vec::new();
    let batch = outbox.take_batch(&mut frames);
    // A pong comes back with what its ping carried: what stood before the ping has arrived.
    if let Some(Batch { position, durable: true }) = batch {
        frames.push(Frame::ping(position.to_be_bytes().to_vec()));
    }
    *written = batch.map_or(*written, |batch| batch.position);
    outcome(&timeout(WRITE_WAIT, socket.write(&mut frames)).await)
}

fn outcome(result: &Result<Result<(), Error>, Elapsed>) -> Result<(), CloseCode> {
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(CloseCode::CLIENT_LEFT),
        Err(_) => Err(CloseCode::SLOW_CONSUMER),
    }
}

/// What a broken frame means.
fn code_of(error: &Error) -> CloseCode {
    match error {
        Error::TooLarge { .. } | Error::InflatesTooLarge { .. } => CloseCode::FRAME_TOO_LARGE,
        Error::Protocol(_) | Error::NotUtf8 | Error::NotDeflate => CloseCode::PROTOCOL_ERROR,
        Error::Ended | Error::Closed | Error::Io(_) => CloseCode::CLIENT_LEFT,
    }
}
