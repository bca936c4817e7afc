//! `POST /api/campaigns`: a campaign is made of what arrives, and of what was found in it.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use axum::{
    Json,
    body::BodyDataStream,
    extract::{Query, Request, State, rejection::QueryRejection},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_TYPE, EXPECT},
    },
    response::{IntoResponse, Response},
};
use bytes::BytesMut;
use chasqui_kit::{Code, clock};
use chasqui_proto::v1::{Campaign, CampaignReport};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::SemaphorePermit;
use utoipa::IntoParams;

use super::{
    Campaigns, count, count_rows,
    creation::{Created, Order},
    definition::Definition,
    form, list, shown,
};
use crate::{
    fields::FieldError,
    idempotency,
    machine::{MachineError, answer},
    openapi::{CampaignBody, CampaignForm, CampaignMade, CampaignRefused, MachineRefusals},
    query,
    refusal::refuse_with,
    request_body::{self, BodyError},
};

/// The largest body of JSON, bytes.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a request may take: the largest file at some 75 kB a second.
const UPLOAD_WAIT: Duration = Duration::from_mins(15);
/// How much of what is refused is read on, and for how long: who sees a file through before it reads the answer gets
/// the answer, not a reset.
const DISCARDED_BYTES_MAX: usize = form::FILE_BYTES_MAX;
const DISCARD_WAIT: Duration = Duration::from_secs(30);

/// What may stand in the query.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Everything is read and checked, and nothing kept.
    dry_run: bool,
}

/// Makes a campaign
///
/// Recipients stand in the body, or in a file beside it: CSV in UTF-8 with a line that names its columns, separated by
/// commas, semicolons or tabs. `{{column}}` in any text of the message is the recipient's. Unless `start` says otherwise
/// it is a draft: look at the report, then start it.
#[utoipa::path(
    post, operation_id = "create_campaign", path = "/api/campaigns", tag = "campaigns", security(("key" = []), ("bearer" = [])),
    params(
        Asked,
        ("Idempotency-Key" = Option<String>, Header, description = "The same campaign is made once; 1 to 255 characters"),
    ),
    request_body(content((CampaignBody = "application/json"), (CampaignForm = "multipart/form-data"))),
    responses(
        (status = 201, description = "Made, with what was found", body = CampaignMade),
        (status = 200, description = "It was made by an earlier request with this key; or it was a dry run, and so it would be", body = CampaignMade),
        (status = 400, description = "A field is wrong, and it says which; or nobody is left to write to, and the report says why", body = CampaignRefused),
        MachineRefusals,
    )
)]
pub(crate) async fn receive(
    State(campaigns): State<Arc<Campaigns>>,
    asked: Result<Query<Asked>, QueryRejection>,
    request: Request,
) -> Response {
    answer(async {
        let (parts, body) = request.into_parts();
        let mut body = body.into_data_stream();
        let (order, _place) = match order(&campaigns, &parts.headers, asked).await {
            Ok(admitted) => admitted,
            Err(error) => {
                // Who asks before it sends is answered, and sends nothing.
                if !parts.headers.contains_key(EXPECT) {
                    discard(&mut body).await;
                }
                return Err(error);
            }
        };
        let began = Instant::now();
        let outcome = Box::pin(make(&order, &parts.headers, &mut body)).await;
        metrics::histogram!("chasqui_ingest_campaign_upload_seconds").record(began.elapsed());
        if outcome.is_err() {
            count("refused");
            discard(&mut body).await;
        }
        Ok(told(outcome?))
    })
    .await
}

/// Who wants a campaign, if it may hand one in now, and its place while it does.
async fn order<'a>(
    campaigns: &'a Campaigns,
    headers: &HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<(Order<'a>, SemaphorePermit<'a>), MachineError> {
    let (caller, trace) = campaigns.caller(headers).await?;
    let id = idempotency::id(headers, &["campaigns", caller.tenant.as_str()])?;
    let dry_run = query::read(asked)?.dry_run;
    let place = campaigns.place()?;
    Ok((Order { campaigns, caller, trace, id, dry_run }, place))
}

async fn make(
    order: &Order<'_>,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Result<Created, MachineError> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let reading = async {
        match multer::parse_boundary(content_type) {
            Ok(boundary) => form::read(order, body, boundary).await,
            Err(_) if content_type.starts_with("multipart/") => {
                Err(FieldError::new("Content-Type", "must be multipart/form-data with a boundary").into())
            }
            Err(_) => read(order, body).await,
        }
    };
    let outcome = tokio::time::timeout(UPLOAD_WAIT, reading).await;
    outcome.unwrap_or(Err(BodyError::Incomplete.into()))
}

async fn discard(body: &mut BodyDataStream) {
    request_body::discard(body, DISCARDED_BYTES_MAX, DISCARD_WAIT).await;
}

/// Makes the campaign that a body of JSON describes.
async fn read(order: &Order<'_>, body: &mut BodyDataStream) -> Result<Created, MachineError> {
    let pieces =
        request_body::pieces(body, form::SILENCE_MAX, Arc::new(AtomicUsize::new(0)), BODY_BYTES_MAX + 1);
    let mut pieces = std::pin::pin!(pieces);
    let mut collected = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        collected.extend_from_slice(&piece?);
        if collected.len() > BODY_BYTES_MAX {
            return Err(BodyError::TooLarge(BODY_BYTES_MAX).into());
        }
    }
    let read = Definition::read_with_recipients(&collected, order.tenant(), clock::now_ms())?;
    let (definition, Some(elements)) = read else {
        return Err(FieldError::new("recipients", "is needed, or a form with a file").into());
    };
    let mut elements = elements.into_iter().zip(1..);
    let mut creation = order.open(definition).await?;
    creation.digest(&collected);
    let taken = creation
        .take(|criteria| {
            Ok::<_, MachineError>(
                elements.next().map(|(element, line)| list::recipient(line, element, criteria)),
            )
        })
        .await;
    creation.end(taken).await
}

fn told(created: Created) -> Response {
    match created {
        Created::Stored { campaign, report, is_new: true } => {
            count("created");
            count_rows(&report);
            tracing::info!(
                campaign = campaign.id,
                tenant = campaign.tenant,
                rows = report.rows,
                accepted = report.accepted,
                "a campaign was made"
            );
            made(StatusCode::CREATED, &campaign, &report, false)
        }
        Created::Stored { campaign, report, is_new: false } => {
            count("repeated");
            made(StatusCode::OK, &campaign, &report, false)
        }
        Created::Tried { campaign, report } => {
            count("dry_run");
            made(StatusCode::OK, &campaign, &report, true)
        }
        Created::Nobody(report) => {
            count("nobody");
            count_rows(&report);
            let error = match report.rows {
                0 => "recipients: there is none",
                _ => "recipients: nobody is left to write to; report says why",
            };
            refuse_with(
                Code::InvalidInput,
                json!({ "success": false, "error": error, "report": shown::report(&report) }),
            )
        }
    }
}

fn made(status: StatusCode, campaign: &Campaign, report: &CampaignReport, dry_run: bool) -> Response {
    let body = json!({
        "success": true, "dry_run": dry_run, "campaign": shown::campaign(campaign), "report": shown::report(report),
    });
    (status, Json(body)).into_response()
}
