//! Campaigns, from a terminal: the ingest takes files, persistence is asked over the bus.

mod arguments;
mod bar;
mod create;
mod screen;
mod shown;
mod watch;

use anyhow::{Context, ensure};
use chasqui_campaign::{beginning, results, zone};
use chasqui_kit::{Bus, TraceContext, clock, request::RequestError};
use chasqui_proto::{
    Tenant,
    service::{self, Endpoint},
    v1::{
        Campaign, CampaignAction, CampaignStatus, ChangeCampaign, GetCampaign, ListCampaigns, ListOptOuts,
        ListRecipients, PutOptOut, RecipientState, RemoveOptOut,
    },
};
use clap::Args;
use prost::Message;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    output::{self, Reader},
    settings::Configuration,
    table,
};
use arguments::{BulkCommand, OptOutAction};

/// How many campaigns or contacts are asked for at a time.
const PAGE_LENGTH: usize = 200;
/// How many recipients are asked for at a time.
const RECIPIENTS_PAGE_LENGTH: usize = 1_000;

/// `bulk`: without a command the process runs campaigns; with one it is a tool.
#[derive(Debug, Args)]
pub(crate) struct Bulk {
    /// The tenant whose campaigns they are; without it, the one that counts where none is named.
    #[arg(long, global = true, value_name = "NAME")]
    tenant: Option<String>,
    /// JSON lines instead of tables and bars.
    #[arg(long, global = true)]
    json: bool,
    /// Numbers of contacts whole, not masked.
    #[arg(long, global = true)]
    full: bool,
    #[command(subcommand)]
    pub(crate) command: Option<BulkCommand>,
}

/// Does what the command says.
pub(crate) async fn run(bulk: &Bulk, configuration: &Configuration) -> anyhow::Result<()> {
    let command = bulk.command.as_ref().expect("without a command main runs the service");
    if let BulkCommand::Create(options) = command {
        ensure!(bulk.tenant.is_none(), "--tenant: the API key says whose campaign it is");
        let own = || format!("http://127.0.0.1:{}", configuration.http.port);
        let ingest = options.ingest.clone().unwrap_or_else(own);
        return create::create(options, &ingest, configuration.ingest.api_key.as_ref(), bulk.json).await;
    }
    let tenant = match &bulk.tenant {
        Some(name) => name.parse()?,
        None => configuration.tenant.tenant(),
    };
    let name = format!("chasqui-bulk-{}", std::process::id());
    let bus = Bus::connect(&name, &configuration.nats).await?;
    Tool { bus: &bus, tenant, json: bulk.json, full: bulk.full }.act(command).await
}

struct Tool<'a> {
    bus: &'a Bus,
    tenant: Tenant,
    json: bool,
    full: bool,
}

impl Tool<'_> {
    async fn act(&self, command: &BulkCommand) -> anyhow::Result<()> {
        use CampaignAction::{Cancel, Pause, Resume, Retry};
        match command {
            BulkCommand::Create(_) => unreachable!("it is handed to the ingest"),
            BulkCommand::List { status, limit } => {
                let status = status.map_or(CampaignStatus::Unspecified, Into::into);
                let (campaigns, is_all) = self.campaigns(status, *limit).await?;
                let shown = if self.json { shown::campaign } else { shown::campaign_row };
                self.show(&shown::CAMPAIGN_COLUMNS, &campaigns.iter().map(shown).collect::<Vec<_>>(), is_all)
            }
            BulkCommand::Show { id } => self.show_campaign(&self.campaign(*id).await?),
            BulkCommand::Watch { ids, all: false } => watch::watch(self, ids).await,
            BulkCommand::Watch { all: true, .. } => self.watch_all().await,
            BulkCommand::Start { id, at, time_zone } => {
                let at = at.as_deref().map(|at| (at, time_zone.as_deref()));
                self.start(*id, at).await
            }
            BulkCommand::Pause { id } => self.change(*id, Pause, 0).await,
            BulkCommand::Resume { id } => self.change(*id, Resume, 0).await,
            BulkCommand::Cancel { id } => self.change(*id, Cancel, 0).await,
            BulkCommand::Retry { id } => self.change(*id, Retry, 0).await,
            BulkCommand::Recipients { id, state, limit } => {
                let state = state.map_or(RecipientState::Unspecified, Into::into);
                self.recipients(*id, state, *limit).await
            }
            BulkCommand::Results { id } => self.results(*id).await,
            BulkCommand::OptOut { action } => self.opt_out(action).await,
        }
    }

    async fn campaign(&self, id: Uuid) -> Result<Campaign, RequestError> {
        let question = GetCampaign { tenant: self.tenant.to_string(), id: id.to_string() };
        self.ask(service::CAMPAIGNS_GET, &question).await
    }

    /// At most so many, and whether there are no more.
    async fn campaigns(
        &self,
        status: CampaignStatus,
        limit: usize,
    ) -> Result<(Vec<Campaign>, bool), RequestError> {
        paged(limit, PAGE_LENGTH, async |cursor, limit| {
            let (tenant, status) = (self.tenant.to_string(), status.into());
            let question = ListCampaigns { tenant, status, cursor, limit };
            let page = self.ask(service::CAMPAIGNS_LIST, &question).await?;
            Ok((page.campaigns, page.next))
        })
        .await
    }

    async fn watch_all(&self) -> anyhow::Result<()> {
        let mut ids = Vec::new();
        for status in [CampaignStatus::Running, CampaignStatus::Paused, CampaignStatus::Scheduled] {
            let (campaigns, _) = self.campaigns(status, watch::WATCHED_MAX + 1).await?;
            for campaign in campaigns {
                ids.push(campaign.id.parse().context("a campaign's id is a UUID")?);
            }
        }
        if ids.is_empty() {
            eprintln!("no campaign is running, paused or scheduled");
            return Ok(());
        }
        watch::watch(self, &ids).await
    }

    /// `at` is a time and the zone it is in; without a zone it is in the campaign's own.
    async fn start(&self, id: Uuid, at: Option<(&str, Option<&str>)>) -> anyhow::Result<()> {
        let scheduled_at_ms = match at {
            None => 0,
            Some((at, time_zone)) => {
                let own = self.campaign(id).await?.plan.unwrap_or_default().time_zone;
                let zone = zone(time_zone.unwrap_or(&own))
                    .map_err(|error| anyhow::anyhow!("--time-zone: {error}"))?;
                beginning(at, &zone, clock::now_ms()).map_err(|error| anyhow::anyhow!("--at: {error}"))?
            }
        };
        self.change(id, CampaignAction::Start, scheduled_at_ms).await
    }

    async fn change(&self, id: Uuid, action: CampaignAction, scheduled_at_ms: i64) -> anyhow::Result<()> {
        let question = ChangeCampaign {
            tenant: self.tenant.to_string(),
            id: id.to_string(),
            action: action.into(),
            scheduled_at_ms,
            ..ChangeCampaign::default()
        };
        let campaign = self.ask(service::CAMPAIGNS_CHANGE, &question).await?;
        if self.json {
            output::line(shown::campaign(&campaign))?;
            return Ok(());
        }
        output::line(format!("campaign {id} is {}", campaign.status().name()))?;
        if matches!(campaign.status(), CampaignStatus::Running | CampaignStatus::Scheduled) {
            output::line(format!("next: chasqui bulk watch {id}"))?;
        }
        Ok(())
    }

    fn show_campaign(&self, campaign: &Campaign) -> anyhow::Result<()> {
        if self.json {
            output::line(shown::campaign(campaign))?;
            return Ok(());
        }
        for line in shown::campaign_lines(campaign) {
            output::line(line)?;
        }
        let problems = campaign.report.as_ref().map_or(&[][..], |report| &report.problems);
        if problems.is_empty() {
            return Ok(());
        }
        output::line("")?;
        self.show(&shown::PROBLEM_COLUMNS, &problems.iter().map(shown::problem).collect::<Vec<_>>(), true)
    }

    async fn recipients(&self, id: Uuid, state: RecipientState, limit: usize) -> anyhow::Result<()> {
        let (recipients, is_all) = paged(limit, RECIPIENTS_PAGE_LENGTH, async |cursor, limit| {
            let (tenant, id) = (self.tenant.to_string(), id.to_string());
            let question = ListRecipients { tenant, id, state: state.into(), cursor, limit };
            let page = self.ask(service::CAMPAIGNS_RECIPIENTS, &question).await?;
            Ok((page.recipients, page.next))
        })
        .await?;
        let rows: Vec<Value> =
            recipients.iter().map(|recipient| shown::recipient(recipient, self.full)).collect();
        self.show(&shown::RECIPIENT_COLUMNS, &rows, is_all)
    }

    /// Page by page, so that the longest list needs no more memory than one.
    async fn results(&self, id: Uuid) -> anyhow::Result<()> {
        let mut question = ListRecipients {
            tenant: self.tenant.to_string(),
            id: id.to_string(),
            limit: u32::try_from(RECIPIENTS_PAGE_LENGTH)?,
            ..ListRecipients::default()
        };
        let mut header = Some(results::header()).filter(|_| !self.json);
        loop {
            let page = self.ask(service::CAMPAIGNS_RECIPIENTS, &question).await?;
            let text = if self.json {
                let shown = |recipient| format!("{}\n", shown::recipient(recipient, self.full));
                page.recipients.iter().map(shown).collect::<String>().into_bytes()
            } else {
                results::lines(&page.recipients, |number| shown::said_of(number, self.full))
            };
            let text = [header.take().unwrap_or_default(), text].concat();
            if output::bytes(&text)? == Reader::Left {
                return Ok(());
            }
            question.cursor = page.next;
            if question.cursor.is_empty() {
                break;
            }
        }
        if !self.full {
            eprintln!("numbers are masked; --full writes them whole");
        }
        Ok(())
    }

    async fn opt_out(&self, action: &OptOutAction) -> anyhow::Result<()> {
        let tenant = self.tenant.to_string();
        match action {
            OptOutAction::List { limit } => {
                let (opt_outs, is_all) = paged(*limit, PAGE_LENGTH, async |cursor, limit| {
                    let question = ListOptOuts { tenant: tenant.clone(), cursor, limit };
                    let page = self.ask(service::OPT_OUTS_LIST, &question).await?;
                    Ok((page.opt_outs, page.next))
                })
                .await?;
                let rows: Vec<Value> =
                    opt_outs.iter().map(|opt_out| shown::opt_out(opt_out, self.full)).collect();
                self.show(&shown::OPT_OUT_COLUMNS, &rows, is_all)
            }
            OptOutAction::Put { contact } => {
                let question = PutOptOut { tenant, conversation: contact.clone() };
                let opt_out = self.ask(service::OPT_OUTS_PUT, &question).await?;
                self.show(&shown::OPT_OUT_COLUMNS, &[shown::opt_out(&opt_out, self.full)], true)
            }
            OptOutAction::Remove { contact } => {
                let question = RemoveOptOut { tenant, conversation: contact.clone() };
                let removed = self.ask(service::OPT_OUTS_REMOVE, &question).await?.removed;
                ensure!(removed, "this contact has not opted out");
                let said = if self.json {
                    json!({ "removed": true }).to_string()
                } else {
                    "this contact may get campaigns again".to_owned()
                };
                output::line(said)?;
                Ok(())
            }
        }
    }

    fn show(&self, columns: &[&str], rows: &[Value], is_all: bool) -> anyhow::Result<()> {
        let lines = match (self.json, rows) {
            (true, rows) => rows.iter().map(ToString::to_string).collect(),
            (false, []) => Vec::new(),
            (false, rows) => table::columns(columns, rows),
        };
        for line in lines {
            if output::line(line)? == Reader::Left {
                return Ok(());
            }
        }
        if !is_all {
            eprintln!("there are more; --limit shows them");
        }
        Ok(())
    }

    async fn ask<Q: Message, A: Message + Default>(
        &self,
        endpoint: Endpoint<Q, A>,
        question: &Q,
    ) -> Result<A, RequestError> {
        self.bus.ask(endpoint, question, TraceContext::root()).await
    }
}

/// Asks for page after page until there are `limit` entries or no more; whether there are no more.
async fn paged<T>(
    limit: usize,
    page_length: usize,
    page: impl AsyncFn(String, u32) -> Result<(Vec<T>, String), RequestError>,
) -> Result<(Vec<T>, bool), RequestError> {
    let (mut entries, mut cursor) = (Vec::new(), String::new());
    while entries.len() < limit {
        let length = page_length.min(limit - entries.len());
        let (more, next) = page(cursor, u32::try_from(length).unwrap_or(u32::MAX)).await?;
        entries.extend(more);
        cursor = next;
        if cursor.is_empty() {
            break;
        }
    }
    let is_all = cursor.is_empty();
    Ok((entries, is_all))
}
