//! How a member begins.

use crate::{cursor, history::History};

/// What a member is told when it joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// The life of the stream that positions belong to.
    pub(crate) epoch: String,
    /// The position the client is at, before whatever follows.
    pub(crate) seq: u64,
    /// Whether everything since the client's cursor follows.
    pub(crate) recovered: bool,
    /// The client had no cursor.
    pub(crate) fresh: bool,
    /// Up to where among the states the client was told how campaigns stand, before whatever follows; `None` where it was
    /// told nothing, or is shown none.
    pub(crate) told: Option<u64>,
}

impl Greeting {
    /// What a client that is shown campaigns keeps as the epoch of its cursor.
    pub(crate) fn cursor_epoch(&self) -> String {
        cursor::epoch(&self.epoch, self.told)
    }
}

/// Where a joining member stands.
#[derive(Debug)]
pub(crate) enum Start {
    /// It wants what happens from now on.
    Now,
    /// It has seen everything up to this position.
    After(u64),
    /// It has seen everything up to `since`, and this is what came after it.
    With { since: u64, history: History },
    /// It starts with these and then wants what happens.
    Backlog {
        history: History,
        /// It had no cursor; otherwise the one it had cannot be honoured.
        fresh: bool,
    },
    /// It cannot be brought up to date: it starts now and is told so.
    Lost,
}

/// Why a member could not join.
#[derive(Debug)]
pub(crate) enum NotJoined {
    /// The feed no longer holds everything the member needs: its history must be read.
    Behind(Start),
    /// The feed was given up: ask the hub for a new one.
    Ended(Start),
}
