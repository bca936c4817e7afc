//! What connects a session while this process owns it.

use std::{sync::Arc, time::Duration};

use chasqui_proto::v1::{Channel, ChannelKind, LinkEvent, NumberEntry};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{Shared, tokenless::Tokenless};
use crate::{
    cloud::{CloudApi, Number},
    connector::Connector,
    line::Line,
    remote::{Files, Remote},
    sessions::SessionKey,
};

/// Events that wait for the session.
const EVENTS_MAX: usize = 64;
/// Messages a second of a number of which the directory says nothing.
const MESSAGES_PER_SECOND: u32 = 80;

/// The connector of a session, which runs or does not.
pub(super) struct Connection {
    connector: Arc<dyn Connector>,
    /// The connector, where it is one that can let a session go.
    remote: Option<Remote>,
    running: Option<Running>,
    /// Ends with the ownership.
    stop: CancellationToken,
}

struct Running {
    stop: CancellationToken,
    /// Closed when the connector has ended.
    events: mpsc::Receiver<LinkEvent>,
    task: AbortOnDropHandle<()>,
}

impl Connection {
    /// Lets it run, if it does not.
    pub(super) fn start(&mut self) {
        if self.running.is_some() {
            return;
        }
        let (stop, connector) = (self.stop.child_token(), self.connector.clone());
        let (told, events) = mpsc::channel(EVENTS_MAX);
        let until = stop.clone();
        let task = tokio::spawn(async move { connector.run(told, until).await });
        self.running = Some(Running { stop, events, task: AbortOnDropHandle::new(task) });
    }

    /// Waits until it does not run any more; says whether it did.
    pub(super) async fn stop(&mut self) -> bool {
        let Some(Running { stop, events, task }) = self.running.take() else { return false };
        stop.cancel();
        // It may be telling something that nobody hears any more.
        drop(events);
        if let Err(error) = task.await {
            tracing::error!(%error, "the connector of a session failed");
        }
        true
    }

    /// The next thing it tells; `None` when it has ended by itself. Nothing comes while it does not run.
    pub(super) async fn next(&mut self) -> Option<LinkEvent> {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let event = running.events.recv().await;
        if event.is_none() {
            self.running = None;
        }
        event
    }

    /// Another connector may take the session, or none.
    pub(super) async fn let_go(&self) {
        if let Some(remote) = &self.remote {
            remote.let_go().await;
        }
    }
}

/// What connects the session to its provider, and what sending shares with it.
pub(super) fn connect(
    shared: &Shared,
    key: &SessionKey,
    number: Option<&NumberEntry>,
    ownership: u64,
    stop: &CancellationToken,
) -> (Line, Connection) {
    let (kind, connector, remote): (_, Arc<dyn Connector>, _) = if number.is_some() {
        (ChannelKind::WhatsappCloud, cloud_connector(shared, key), None)
    } else {
        let remote = Remote {
            bus: shared.bus.clone(),
            tenant: key.tenant.clone(),
            session: key.session.clone(),
            ownership,
            answer_wait: Duration::from_millis(shared.config.send_wait_ms),
            files: Files::new(shared.fetcher.store().clone(), &shared.config.media),
        };
        (ChannelKind::WhatsappLinked, Arc::new(remote.clone()), Some(remote))
    };
    let line = Line {
        bus: shared.bus.clone(),
        tenant: key.tenant.clone(),
        session: key.session.clone(),
        channel: Channel {
            kind: kind.into(),
            id: key.session.to_string(),
            display_phone_number: number.map(|n| n.display_phone_number.clone()).unwrap_or_default(),
            account_id: number.map(|n| n.account_id.clone()).unwrap_or_default(),
        },
        node: shared.node.clone(),
        ownership,
        connector: connector.clone(),
        messages_per_second_max: number.map(|number| match number.messages_per_second_max {
            0 => MESSAGES_PER_SECOND,
            limit => limit,
        }),
        fallback: shared.config.fallback(),
        stop: stop.clone(),
    };
    (line, Connection { connector, remote, running: None, stop: stop.clone() })
}

fn cloud_connector(shared: &Shared, key: &SessionKey) -> Arc<dyn Connector> {
    let Some(access_token) = shared.config.token_of(key.session.as_str()).cloned() else {
        return Arc::new(Tokenless);
    };
    let (tenant, phone_number_id) = (key.tenant.clone(), key.session.to_string());
    let number = Number { tenant, phone_number_id, access_token };
    let (store, limits) = (shared.fetcher.store().clone(), shared.config.media.limits());
    Arc::new(CloudApi::new(shared.graph.clone(), number, store, limits))
}
