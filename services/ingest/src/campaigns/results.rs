//! What became of each recipient: a page of JSON, or all of them as CSV.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{
        HeaderMap,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chasqui_campaign::results;
use chasqui_kit::{TraceContext, request::RequestError};
use chasqui_proto::{
    service,
    v1::{ListRecipients, RecipientPage, RecipientState},
};
use futures::{Stream, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::{
    Campaigns, campaign_id,
    rest::{missing, page_limit},
    shown::recipient as shown,
};
use crate::{
    fields::FieldError,
    machine::answer,
    openapi::{MachineRefusals, RecipientPageShown},
    query,
};

/// How many recipients a page has, where nothing is said, and at most.
const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;

/// What may stand in the query of a list of recipients.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Only those that stand so: `pending`, `queued`, `sent`, `delivered`, `read`, `failed`, `skipped` or `cancelled`.
    state: String,
    /// How many, 1 to 1,000. Default 100.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: String,
}

/// Recipients of a campaign, in order of their lines
#[utoipa::path(
    get, operation_id = "list_recipients", path = "/api/campaigns/{id}/recipients", tag = "campaigns",
    security(("key" = []), ("bearer" = [])), params(("id" = String, Path, description = "The campaign's id"), Asked),
    responses((status = 200, description = "A page of them, each with what became of its message", body = RecipientPageShown), MachineRefusals)
)]
pub(crate) async fn list(
    State(campaigns): State<Arc<Campaigns>>,
    Path(id): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let (caller, trace) = campaigns.caller(&headers).await?;
        let Asked { state, limit, cursor } = query::read(asked)?;
        let state = RecipientState::of_name(&state)
            .ok_or_else(|| FieldError::new("state", "must be a state of recipients such as failed"))?;
        let question = ListRecipients {
            tenant: caller.tenant.to_string(),
            id: campaign_id(&id)?,
            state: state.into(),
            cursor,
            limit: page_limit(limit, LIMIT_DEFAULT, LIMIT_MAX)?,
        };
        let page = campaigns.page(&question, trace).await.map_err(missing)?;
        let recipients: Vec<Value> = page.recipients.iter().map(shown).collect();
        let next = Some(page.next).filter(|next| !next.is_empty());
        Ok(Json(json!({ "success": true, "recipients": recipients, "next": next })).into_response())
    })
    .await
}

/// What became of each recipient, as CSV
///
/// In order of their lines. What a spreadsheet would take for a formula begins with `'`.
#[utoipa::path(
    get, operation_id = "campaign_results", path = "/api/campaigns/{id}/results.csv", tag = "campaigns",
    security(("key" = []), ("bearer" = [])), params(("id" = String, Path, description = "The campaign's id")),
    responses(
        (
            status = 200, body = String, content_type = "text/csv",
            description = "A line of columns, then one for each recipient. Where it breaks off the connection is cut",
            example = "line,to,name,state,message_id,attempt,error_code,error,queued_at,updated_at\r\n2,5491100000001,,delivered,bb546885-ac53-5a74-9874-21a589139ff4,1,,,2026-12-01T12:00:00.000Z,2026-12-01T12:00:03.120Z\r\n",
        ),
        MachineRefusals,
    )
)]
pub(crate) async fn file(
    State(campaigns): State<Arc<Campaigns>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let (caller, trace) = campaigns.caller(&headers).await?;
        let (tenant, id) = (caller.tenant.to_string(), campaign_id(&id)?);
        let question = ListRecipients { tenant, id, limit: LIMIT_MAX, ..ListRecipients::default() };
        let name = format!("attachment; filename=\"campaign-{}.csv\"", question.id);
        // What is wrong with the question is told with a status of its own.
        let first = campaigns.page(&question, trace).await.map_err(missing)?;
        let headers = [(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)];
        Ok((headers, Body::from_stream(pages(campaigns.clone(), question, first, trace))).into_response())
    })
    .await
}

/// Each page as lines, from the first one on. The next is asked for when the one before was read.
fn pages(
    campaigns: Arc<Campaigns>,
    question: ListRecipients,
    first: RecipientPage,
    trace: TraceContext,
) -> impl Stream<Item = Result<Bytes, RequestError>> {
    let header = stream::iter([Ok(results::header().into())]);
    let rest = stream::unfold(Some((question, Some(first))), move |state| {
        let campaigns = campaigns.clone();
        async move {
            let (question, read) = state?;
            let page = match read {
                Some(first) => Ok(first),
                None => campaigns.page(&question, trace).await,
            };
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, campaign = question.id, "results broke off");
                    return Some((Err(error), None));
                }
            };
            let lines = results::lines(&page.recipients, str::to_owned);
            let next = Some(page.next).filter(|next| !next.is_empty());
            let next = next.map(|cursor| (ListRecipients { cursor, ..question }, None));
            Some((Ok(lines.into()), next))
        }
    });
    futures::StreamExt::chain(header, rest)
}

impl Campaigns {
    async fn page(
        &self,
        question: &ListRecipients,
        trace: TraceContext,
    ) -> Result<RecipientPage, RequestError> {
        self.bus().ask(service::CAMPAIGNS_RECIPIENTS, question, trace).await
    }
}
