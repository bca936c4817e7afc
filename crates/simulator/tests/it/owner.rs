use anyhow::{Context, Result};
use async_nats::Subscriber;
use chasqui_kit::{Bus, TraceContext, bus::NatsConfig, request::RequestError, stream};
use chasqui_proto::{
    Tenant,
    service::LINKS_START,
    subject::{self, NodeToken},
    v1::{
        LinkAnswer, LinkCommand, LinkStarted, LinkTaken, OwnerRequest, StartLink, link_command, link_event,
        owner_request,
    },
};
use chasqui_simulator::Config;
use chasqui_testkit::NatsServer;
use futures::StreamExt;
use prost::Message;
use tokio::time::timeout;

use crate::simulator::{NOWHERE, SOON, Simulator};

/// The owner of session `main` of tenant `u1`: what the whatsapp service is.
pub(crate) struct Owner {
    pub(crate) bus: Bus,
    pub(crate) tenant: Tenant,
    session: NodeToken,
    events: Subscriber,
    /// Whom the newest event was meant for.
    pub(crate) told_under: u64,
    /// What everybody is told.
    facts: Subscriber,
    _nats: NatsServer,
}

impl Owner {
    /// An owner and its connector.
    pub(crate) async fn start(config: Config) -> Result<(Self, Simulator)> {
        let nats = NatsServer::start().await?;
        let bus = Bus::connect("test", &NatsConfig { url: nats.url(), ..NatsConfig::default() }).await?;
        stream::ensure_all(&bus).await?;
        let (tenant, session): (Tenant, _) = ("u1".parse()?, NodeToken::new("main"));
        let config = Config { webhook_url: NOWHERE.to_owned(), ..config };
        let simulator = Simulator::start_with(config, Some(bus.clone())).await?;
        let subscribe = async |subject: &str| bus.client().subscribe(subject.to_owned()).await;
        let events = subscribe(subject::whatsapp_owner(&tenant, &session).as_str()).await?;
        let facts = subscribe(subject::live_tenant(&tenant).as_str()).await?;
        bus.barrier().await?;
        Ok((Self { bus, tenant, session, events, told_under: 0, facts, _nats: nats }, simulator))
    }

    /// Has the session started under this ownership.
    pub(crate) async fn start_session(&self, ownership: u64) -> Result<LinkStarted, RequestError> {
        let question =
            StartLink { tenant: self.tenant.to_string(), session: self.session.to_string(), ownership };
        self.bus.ask(LINKS_START, &question, TraceContext::root()).await
    }

    /// The next event, taken.
    pub(crate) async fn event(&mut self) -> Result<link_event::What> {
        let (event, reply) = self.untaken_event().await?;
        self.bus.client().publish(reply, LinkTaken {}.encode_to_vec().into()).await?;
        Ok(event)
    }

    /// The next event, and where its answer goes.
    pub(crate) async fn untaken_event(&mut self) -> Result<(link_event::What, async_nats::Subject)> {
        let request = timeout(SOON, self.events.next()).await?.context("the subscription ended")?;
        let Some(owner_request::What::Link(link)) = OwnerRequest::decode(request.payload)?.what else {
            anyhow::bail!("no event")
        };
        self.told_under = link.ownership;
        Ok((link.what.context("an empty event")?, request.reply.context("nobody waits")?))
    }

    /// Commands the connector.
    pub(crate) async fn command(
        &self,
        ownership: u64,
        what: link_command::What,
    ) -> Result<LinkAnswer, RequestError> {
        let subject = subject::linked_commands(&self.tenant, &self.session);
        let command = LinkCommand { ownership, what: Some(what) };
        self.bus.ask_subject(subject.as_str(), &command, TraceContext::root(), SOON).await
    }

    /// The next fact of this type.
    pub(crate) async fn fact<M: Message + Default>(&mut self) -> Result<M> {
        let fact = timeout(SOON, self.facts.next()).await?.context("the subscription ended")?;
        Ok(M::decode(fact.payload)?)
    }
}
