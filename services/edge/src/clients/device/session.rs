//! The session of an account: how it stands, and what becomes of it when it is opened.

use std::{sync::Arc, time::Duration};

use chasqui_kit::TraceContext;
use chasqui_proto::{
    Tenant,
    service::SESSIONS_OPEN,
    subject,
    v1::{self, SessionStatus},
};
use tokio::{sync::mpsc, time::timeout};

use super::{
    account::{self, is_of_another_session},
    failure, told,
};
use crate::{
    error::Error,
    event::{Event, Fact},
    feed::{Greeting, Member},
    hub::Wish,
    latest,
    scope::Scope,
    service::Edge,
};

/// How long the owner of the numbers may take to open a session. What becomes of it comes as an event.
const OPEN_WAIT: Duration = Duration::from_secs(10);
/// How long a message waits for a session that was opened for it to connect.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// States of a session that wait for one request to look at them.
const STATES_MAX: usize = 16;

/// The session of an account as it stands; none where it was never opened.
pub(super) async fn newest(edge: &Edge, account: &Tenant) -> Result<Option<v1::Session>, Error> {
    latest::of(&edge.bus, &subject::sessions_updated(account, &account::session())).await
}

/// Asks the owner of the numbers for the account's session.
pub(super) async fn open(edge: &Edge, account: &Tenant) -> Result<v1::Session, Error> {
    let question = v1::OpenSession { tenant: account.to_string(), session: account::SESSION.to_owned() };
    let asked = edge.bus.ask_subject(SESSIONS_OPEN.subject, &question, TraceContext::root(), OPEN_WAIT).await;
    Ok(asked?)
}

/// Opens the session and follows it until `decide` has an answer; none when it has not after `wait`, or when the node
/// stops.
pub(super) async fn settled<T>(
    edge: &Edge,
    account: &Tenant,
    wait: Duration,
    decide: impl Fn(&v1::Session) -> Option<T>,
) -> Result<Option<T>, Error> {
    // Before the session is opened: what becomes of it must not go past.
    let (states, mut changed) = mpsc::channel(STATES_MAX);
    let scope = Scope::Tenant(account.clone());
    let _watching = edge.hub.join(&scope, Arc::new(Watcher(states)), &Wish::Live).await?;
    let mut session = open(edge, account).await?;
    let settling = timeout(wait, async {
        loop {
            if let Some(answer) = decide(&session) {
                return Some(answer);
            }
            let next = changed.recv().await?;
            // How it stood before it was opened says nothing of what becomes of it.
            if next.version >= session.version {
                session = next;
            }
        }
    });
    Ok(edge.stop.run_until_cancelled(settling).await.and_then(Result::ok).flatten())
}

/// WAB-32: a session that is not connected is started first.
pub(super) async fn connected(edge: &Edge, account: &Tenant) -> Result<(), String> {
    let is_connected = |session: &v1::Session| session.status() == SessionStatus::Connected;
    let known = newest(edge, account).await.map_err(|error| failure(&error))?;
    if known.is_some_and(|session| is_connected(&session)) {
        return Ok(());
    }
    let decided = |session: &v1::Session| match session.status() {
        SessionStatus::Starting | SessionStatus::Reconnecting => None,
        _ => Some(is_connected(session)),
    };
    match settled(edge, account, CONNECT_WAIT, decided).await.map_err(|error| failure(&error))? {
        Some(true) => Ok(()),
        Some(false) | None => Err(told::NOT_CONNECTED.to_owned()),
    }
}

/// Passes on how the session stands.
#[derive(Debug)]
struct Watcher(mpsc::Sender<v1::Session>);

impl Member for Watcher {
    fn greet(&self, _: &Greeting) {}

    fn deliver(&self, event: &Arc<Event>) {
        if let Fact::Session(session) = &event.fact
            && !is_of_another_session(event)
        {
            // A request that has what it wants does not look any more.
            let _ = self.0.try_send((**session).clone());
        }
    }

    fn dismiss(&self) {}
}
