//! What the runners of campaigns ask for.

use chasqui_proto::v1::{self, CampaignStatus, RecipientState};
use prost::Message;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    campaign,
    campaign_recipient::Change,
    campaign_request as request,
    campaigns::{self, Campaigns},
    error::Error,
    meter, page,
    queries::{one_more, tenant},
    store::{
        campaigns::{self as rows, Row, Turn},
        recipients,
    },
};

/// How many campaigns are told to be due when nobody says how many, and at most.
const DUE_DEFAULT: u32 = 64;
const DUE_MAX: u32 = 1_000;

impl Campaigns {
    pub(crate) async fn due(&self, question: v1::ListDueCampaigns) -> Result<v1::DueCampaigns, Error> {
        let limit = if question.limit == 0 { DUE_DEFAULT } else { question.limit.min(DUE_MAX) };
        let found = rows::due(&self.pool, i64::from(limit)).await?;
        let due = |(tenant, id): (String, Uuid)| v1::DueCampaign { tenant, id: id.to_string() };
        Ok(v1::DueCampaigns { campaigns: found.into_iter().map(due).collect() })
    }

    pub(crate) async fn advance(&self, question: v1::AdvanceCampaign) -> Result<v1::CampaignAdvanced, Error> {
        let (tenant, id) = (tenant(&question.tenant)?, campaign::id(&question.id)?);
        let ownership = request::number("ownership", question.ownership)?;
        let told_version = request::number("told_version", question.told_version)?;
        let mut transaction = self.pool.begin().await?;
        let row = campaigns::lock(&mut transaction, &tenant, id).await?;
        row.fence(ownership)?;
        if row.is_news(ownership, told_version) {
            rows::own(&mut transaction, id, ownership, told_version).await?;
        }
        let before = row.status()?;
        let mut status = before;
        if before == CampaignStatus::Scheduled && row.is_due {
            status = CampaignStatus::Running;
            turn(&mut transaction, &row, status).await?;
        }
        let mut change = campaigns::sweep(&mut transaction, &row).await?;
        let mut queued = Vec::new();
        if status == CampaignStatus::Running {
            queued = claim(&mut transaction, id, &question, &mut change).await?;
        }
        campaigns::count(&mut transaction, id, &change).await?;
        if status == CampaignStatus::Running && row.is_done(&change) {
            status = CampaignStatus::Completed;
            turn(&mut transaction, &row, status).await?;
        }
        let campaign = if question.limit == 0 {
            rows::plan(&mut *transaction, tenant.as_str(), id).await?
        } else {
            rows::glance(&mut *transaction, tenant.as_str(), id).await?
        };
        transaction.commit().await?;
        if status != before {
            meter::campaign(status.name());
        }
        meter::recipients(&change);
        let campaign = campaign.ok_or(Error::NotFound("campaign"))?.state()?;
        Ok(v1::CampaignAdvanced { campaign: Some(campaign), recipients: queued })
    }

    pub(crate) async fn unsettled(&self, question: v1::ListUnsettled) -> Result<v1::UnsettledPage, Error> {
        let (tenant, id) = (tenant(&question.tenant)?, campaign::id(&question.id)?);
        let ownership = request::number("ownership", question.ownership)?;
        let limit = page::limit_up_to(question.limit, request::RECIPIENTS_LISTED_MAX)?;
        let after = i32::try_from(question.after_line).unwrap_or(i32::MAX);
        let mut transaction = self.pool.begin().await?;
        let row = campaigns::lock(&mut transaction, &tenant, id).await?;
        row.fence(ownership)?;
        if row.is_news(ownership, 0) {
            rows::own(&mut transaction, id, ownership, 0).await?;
        }
        transaction.commit().await?;
        let found = recipients::unsettled(&self.pool, id, after, one_more(limit)).await?;
        let found =
            found.into_iter().map(recipients::Row::state).collect::<Result<Vec<v1::Recipient>, Error>>()?;
        let (recipients, _) = page::cut(found, limit, Message::encoded_len);
        Ok(v1::UnsettledPage { recipients })
    }
}

async fn turn(connection: &mut PgConnection, row: &Row, status: CampaignStatus) -> Result<(), Error> {
    let turn = Turn { status, error: String::new(), scheduled_at: row.scheduled_at, retried: false };
    Ok(rows::turn(connection, row.id, &turn).await?)
}

/// Hands the next messages of a locked campaign to their number: no more than was asked for, than leave the window there,
/// and than fit into an answer. Adds what that changes in its counts.
async fn claim(
    connection: &mut PgConnection,
    id: Uuid,
    asked: &v1::AdvanceCampaign,
    change: &mut Change,
) -> Result<Vec<v1::Recipient>, Error> {
    let (limit, window) = (i64::from(asked.limit.min(request::QUEUED_MAX)), i64::from(asked.window));
    if limit == 0 {
        return Ok(Vec::new());
    }
    let recent = recipients::count_recently_queued(connection, id, window).await?;
    let limit = limit.min(window - recent);
    if limit <= 0 {
        return Ok(Vec::new());
    }
    let next = recipients::next(connection, id, limit).await?;
    let (next, _) = page::cut(next, usize::MAX, |next| next.row.weight());
    let (left_out, next): (Vec<_>, Vec<_>) = next.into_iter().partition(|next| next.opted_out);
    if !left_out.is_empty() {
        let lines: Vec<i32> = left_out.iter().map(|next| next.row.line).collect();
        recipients::skip(connection, id, &lines).await?;
        change.move_from(RecipientState::Pending, RecipientState::Skipped, count(&lines));
    }
    if next.is_empty() {
        return Ok(Vec::new());
    }
    change.move_from(RecipientState::Pending, RecipientState::Queued, count(&next));
    recipients::queue(connection, id, next.into_iter().map(|next| next.row).collect()).await
}

fn count<T>(rows: &[T]) -> i32 {
    i32::try_from(rows.len()).unwrap_or_default()
}
