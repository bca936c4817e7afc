//! Rows of `campaigns`.

use chasqui_proto::v1::{self, CampaignStatus, RecipientState};
use prost::Message;
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{campaign_recipient::Change, campaign_request::Creation, error::Error, fact};

/// A query for `Row`s of campaigns `c`. Of plan and report, which are long, it has what `content` says; of the reasons
/// that recipients failed for the most frequent ones.
macro_rules! campaign_query {
    ($content:literal, $after:expr) => {
        concat!(
            "select c.id, c.tenant, c.position, c.name, c.status, c.digest, c.upload, c.created_by, c.error,
                    c.scheduled_at, c.started_at, c.ended_at, c.retried_at, c.version, c.told_version, c.ownership,
                    c.pending, c.queued, c.sent, c.delivered, c.read, c.failed, c.skipped, c.cancelled,
                    c.created_at, c.updated_at, coalesce(c.scheduled_at <= clock_timestamp(), true) as is_due, ",
            $content,
            ", f.codes, f.titles, f.counts
             from campaigns c
             cross join lateral (
                select array_agg(code order by count desc, code, title) as codes,
                       array_agg(title order by count desc, code, title) as titles,
                       array_agg(count order by count desc, code, title) as counts
                from (
                    select code, title, count from campaign_failures
                    where campaign_id = c.id and count > 0 order by count desc, code, title limit 20
                ) frequent
             ) f ",
            $after
        )
    };
}

/// A campaign.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    tenant: String,
    pub(crate) position: i64,
    name: String,
    status: String,
    pub(crate) digest: Option<Vec<u8>>,
    pub(crate) upload: Uuid,
    created_by: String,
    pub(crate) error: String,
    pub(crate) scheduled_at: Option<OffsetDateTime>,
    started_at: Option<OffsetDateTime>,
    ended_at: Option<OffsetDateTime>,
    pub(crate) retried_at: Option<OffsetDateTime>,
    version: i64,
    told_version: i64,
    ownership: i64,
    pub(crate) pending: i32,
    pub(crate) queued: i32,
    sent: i32,
    delivered: i32,
    read: i32,
    pub(crate) failed: i32,
    skipped: i32,
    cancelled: i32,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    /// Its time has come, or it has none.
    pub(crate) is_due: bool,
    plan: Option<Vec<u8>>,
    report: Option<Vec<u8>>,
    codes: Option<Vec<i64>>,
    titles: Option<Vec<String>>,
    counts: Option<Vec<i32>>,
}

impl Row {
    pub(crate) fn status(&self) -> Result<CampaignStatus, Error> {
        CampaignStatus::of_name(&self.status).ok_or(Error::Unreadable("status"))
    }

    /// Refuses a runner that was replaced.
    pub(crate) fn fence(&self, ownership: i64) -> Result<(), Error> {
        if ownership < self.ownership {
            return Err(Error::Conflict { field: "ownership", problem: "a newer runner has the campaign" });
        }
        Ok(())
    }

    /// Whether a runner says something new of itself.
    pub(crate) fn is_news(&self, ownership: i64, told_version: i64) -> bool {
        ownership > self.ownership || told_version.min(self.version) > self.told_version
    }

    /// Whether nothing is left to send, and nothing to be heard of, after its counts changed.
    pub(crate) fn is_done(&self, change: &Change) -> bool {
        let open = |now: i32, state| now + change.of(state) > 0;
        let is_open =
            open(self.pending, RecipientState::Pending) || open(self.queued, RecipientState::Queued);
        !is_open && self.retried_at.is_none()
    }

    /// The campaign as others see it.
    pub(crate) fn state(self) -> Result<v1::Campaign, Error> {
        let status = self.status()?.into();
        let scheduled_at_ms = self.scheduled_at.map(fact::milliseconds).unwrap_or_default();
        let plan = self.plan.as_deref().map(v1::CampaignPlan::decode).transpose();
        let plan = plan.map_err(|_| Error::Unreadable("plan"))?;
        let report = self.report.as_deref().map(v1::CampaignReport::decode).transpose();
        let counts = [
            self.pending,
            self.queued,
            self.sent,
            self.delivered,
            self.read,
            self.failed,
            self.skipped,
            self.cancelled,
        ];
        let [pending, queued, sent, delivered, read, failed, skipped, cancelled] = counts.map(unsigned);
        let total = counts.map(unsigned).iter().sum();
        let reasons = self.codes.into_iter().flatten().zip(self.titles.into_iter().flatten());
        let failures = reasons
            .zip(self.counts.into_iter().flatten())
            .map(|((code, title), count)| v1::FailureCount { code, title, count: unsigned(count) });
        Ok(v1::Campaign {
            tenant: self.tenant,
            id: self.id.to_string(),
            name: self.name,
            status,
            plan: plan.map(|plan| v1::CampaignPlan { scheduled_at_ms, ..plan }),
            counts: Some(v1::RecipientCounts {
                total,
                pending,
                queued,
                sent,
                delivered,
                read,
                failed,
                skipped,
                cancelled,
            }),
            failures: failures.collect(),
            error: self.error,
            created_by: self.created_by,
            created_at_ms: fact::milliseconds(self.created_at),
            started_at_ms: self.started_at.map(fact::milliseconds).unwrap_or_default(),
            ended_at_ms: self.ended_at.map(fact::milliseconds).unwrap_or_default(),
            updated_at_ms: fact::milliseconds(self.updated_at),
            version: u64::try_from(self.version).unwrap_or_default(),
            report: report.map_err(|_| Error::Unreadable("report"))?,
        })
    }
}

/// The whole campaign of an id.
pub(crate) async fn get(executor: impl PgExecutor<'_>, tenant: &str, id: Uuid) -> sqlx::Result<Option<Row>> {
    sqlx::query_as(campaign_query!("c.plan, c.report", "where c.tenant = $1 and c.id = $2"))
        .bind(tenant)
        .bind(id)
        .fetch_optional(executor)
        .await
}

/// The campaign without its report.
pub(crate) async fn plan(executor: impl PgExecutor<'_>, tenant: &str, id: Uuid) -> sqlx::Result<Option<Row>> {
    sqlx::query_as(campaign_query!("c.plan, null::bytea as report", "where c.tenant = $1 and c.id = $2"))
        .bind(tenant)
        .bind(id)
        .fetch_optional(executor)
        .await
}

/// The campaign without plan and report.
pub(crate) async fn glance(
    executor: impl PgExecutor<'_>,
    tenant: &str,
    id: Uuid,
) -> sqlx::Result<Option<Row>> {
    sqlx::query_as(campaign_query!(
        "null::bytea as plan, null::bytea as report",
        "where c.tenant = $1 and c.id = $2"
    ))
    .bind(tenant)
    .bind(id)
    .fetch_optional(executor)
    .await
}

/// The same, and nobody else changes it until the transaction ends. Taken before any of its recipients, of which those
/// are left alone that somebody else has: who stores statuses takes them the other way round.
pub(crate) async fn lock(connection: &mut PgConnection, tenant: &str, id: Uuid) -> sqlx::Result<Option<Row>> {
    sqlx::query_as(campaign_query!(
        "null::bytea as plan, null::bytea as report",
        "where c.tenant = $1 and c.id = $2 for no key update of c"
    ))
    .bind(tenant)
    .bind(id)
    .fetch_optional(connection)
    .await
}

/// Campaigns of a tenant, newest first, those before a position; without their reports.
pub(crate) async fn page(
    executor: impl PgExecutor<'_>,
    tenant: &str,
    status: Option<CampaignStatus>,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    macro_rules! page {
        ($filter:literal) => {
            campaign_query!(
                "c.plan, null::bytea as report",
                concat!(
                    "where c.tenant = $1 and c.position < $2",
                    $filter,
                    " order by c.position desc limit $3"
                )
            )
        };
    }
    let query = match status {
        Some(status) => sqlx::query_as(page!(" and c.status = $4"))
            .bind(tenant)
            .bind(before)
            .bind(limit)
            .bind(status.name()),
        None => sqlx::query_as(page!("")).bind(tenant).bind(before).bind(limit),
    };
    query.fetch_all(executor).await
}

/// Every replica of the runners asks this twice a second: indexes leave out those that are told and at rest, and those
/// whose time is far.
const DUE: &str = "(select tenant, id from campaigns
      where status <> 'uploading'
        and (status = 'running' or told_version < version or (status = 'cancelled' and pending > 0))
      order by position limit $1)
     union
     (select tenant, id from campaigns
      where status = 'scheduled' and scheduled_at <= statement_timestamp()
      order by scheduled_at limit $1)
     limit $1";

/// Campaigns of all tenants that want a runner.
pub(crate) async fn due(executor: impl PgExecutor<'_>, limit: i64) -> sqlx::Result<Vec<(String, Uuid)>> {
    sqlx::query_as(DUE).bind(limit).fetch_all(executor).await
}

/// Stores a campaign unless there is one of its id; says whether it is new.
pub(crate) async fn insert(connection: &mut PgConnection, creation: &Creation) -> sqlx::Result<bool> {
    let stored = sqlx::query(
        "insert into campaigns (id, tenant, upload, name, created_by, scheduled_at, plan)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (id) do nothing",
    )
    .bind(creation.id)
    .bind(creation.tenant.as_str())
    .bind(creation.upload)
    .bind(&creation.name)
    .bind(&creation.created_by)
    .bind(creation.scheduled_at)
    .bind(&creation.plan)
    .execute(connection)
    .await?;
    Ok(stored.rows_affected() > 0)
}

/// A locked campaign, whose recipients are gone, takes those of another upload.
pub(crate) async fn begin_again(connection: &mut PgConnection, creation: &Creation) -> sqlx::Result<()> {
    sqlx::query(
        "update campaigns set upload = $2, name = $3, created_by = $4, scheduled_at = $5, plan = $6,
             pending = 0, skipped = 0, version = version + 1, updated_at = clock_timestamp()
         where id = $1",
    )
    .bind(creation.id)
    .bind(creation.upload)
    .bind(&creation.name)
    .bind(&creation.created_by)
    .bind(creation.scheduled_at)
    .bind(&creation.plan)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes what a locked campaign's recipients were read from, and what was found.
pub(crate) async fn note(
    connection: &mut PgConnection,
    id: Uuid,
    digest: &[u8],
    report: &[u8],
) -> sqlx::Result<()> {
    sqlx::query("update campaigns set digest = $2, report = $3 where id = $1")
        .bind(id)
        .bind(digest)
        .bind(report)
        .execute(connection)
        .await?;
    Ok(())
}

/// What becomes of a campaign.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) status: CampaignStatus,
    pub(crate) error: String,
    pub(crate) scheduled_at: Option<OffsetDateTime>,
    /// Recipients who have failed so far get their turn again.
    pub(crate) retried: bool,
}

/// Gives a locked campaign another status.
pub(crate) async fn turn(connection: &mut PgConnection, id: Uuid, turn: &Turn) -> sqlx::Result<()> {
    sqlx::query(
        "update campaigns set
            status = $2, error = $3, scheduled_at = $4,
            started_at = case when $2 = 'running' and status <> 'running' then clock_timestamp() else started_at end,
            ended_at = case
                when $2 in ('completed', 'cancelled', 'failed') then clock_timestamp()
                when $2 = 'running' then null
                else ended_at
            end,
            retried_at = case when $5 then clock_timestamp() when $2 = 'cancelled' then null else retried_at end,
            version = version + 1, updated_at = clock_timestamp()
         where id = $1",
    )
    .bind(id)
    .bind(turn.status.name())
    .bind(&turn.error)
    .bind(turn.scheduled_at)
    .bind(turn.retried)
    .execute(connection)
    .await?;
    Ok(())
}

/// All failed recipients of a locked campaign have their turn again.
pub(crate) async fn end_retry(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query("update campaigns set retried_at = null where id = $1").bind(id).execute(connection).await?;
    Ok(())
}

/// Notes who runs a locked campaign, and which version that one told last.
pub(crate) async fn own(
    connection: &mut PgConnection,
    id: Uuid,
    ownership: i64,
    told_version: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "update campaigns set ownership = greatest(ownership, $2),
             told_version = greatest(told_version, least($3, version))
         where id = $1",
    )
    .bind(id)
    .bind(ownership)
    .bind(told_version)
    .execute(connection)
    .await?;
    Ok(())
}

/// An upload that nothing came for since a moment; nobody else takes it until the transaction ends.
pub(crate) async fn abandoned(
    connection: &mut PgConnection,
    before: OffsetDateTime,
) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar(
        "select id from campaigns where status = 'uploading' and updated_at < $1
         order by updated_at limit 1 for update skip locked",
    )
    .bind(before)
    .fetch_optional(connection)
    .await
}

/// Removes a locked campaign whose recipients are gone.
pub(crate) async fn delete(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query("delete from campaigns where id = $1").bind(id).execute(connection).await?;
    Ok(())
}

fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests;
