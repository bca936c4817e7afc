//! A connector of linked devices, played by the test over NATS.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use chasqui_kit::{Bus, TraceContext, request::RequestError};
use chasqui_proto::{
    service::LINKS_START,
    subject::{self, NodeToken},
    v1::{
        LinkAnswer, LinkCommand, LinkConnected, LinkDisconnected, LinkEvent, LinkLoggedOut, LinkQr,
        LinkStarted, LinkTaken, OwnerRequest, StartLink, link_command, link_event::What, owner_request,
    },
};
use futures::{StreamExt, stream::SelectAll};
use prost::Message;
use tokio::task::JoinHandle;

use crate::world::{self, World, tenant};

/// What a connector was asked.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) starts: Vec<StartLink>,
    /// Everything but pings.
    pub(crate) commands: Vec<LinkCommand>,
    /// Of every command, in the order they came.
    pub(crate) ownerships: Vec<u64>,
}

/// A connector that takes every session it is offered.
pub(crate) struct Linked {
    bus: Bus,
    seen: Arc<Mutex<Seen>>,
    life: JoinHandle<()>,
}

impl Linked {
    /// A connector that tells `greeting` to the owner of each session it starts.
    pub(crate) async fn start(world: &World, name: &str, greeting: Option<LinkEvent>) -> Self {
        let bus = world::connect(&world.nats, name).await;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let group = "linked".to_owned();
        let starts = bus.client().queue_subscribe(LINKS_START.subject, group).await.expect("it listens");
        bus.barrier().await.expect("the broker has seen it");
        let life = tokio::spawn(live(bus.clone(), name.to_owned(), seen.clone(), starts, greeting));
        Self { bus, seen, life }
    }

    /// Tells the owner of a session what became of it.
    pub(crate) async fn tell(&self, session: &str, event: LinkEvent) -> Result<LinkTaken, RequestError> {
        let newest = |seen: &Seen| {
            seen.starts.iter().rev().find(|start| start.session == session).map(|start| start.ownership)
        };
        let ownership = self.seen(newest).unwrap_or_default();
        tell(&self.bus, session, LinkEvent { ownership, ..event }).await
    }

    /// The same, with the ownership that the event has.
    pub(crate) async fn tell_as_it_is(
        &self,
        session: &str,
        event: LinkEvent,
    ) -> Result<LinkTaken, RequestError> {
        tell(&self.bus, session, event).await
    }

    /// Looks at what it was asked.
    pub(crate) fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&locked(&self.seen))
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(self) {
        self.life.abort();
    }
}

fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().expect("no holder of this lock panics")
}

async fn tell(bus: &Bus, session: &str, event: LinkEvent) -> Result<LinkTaken, RequestError> {
    let subject = subject::whatsapp_owner(&tenant(), &NodeToken::new(session));
    let request = OwnerRequest { what: Some(owner_request::What::Link(event)) };
    bus.ask_subject(subject.as_str(), &request, TraceContext::root(), Duration::from_secs(5)).await
}

async fn live(
    bus: Bus,
    name: String,
    seen: Arc<Mutex<Seen>>,
    mut starts: async_nats::Subscriber,
    greeting: Option<LinkEvent>,
) {
    let mut commands = SelectAll::new();
    loop {
        tokio::select! {
            Some(request) = starts.next() => {
                let start = StartLink::decode(request.payload).expect("it is a start");
                let session = NodeToken::new(&start.session);
                let is_new = !locked(&seen).starts.iter().any(|known| known.session == start.session);
                if is_new {
                    let subject = subject::linked_commands(&tenant(), &session);
                    commands.push(bus.client().subscribe(subject.as_str().to_owned()).await.expect("the broker is there"));
                    bus.barrier().await.expect("the broker is there");
                }
                let ownership = start.ownership;
                locked(&seen).starts.push(start);
                let started = LinkStarted { connector: name.clone() };
                let reply = request.reply.expect("somebody asks");
                bus.client().publish(reply, started.encode_to_vec().into()).await.expect("the broker is there");
                if let Some(event) = greeting.clone() {
                    // The owner may be gone already: it tells the next one, when that asks.
                    drop(tell(&bus, session.as_str(), LinkEvent { ownership, ..event }).await);
                }
            }
            Some(command) = commands.next() => {
                let reply = command.reply.clone().expect("somebody asks");
                let command = LinkCommand::decode(command.payload).expect("it is a command");
                let provider_id = match &command.what {
                    Some(link_command::What::Send(message)) => format!("3EB0-{}", message.id),
                    _ => String::new(),
                };
                {
                    let mut seen = locked(&seen);
                    seen.ownerships.push(command.ownership);
                    if !matches!(command.what, Some(link_command::What::Ping(_))) {
                        seen.commands.push(command);
                    }
                }
                let answer = LinkAnswer { provider_id, ..LinkAnswer::default() };
                bus.client().publish(reply, answer.encode_to_vec().into()).await.expect("the broker is there");
            }
        }
    }
}

pub(crate) fn qr(code: &str) -> LinkEvent {
    LinkEvent {
        what: Some(What::Qr(LinkQr { code: code.to_owned(), expires_at_ms: 0 })),
        ..LinkEvent::default()
    }
}

pub(crate) fn connected() -> LinkEvent {
    LinkEvent {
        what: Some(What::Connected(LinkConnected { phone: world::PHONE.to_owned() })),
        ..LinkEvent::default()
    }
}

pub(crate) fn disconnected(reason: &str) -> LinkEvent {
    LinkEvent {
        what: Some(What::Disconnected(LinkDisconnected { reason: reason.to_owned() })),
        ..LinkEvent::default()
    }
}

pub(crate) fn logged_out(reason: &str) -> LinkEvent {
    LinkEvent {
        what: Some(What::LoggedOut(LinkLoggedOut { reason: reason.to_owned() })),
        ..LinkEvent::default()
    }
}
