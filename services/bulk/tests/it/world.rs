use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use chasqui_bulk::{Config, Error};
use chasqui_kit::{Bus, Platform, bus::NatsConfig, clock, door::Door, health::Health, telemetry::Metrics};
use chasqui_proto::{
    MessageId, Tenant, address,
    stream::campaign_lease,
    subject::{self, NodeToken},
    v1::{
        BulkProgress, Campaign, CampaignPlan, CampaignStatus, Channel, ChannelKind, Message, MessageType,
        Recipient, RecipientState,
    },
};
use chasqui_testkit::{NatsServer, wait_for};
use futures::StreamExt;
use prost::Message as _;
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    office::{Kept, Office, Open},
    outside::{Answering, NUMBER, Outside},
};

/// How long a fact may take to become true.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// The campaign of a test that has one.
pub(crate) const ID: &str = "0d9a4a5e-0000-4000-8000-000000000005";

/// The broker, persistence, the number, and who watches.
pub(crate) struct World {
    pub(crate) nats: NatsServer,
    pub(crate) bus: Bus,
    pub(crate) office: Office,
    pub(crate) open: Option<Open>,
    pub(crate) outside: Outside,
    pub(crate) answering: Option<Answering>,
    pub(crate) config: Config,
    told: Arc<Mutex<Vec<Told>>>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

/// A word of a campaign, and when it came.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) at: Instant,
    pub(crate) progress: BulkProgress,
}

/// One process with the service.
pub(crate) struct Replica {
    pub(crate) health: Health,
    stop: CancellationToken,
    service: JoinHandle<Result<(), Error>>,
}

impl Replica {
    /// Ends it like a crash: nothing is finished, nothing given back.
    pub(crate) async fn kill(self) {
        self.service.abort();
        let _ = self.service.await;
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.service.await??)
    }
}

pub(crate) fn tenant() -> Tenant {
    "default".parse().expect("it is a tenant")
}

impl World {
    pub(crate) async fn start() -> Result<Self> {
        let nats = NatsServer::start().await?;
        let bus = Bus::connect("test", &NatsConfig { url: nats.url(), ..NatsConfig::default() }).await?;
        chasqui_kit::stream::ensure_all(&bus).await?;
        let (office, outside) = (Office::default(), Outside::default());
        let (open, answering) = (Some(office.open(&bus).await?), Some(outside.open(&bus).await?));
        let told = Arc::default();
        let tasks = [outside.read(&bus, &office), watch(&bus, &told).await?];
        let config = Config::default();
        Ok(Self { nats, bus, office, open, outside, answering, config, told, _tasks: tasks })
    }

    /// Starts a replica and waits until it is ready.
    pub(crate) async fn replica(&self, node: &str) -> Result<Replica> {
        let health = Health::default();
        let nats = NatsConfig { url: self.nats.url(), ..NatsConfig::default() };
        let platform = Platform {
            bus: Bus::connect(node, &nats).await?,
            door: Door::new(&health, &metrics()),
            health: health.clone(),
            node: NodeToken::new(node),
            tenant: tenant(),
        };
        let stop = CancellationToken::new();
        let service = tokio::spawn(chasqui_bulk::run(self.config.clone(), platform, stop.clone()));
        wait_for(SOON, "the replica is ready", async || health.is_ready().then_some(())).await;
        Ok(Replica { health, stop, service })
    }

    /// A running campaign to so many contacts.
    pub(crate) fn runs(&self, count: u32) {
        self.runs_as(plan(), count);
    }

    /// A running campaign with a plan of its own.
    pub(crate) fn runs_as(&self, plan: CampaignPlan, count: u32) {
        let mut kept = kept(ID, plan, count);
        kept.turn(CampaignStatus::Running);
        self.office.add(kept);
    }

    /// Waits until the campaign has a status, and its newest state was told.
    pub(crate) async fn is(&self, status: CampaignStatus) -> Campaign {
        let claim = format!("the campaign is {}, and everybody knows", status.name());
        wait_for(SOON * 2, &claim, async || {
            let (campaign, told) = self.office.look(ID, |kept| (kept.campaign.clone(), kept.told_version));
            (campaign.status() == status && told == campaign.version).then_some(campaign)
        })
        .await
    }

    /// Everything that was told of the campaign.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until something is told.
    pub(crate) async fn hears(&self, claim: &str, wanted: impl Fn(&BulkProgress) -> bool) -> Told {
        wait_for(SOON, claim, async || self.told().into_iter().find(|told| wanted(&told.progress))).await
    }

    /// Waits until so many messages were sent.
    pub(crate) async fn sends(&self, count: usize) {
        let claim = format!("{count} messages are sent");
        wait_for(SOON * 2, &claim, async || (self.sent() >= count).then_some(())).await;
    }

    pub(crate) fn sent(&self) -> usize {
        self.outside.look(|seen| seen.sent.len())
    }

    /// Who runs the campaign.
    pub(crate) async fn runner(&self) -> Result<Option<String>> {
        self.runner_of(ID).await
    }

    pub(crate) async fn runner_of(&self, id: &str) -> Result<Option<String>> {
        let leases =
            chasqui_kit::lease::Leases::open(&self.bus, &NodeToken::new("test")).await.context("leases")?;
        Ok(leases.holder(&campaign_lease(&tenant(), id.parse()?)).await?)
    }

    /// Fails unless each of so many contacts was sent one message.
    pub(crate) fn each_once(&self, count: usize) {
        let sent = self.outside.look(|seen| seen.sent.clone());
        let contacts: std::collections::HashSet<&String> = sent.iter().map(|one| &one.conversation).collect();
        assert_eq!((sent.len(), contacts.len()), (count, count), "each contact is written to once");
    }

    /// Persistence is away.
    pub(crate) async fn closes_office(&mut self) -> Result<()> {
        self.open.take().context("it is open")?.close().await
    }

    pub(crate) async fn opens_office(&mut self) -> Result<()> {
        self.open = Some(self.office.open(&self.bus).await?);
        Ok(())
    }
}

/// Hears every word.
async fn watch(bus: &Bus, told: &Arc<Mutex<Vec<Told>>>) -> Result<AbortOnDropHandle<()>> {
    let subject = subject::bulk_progress(&tenant(), &NodeToken::new(ID));
    let mut words = bus.client().subscribe(subject::live(&subject).as_str().to_owned()).await?;
    bus.barrier().await?;
    let told = told.clone();
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(word) = words.next().await {
            let progress = BulkProgress::decode(word.payload).expect("it is a progress");
            let word = Told { at: Instant::now(), progress };
            told.lock().unwrap_or_else(PoisonError::into_inner).push(word);
        }
    })))
}

/// Greets each contact by name.
pub(crate) fn plan() -> CampaignPlan {
    let channel =
        Channel { kind: ChannelKind::WhatsappCloud.into(), id: NUMBER.to_owned(), ..Channel::default() };
    let message = Message {
        r#type: MessageType::Text.into(),
        text: "Hola {{nombre}}".to_owned(),
        channel: Some(channel),
        ..Message::default()
    };
    CampaignPlan { message: Some(message), message_ttl_secs: 86_400, ..CampaignPlan::default() }
}

/// A draft to so many contacts.
pub(crate) fn kept(id: &str, plan: CampaignPlan, count: u32) -> Kept {
    let uuid = id.parse().expect("it is a UUID");
    let recipients = (0..count).map(|number| {
        let contact = format!("54911{number:08}");
        let token = contact.parse().expect("it is a conversation");
        Recipient {
            line: number + 2,
            contact: Some(address::phone(&contact)),
            name: format!("Contacto {number}"),
            variables: [("nombre".to_owned(), format!("Contacto {number}"))].into(),
            state: RecipientState::Pending.into(),
            message_id: MessageId::of_campaign(uuid, &token, 1).to_string(),
            conversation: contact,
            attempt: 1,
            ..Recipient::default()
        }
    });
    let campaign = Campaign {
        tenant: tenant().to_string(),
        id: id.to_owned(),
        name: "Vacunación".to_owned(),
        status: CampaignStatus::Draft.into(),
        plan: Some(plan),
        created_at_ms: clock::now_ms(),
        ..Campaign::default()
    };
    Kept::new(campaign, recipients)
}

/// The process's only recorder: a second one would show nothing.
pub(crate) fn metrics() -> Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(Metrics::install).clone()
}
