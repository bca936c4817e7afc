//! Campaigns: made, read and changed by people.

use chasqui_kit::{TraceContext, clock, serve::Responder};
use chasqui_proto::{
    Tenant, service,
    v1::{self, CampaignAction, CampaignStatus, RecipientState},
};
use prost::Message;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    campaign,
    campaign_recipient::{Change, Changes},
    campaign_request::{self as request, Creation},
    error::Error,
    fact, meter, page,
    queries::{one_more, tenant},
    store::{
        campaigns::{self as rows, Row, Turn},
        campaigns_counts, recipients,
    },
};

/// How many recipients one transaction cancels or gives their turn again: about a tenth of a second's work, during which
/// statuses of the campaign wait. The runner asks for the rest.
const SWEPT_MAX: i64 = 5_000;

/// Answers for campaigns.
#[derive(Clone, Debug)]
pub(crate) struct Campaigns {
    pub(crate) pool: PgPool,
}

impl Campaigns {
    /// Answers requests about campaigns.
    pub(crate) async fn answer(&self, responder: &Responder) -> Result<(), Error> {
        macro_rules! answer {
            ($endpoint:ident, $method:ident) => {
                let campaigns = self.clone();
                let answer = move |question, _: TraceContext| {
                    let campaigns = campaigns.clone();
                    async move { campaigns.$method(question).await }
                };
                responder.endpoint(service::$endpoint, answer).await?;
            };
        }
        answer!(CAMPAIGNS_CREATE, create);
        answer!(CAMPAIGNS_APPEND, append);
        answer!(CAMPAIGNS_SEAL, seal);
        answer!(CAMPAIGNS_GET, get);
        answer!(CAMPAIGNS_LIST, list);
        answer!(CAMPAIGNS_CHANGE, change);
        answer!(CAMPAIGNS_RECIPIENTS, list_recipients);
        answer!(CAMPAIGNS_DUE, due);
        answer!(CAMPAIGNS_ADVANCE, advance);
        answer!(CAMPAIGNS_UNSETTLED, unsettled);
        Ok(())
    }

    async fn create(&self, question: v1::CreateCampaign) -> Result<v1::Campaign, Error> {
        let creation = Creation::read(question)?;
        let (tenant, id) = (creation.tenant.clone(), creation.id);
        let mut transaction = self.pool.begin().await?;
        if !rows::insert(&mut transaction, &creation).await? {
            let locked = rows::lock(&mut transaction, tenant.as_str(), id).await?;
            let row = locked.ok_or(Error::Conflict { field: "id", problem: "it is in use already" })?;
            if row.status()? == CampaignStatus::Uploading && row.upload != creation.upload {
                recipients::delete(&mut transaction, id).await?;
                rows::begin_again(&mut transaction, &creation).await?;
            }
        }
        transaction.commit().await?;
        self.state(&tenant, id).await
    }

    async fn append(&self, question: v1::AppendRecipients) -> Result<v1::RecipientsAppended, Error> {
        let (tenant, id) = (tenant(&question.tenant)?, campaign::id(&question.id)?);
        let upload = campaign::upload(&question.upload)?;
        let mut given = request::recipients(question)?;
        let mut transaction = self.pool.begin().await?;
        uploading(lock(&mut transaction, &tenant, id).await?, upload)?;
        recipients::resolve(&mut transaction, tenant.as_str(), &mut given).await?;
        let change = recipients::append(&mut transaction, tenant.as_str(), id, &given).await?;
        let not_accepted = recipients::not_accepted(&mut transaction, id, &given).await?;
        count(&mut transaction, id, &change).await?;
        let mut appended = v1::RecipientsAppended::default();
        for (line, holder) in not_accepted {
            let number = u32::try_from(line).unwrap_or_default();
            match holder {
                Some(holder) if holder == line => appended.opted_out.push(number),
                Some(holder) => {
                    let first_line = u32::try_from(holder).unwrap_or_default();
                    appended.duplicates.push(v1::DuplicateRow { line: number, first_line });
                }
                None => {
                    let problem = "a line has another contact already";
                    return Err(Error::Conflict { field: "recipients.line", problem });
                }
            }
        }
        transaction.commit().await?;
        Ok(appended)
    }

    async fn seal(&self, question: v1::SealCampaign) -> Result<v1::Campaign, Error> {
        let (tenant, id) = (tenant(&question.tenant)?, campaign::id(&question.id)?);
        let upload = campaign::upload(&question.upload)?;
        if question.digest.is_empty() || question.digest.len() > 64 {
            return Err(Error::Invalid { field: "digest", expected: "must have 1 to 64 bytes".to_owned() });
        }
        let report = request::report(question.report)?;
        let mut transaction = self.pool.begin().await?;
        let row = lock(&mut transaction, &tenant, id).await?;
        if row.status()? != CampaignStatus::Uploading {
            if row.digest.as_deref() != Some(&question.digest[..]) {
                let problem = "it was used for another campaign";
                return Err(Error::Conflict { field: "Idempotency-Key", problem });
            }
            drop(transaction);
            return self.state(&tenant, id).await;
        }
        let row = uploading(row, upload)?;
        let status = campaign::sealed(question.start, is_later(row.scheduled_at));
        let turn = Turn { status, error: String::new(), scheduled_at: row.scheduled_at, retried: false };
        rows::note(&mut transaction, id, &question.digest, &report).await?;
        rows::turn(&mut transaction, id, &turn).await?;
        if question.discard {
            let state = whole(&mut transaction, &tenant, id).await?;
            recipients::delete(&mut transaction, id).await?;
            rows::delete(&mut transaction, id).await?;
            transaction.commit().await?;
            return Ok(state);
        }
        transaction.commit().await?;
        meter::campaign(status.name());
        self.state(&tenant, id).await
    }

    async fn get(&self, question: v1::GetCampaign) -> Result<v1::Campaign, Error> {
        self.state(&tenant(&question.tenant)?, campaign::id(&question.id)?).await
    }

    async fn list(&self, question: v1::ListCampaigns) -> Result<v1::CampaignPage, Error> {
        let (tenant, limit) = (tenant(&question.tenant)?, page::limit(question.limit)?);
        let before = page::before(&question.cursor)?;
        let status = match CampaignStatus::try_from(question.status) {
            Ok(CampaignStatus::Unspecified) => None,
            Ok(status) => Some(status),
            Err(_) => return Err(unknown("status")),
        };
        let found = rows::page(&self.pool, tenant.as_str(), status, before, one_more(limit)).await?;
        let placed = |row: Row| Ok((row.position, row.state()?));
        let found = found.into_iter().map(placed).collect::<Result<Vec<(i64, v1::Campaign)>, Error>>()?;
        let (found, left) = page::cut(found, limit, |(_, campaign)| campaign.encoded_len());
        let next = found.last().filter(|_| left).map(|(position, _)| page::cursor_before(*position));
        let campaigns = found.into_iter().map(|(_, campaign)| campaign).collect();
        Ok(v1::CampaignPage { campaigns, next: next.unwrap_or_default() })
    }

    async fn list_recipients(&self, question: v1::ListRecipients) -> Result<v1::RecipientPage, Error> {
        let (tenant, id) = (tenant(&question.tenant)?, campaign::id(&question.id)?);
        let limit = page::limit_up_to(question.limit, request::RECIPIENTS_LISTED_MAX)?;
        let after = page::after(&question.cursor)?;
        let state = match RecipientState::try_from(question.state) {
            Ok(RecipientState::Unspecified) => None,
            Ok(state) => Some(state),
            Err(_) => return Err(unknown("state")),
        };
        let campaign = rows::glance(&self.pool, tenant.as_str(), id).await?;
        campaign.ok_or(Error::NotFound("campaign"))?;
        let found = recipients::page(&self.pool, id, state, after, one_more(limit)).await?;
        let found =
            found.into_iter().map(recipients::Row::state).collect::<Result<Vec<v1::Recipient>, Error>>()?;
        let (recipients, left) = page::cut(found, limit, Message::encoded_len);
        let next = recipients.last().filter(|_| left).map(|last| page::cursor_after(last.line));
        Ok(v1::RecipientPage { recipients, next: next.unwrap_or_default() })
    }

    async fn change(&self, question: v1::ChangeCampaign) -> Result<v1::Campaign, Error> {
        let (tenant, id) = (tenant(&question.tenant)?, campaign::id(&question.id)?);
        let action = match CampaignAction::try_from(question.action) {
            Ok(CampaignAction::Unspecified) | Err(_) => return Err(unknown("action")),
            Ok(action) => action,
        };
        let (is_start, is_stop) = (action == CampaignAction::Start, action == CampaignAction::Stop);
        let at = request::scheduled_at(question.scheduled_at_ms)?.filter(|_| is_start);
        let ownership = request::number("ownership", question.ownership)?;
        let mut transaction = self.pool.begin().await?;
        let row = lock(&mut transaction, &tenant, id).await?;
        if is_stop {
            row.fence(ownership)?;
        }
        let before = row.status()?;
        let status = campaign::turn(before, action, is_later(at))?;
        let is_moved = status == CampaignStatus::Scheduled && at != row.scheduled_at;
        let is_retry = action == CampaignAction::Retry;
        // One that runs goes on, and those who failed so far have another turn in it.
        let changes = if is_retry {
            recipients::any_to_retry(&mut transaction, id).await?
        } else {
            status != before || is_moved
        };
        if !changes {
            drop(transaction);
            return self.state(&tenant, id).await;
        }
        if is_retry && before == CampaignStatus::Cancelled && row.pending > 0 {
            let problem = "the campaign is still being cancelled";
            return Err(Error::Conflict { field: "status", problem });
        }
        let error = if is_stop { request::reason(&question.error) } else { String::new() };
        let scheduled_at = if is_start { at } else { row.scheduled_at };
        rows::turn(&mut transaction, id, &Turn { status, error, scheduled_at, retried: is_retry }).await?;
        let row = lock(&mut transaction, &tenant, id).await?;
        let swept = sweep(&mut transaction, &row).await?;
        count(&mut transaction, id, &swept).await?;
        let state = whole(&mut transaction, &tenant, id).await?;
        transaction.commit().await?;
        if status != before {
            meter::campaign(status.name());
        }
        meter::recipients(&swept);
        Ok(state)
    }

    async fn state(&self, tenant: &Tenant, id: Uuid) -> Result<v1::Campaign, Error> {
        let row = rows::get(&self.pool, tenant.as_str(), id).await?;
        row.ok_or(Error::NotFound("campaign"))?.state()
    }
}

/// The locked campaign of an id.
pub(crate) async fn lock(connection: &mut PgConnection, tenant: &Tenant, id: Uuid) -> Result<Row, Error> {
    let row = rows::lock(connection, tenant.as_str(), id).await?;
    row.ok_or(Error::NotFound("campaign"))
}

/// Does a part of what was asked of all recipients of a locked campaign and is not done yet: cancelled ones lose their
/// turn, failed ones get it again. Says what that changes in its counts.
pub(crate) async fn sweep(connection: &mut PgConnection, row: &Row) -> Result<Change, Error> {
    let mut change = Change::default();
    match (row.status()?, row.retried_at) {
        (CampaignStatus::Cancelled, _) if row.pending > 0 => {
            let count = recipients::cancel(connection, row.id, SWEPT_MAX).await?;
            let count = i32::try_from(count).unwrap_or_default();
            change.move_from(RecipientState::Pending, RecipientState::Cancelled, count);
        }
        (CampaignStatus::Running, Some(retried_at)) => {
            let reasons = recipients::retry(connection, row.id, retried_at, SWEPT_MAX).await?;
            for (code, title) in &reasons {
                change.move_from(RecipientState::Failed, RecipientState::Pending, 1);
                change.reason(*code, title, -1);
            }
            if i64::try_from(reasons.len()).is_ok_and(|count| count < SWEPT_MAX) {
                rows::end_retry(connection, row.id).await?;
            }
        }
        _ => {}
    }
    Ok(change)
}

/// Adds what changed to the counts of a locked campaign.
pub(crate) async fn count(connection: &mut PgConnection, id: Uuid, change: &Change) -> Result<(), Error> {
    if !change.is_nothing() {
        campaigns_counts::add(connection, &Changes::from([(id, change.clone())])).await?;
    }
    Ok(())
}

async fn whole(connection: &mut PgConnection, tenant: &Tenant, id: Uuid) -> Result<v1::Campaign, Error> {
    let row = rows::get(connection, tenant.as_str(), id).await?;
    row.ok_or(Error::NotFound("campaign"))?.state()
}

/// The campaign, where it takes recipients of this upload.
fn uploading(row: Row, upload: Uuid) -> Result<Row, Error> {
    if row.status()? != CampaignStatus::Uploading {
        return Err(Error::Conflict { field: "id", problem: "the campaign has all its recipients already" });
    }
    if row.upload != upload {
        return Err(Error::Conflict { field: "upload", problem: "another upload has begun since" });
    }
    Ok(row)
}

fn is_later(at: Option<OffsetDateTime>) -> bool {
    at.is_some_and(|at| fact::milliseconds(at) > clock::now_ms())
}

fn unknown(field: &'static str) -> Error {
    Error::Invalid { field, expected: "must be one that is known".to_owned() }
}
