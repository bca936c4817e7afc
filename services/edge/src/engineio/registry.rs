//! Which sessions live on this node, and how to reach them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::polling::Request;
use super::refusal::Refusal;
use crate::close::CloseCode;
use crate::outbox::Outbox;

/// The sessions of a server by their id.
#[derive(Default)]
pub(super) struct Registry {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<Box<str>, Entry>,
    stopped: bool,
}

struct Entry {
    outbox: Arc<Outbox>,
    reach: Reach,
}

/// How requests reach a session.
#[derive(Clone)]
pub(super) enum Reach {
    /// Not at all: it has its own connection.
    WebSocket,
    /// Over its channel.
    Polling(mpsc::Sender<Request>),
}

impl Registry {
    /// Adds a session, unless there are too many or the server stops.
    pub(super) fn add(
        self: &Arc<Self>,
        session_id: Box<str>,
        outbox: Arc<Outbox>,
        reach: Reach,
        sessions_max: usize,
    ) -> Result<Registration, Refusal> {
        let mut state = self.state();
        if state.stopped || state.sessions.len() >= sessions_max {
            return Err(Refusal::Busy);
        }
        state.sessions.insert(session_id.clone(), Entry { outbox, reach });
        Ok(Registration { registry: Arc::clone(self), session_id })
    }

    /// How to reach a session. The one place that knows that an id is unknown here.
    pub(super) fn find(&self, session_id: &str) -> Result<Reach, Refusal> {
        self.state().sessions.get(session_id).map(|entry| entry.reach.clone()).ok_or(Refusal::UnknownSession)
    }

    /// Closes all sessions and takes no more.
    pub(super) fn stop(&self, code: CloseCode) {
        let mut state = self.state();
        state.stopped = true;
        for entry in state.sessions.values() {
            entry.outbox.close(code);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code under this lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's place in the registry; dropping it gives the place up.
pub(super) struct Registration {
    registry: Arc<Registry>,
    session_id: Box<str>,
}

impl Registration {
    /// The session has its own connection now.
    pub(super) fn upgraded(&self) {
        if let Some(entry) = self.registry.state().sessions.get_mut(&self.session_id) {
            entry.reach = Reach::WebSocket;
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.state().sessions.remove(&self.session_id);
    }
}
