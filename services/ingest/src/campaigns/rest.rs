//! `/api/campaigns`: what there is, how it stands, and what is done with it.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use chasqui_kit::{Code, Coded, TraceContext, clock, request::RequestError};
use chasqui_proto::{
    Tenant, service,
    v1::{Campaign, CampaignAction, CampaignStatus, ChangeCampaign, GetCampaign, ListCampaigns},
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::{Campaigns, campaign_id, count, definition, shown};
use crate::{
    fields::{FieldError, Fields},
    machine::{self, MachineError, answer},
    openapi::{CampaignChanged, CampaignPage, CampaignShown, CampaignStart, MachineRefusals},
    query,
};

/// What a caller can do to a campaign.
const ACTIONS: [CampaignAction; 5] = [
    CampaignAction::Start,
    CampaignAction::Pause,
    CampaignAction::Resume,
    CampaignAction::Cancel,
    CampaignAction::Retry,
];
/// How many campaigns a page has, where nothing is said, and at most.
const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;

/// What may stand in the query of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Only those that stand so: `uploading`, `draft`, `scheduled`, `running`, `paused`, `completed`, `cancelled` or
    /// `failed`.
    status: String,
    /// How many, 1 to 200. Default 50.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: String,
}

/// Campaigns, newest first
#[utoipa::path(
    get, operation_id = "list_campaigns", path = "/api/campaigns", tag = "campaigns", security(("key" = []), ("bearer" = [])),
    params(Asked),
    responses((status = 200, description = "A page of them", body = CampaignPage), MachineRefusals)
)]
pub(crate) async fn list(
    State(campaigns): State<Arc<Campaigns>>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let (caller, trace) = campaigns.caller(&headers).await?;
        let Asked { status, limit, cursor } = query::read(asked)?;
        let status = CampaignStatus::of_name(&status)
            .ok_or_else(|| FieldError::new("status", "must be a status of campaigns such as running"))?;
        let limit = page_limit(limit, LIMIT_DEFAULT, LIMIT_MAX)?;
        let question =
            ListCampaigns { tenant: caller.tenant.to_string(), status: status.into(), cursor, limit };
        let page = campaigns.bus().ask(service::CAMPAIGNS_LIST, &question, trace).await?;
        let found: Vec<Value> = page.campaigns.iter().map(shown::campaign).collect();
        let next = Some(page.next).filter(|next| !next.is_empty());
        Ok(Json(json!({ "success": true, "campaigns": found, "next": next })).into_response())
    })
    .await
}

/// One campaign, with what was found when its recipients were read
#[utoipa::path(
    get, operation_id = "show_campaign", path = "/api/campaigns/{id}", tag = "campaigns", security(("key" = []), ("bearer" = [])),
    params(("id" = String, Path, description = "The campaign's id")),
    responses((status = 200, description = "It, as it stands", body = CampaignShown), MachineRefusals)
)]
pub(crate) async fn show(
    State(campaigns): State<Arc<Campaigns>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let (caller, trace) = campaigns.caller(&headers).await?;
        let campaign = campaigns.get(&caller.tenant, &id, trace).await?;
        let report = campaign.report.as_ref().map(shown::report);
        Ok(Json(json!({ "success": true, "campaign": shown::campaign(&campaign), "report": report }))
            .into_response())
    })
    .await
}

/// Starts, pauses, resumes, cancels or retries a campaign
///
/// `start` begins a draft, now or at a time. `resume` goes on with what was paused or stopped by itself. `cancel` sends
/// nothing more, for ever; what was handed to WhatsApp goes its way. `retry` gives failed recipients their turn again.
/// Doing something twice is doing it once.
#[utoipa::path(
    post, operation_id = "change_campaign", path = "/api/campaigns/{id}/{action}", tag = "campaigns",
    security(("key" = []), ("bearer" = [])),
    params(
        ("id" = String, Path, description = "The campaign's id"),
        ("action" = String, Path, description = "`start`, `pause`, `resume`, `cancel` or `retry`", example = "start"),
    ),
    request_body(content = Option<CampaignStart>, description = "Only `start` takes one"),
    responses((status = 200, description = "It, as it stands now", body = CampaignChanged), MachineRefusals)
)]
pub(crate) async fn change(
    State(campaigns): State<Arc<Campaigns>>,
    Path((id, action)): Path<(String, String)>,
    request: Request,
) -> Response {
    answer(async {
        let (caller, trace) = campaigns.caller(request.headers()).await?;
        let action = CampaignAction::of_name(&action).filter(|action| ACTIONS.contains(action));
        let action = action.ok_or_else(|| {
            FieldError::new("action", "must be start, pause, resume, cancel or retry")
        })?;
        let mut fields = Fields::read_optional(&machine::body(request).await?)?;
        let when = if action == CampaignAction::Start { When::read(&mut fields)? } else { None };
        fields.end()?;
        let scheduled_at_ms = match when {
            None => 0,
            Some(when) => campaigns.schedule(&caller.tenant, &id, when, trace).await?,
        };
        let question = ChangeCampaign {
            tenant: caller.tenant.to_string(),
            id: campaign_id(&id)?,
            action: action.into(),
            scheduled_at_ms,
            ..ChangeCampaign::default()
        };
        let changed = campaigns.bus().ask(service::CAMPAIGNS_CHANGE, &question, trace).await;
        let campaign = changed.map_err(missing)?;
        count(action.name());
        tracing::info!(
            tenant = %caller.tenant, campaign = campaign.id, action = action.name(), status = campaign.status().name(),
            "a campaign was changed"
        );
        Ok(Json(json!({ "success": true, "campaign": shown::campaign(&campaign) })).into_response())
    })
    .await
}

/// When a draft is to begin.
#[derive(Debug)]
struct When {
    at: String,
    zone: Option<String>,
}

impl When {
    fn read(fields: &mut Fields) -> Result<Option<Self>, FieldError> {
        let (at, zone) = (fields.text("scheduled_at")?, fields.text("time_zone")?);
        Ok(at.map(|at| Self { at, zone }))
    }
}

/// How many a page has.
pub(super) fn page_limit(asked: Option<u32>, usual: u32, most: u32) -> Result<u32, FieldError> {
    let limit = asked.unwrap_or(usual);
    let is_within = (1..=most).contains(&limit);
    is_within.then_some(limit).ok_or_else(|| FieldError::new("limit", format!("must be 1 to {most}")))
}

/// What persistence does not have is not there; everything else is its error.
pub(super) fn missing(error: RequestError) -> MachineError {
    match error.code() {
        Code::NotFound => MachineError::NoCampaign,
        _ => error.into(),
    }
}

impl Campaigns {
    /// A campaign of the tenant by the id of a path.
    async fn get(&self, tenant: &Tenant, id: &str, trace: TraceContext) -> Result<Campaign, MachineError> {
        let question = GetCampaign { tenant: tenant.to_string(), id: campaign_id(id)? };
        self.bus().ask(service::CAMPAIGNS_GET, &question, trace).await.map_err(missing)
    }

    /// When a draft is to begin: in the zone of the campaign where none is named.
    async fn schedule(
        &self,
        tenant: &Tenant,
        id: &str,
        when: When,
        trace: TraceContext,
    ) -> Result<i64, MachineError> {
        let zone = match when.zone {
            Some(zone) => zone,
            None => self.get(tenant, id, trace).await?.plan.unwrap_or_default().time_zone,
        };
        Ok(definition::schedule(&when.at, &zone, clock::now_ms())?)
    }
}
