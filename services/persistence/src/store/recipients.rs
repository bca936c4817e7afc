//! Rows of `campaign_recipients`.

use chasqui_proto::{
    ConversationToken, MessageId,
    v1::{self, ProviderError, RecipientState},
};
use prost::Message;
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{campaign_recipient::Change, campaign_request::Given, error::Error, fact};

/// How many recipients one statement removes.
const DELETED_MAX: i64 = 20_000;

/// A query for `Row`s of recipients `r`.
macro_rules! recipient_query {
    ($after:expr) => {
        recipient_query!("", $after)
    };
    ($further:literal, $after:expr) => {
        concat!(
            "select r.line, r.token, r.contact, r.name, r.variables, r.state, r.attempt, r.message_id, r.error_code,
                    r.error_title, r.error_message, r.error_details, r.queued_at, r.updated_at",
            $further,
            " from campaign_recipients r ",
            $after
        )
    };
}

/// A recipient.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) line: i32,
    token: String,
    contact: String,
    name: String,
    variables: Vec<u8>,
    state: String,
    attempt: i32,
    message_id: Option<Uuid>,
    error_code: Option<i64>,
    error_title: Option<String>,
    error_message: Option<String>,
    error_details: Option<String>,
    queued_at: Option<OffsetDateTime>,
    updated_at: OffsetDateTime,
}

impl Row {
    /// The recipient as others see it.
    pub(crate) fn state(self) -> Result<v1::Recipient, Error> {
        let contact: ConversationToken = self.contact.parse().map_err(|_| Error::Unreadable("contact"))?;
        let stored = v1::Recipient::decode(&*self.variables).map_err(|_| Error::Unreadable("variable"))?;
        let state = RecipientState::of_name(&self.state).ok_or(Error::Unreadable("state"))?;
        let error = self.error_code.map(|code| ProviderError {
            code,
            title: self.error_title.unwrap_or_default(),
            message: self.error_message.unwrap_or_default(),
            details: self.error_details.unwrap_or_default(),
        });
        Ok(v1::Recipient {
            line: u32::try_from(self.line).unwrap_or_default(),
            contact: Some(contact.alias()),
            name: self.name,
            variables: stored.variables,
            state: state.into(),
            conversation: self.token,
            message_id: self.message_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            attempt: u32::try_from(self.attempt).unwrap_or_default(),
            error,
            queued_at_ms: self.queued_at.map(fact::milliseconds).unwrap_or_default(),
            updated_at_ms: fact::milliseconds(self.updated_at),
        })
    }

    /// About how much the recipient weighs in an answer, bytes: its texts, and what is the same for all.
    pub(crate) fn weight(&self) -> usize {
        const IDS_AND_NUMBERS: usize = 96;
        IDS_AND_NUMBERS + self.token.len() + self.contact.len() + self.name.len() + self.variables.len()
    }

    /// The recipient with its next message, which is handed to its number.
    fn queued(self, campaign: Uuid) -> Result<Self, Error> {
        let token: ConversationToken = self.token.parse().map_err(|_| Error::Unreadable("token"))?;
        let attempt = self.attempt.saturating_add(1);
        let number = u32::try_from(attempt).unwrap_or_default();
        let message_id = MessageId::of_campaign(campaign, &token, number).0;
        let state = RecipientState::Queued.name().to_owned();
        Ok(Self { attempt, message_id: Some(message_id), state, ..self })
    }
}

/// Gives recipients the conversations that the tenant has under another address of theirs.
pub(crate) async fn resolve(
    connection: &mut PgConnection,
    tenant: &str,
    given: &mut [Given],
) -> Result<(), Error> {
    let unsure: Vec<&str> =
        given.iter().filter(|one| one.is_known_otherwise()).map(|one| one.contact.as_str()).collect();
    if unsure.is_empty() {
        return Ok(());
    }
    let known: Vec<(String, String)> = sqlx::query_as(
        "select alias, conversation_token from contact_aliases where tenant = $1 and alias = any($2)",
    )
    .bind(tenant)
    .bind(unsure)
    .fetch_all(connection)
    .await?;
    let known: std::collections::HashMap<String, String> = known.into_iter().collect();
    for one in given {
        if let Some(token) = known.get(one.contact.as_str()) {
            one.token = token.parse().map_err(|_| Error::Unreadable("token"))?;
        }
    }
    Ok(())
}

/// Stores recipients of a locked campaign that it does not have yet; says how many are new in which state. `given` are
/// in order of their lines.
pub(crate) async fn append(
    connection: &mut PgConnection,
    tenant: &str,
    campaign: Uuid,
    given: &[Given],
) -> sqlx::Result<Change> {
    let (pending, skipped): (i64, i64) = sqlx::query_as(
        "with stored as (
            insert into campaign_recipients (campaign_id, line, tenant, token, contact, name, variables, state)
            select $1, g.line, $2, g.token, g.contact, g.name, g.variables,
                   case when o.token is null then 'pending' else 'skipped' end
            from unnest($3::integer[], $4::text[], $5::text[], $6::text[], $7::bytea[])
                 as g (line, token, contact, name, variables)
            left join opt_outs o on o.tenant = $2 and o.token = g.token
            order by g.line
            on conflict do nothing
            returning state
         )
         select count(*) filter (where state = 'pending'), count(*) filter (where state = 'skipped') from stored",
    )
    .bind(campaign)
    .bind(tenant)
    .bind(given.iter().map(|one| one.line).collect::<Vec<_>>())
    .bind(given.iter().map(|one| one.token.as_str()).collect::<Vec<_>>())
    .bind(given.iter().map(|one| one.contact.as_str()).collect::<Vec<_>>())
    .bind(given.iter().map(|one| one.name.as_str()).collect::<Vec<_>>())
    .bind(given.iter().map(|one| one.variables.as_slice()).collect::<Vec<_>>())
    .fetch_one(connection)
    .await?;
    let mut change = Change::default();
    change.add(RecipientState::Pending, i32::try_from(pending).unwrap_or_default());
    change.add(RecipientState::Skipped, i32::try_from(skipped).unwrap_or_default());
    Ok(change)
}

/// For each line that was given: the line that has its contact, if any, and whether that contact is left out. Only those
/// that are not simply stored.
pub(crate) async fn not_accepted(
    connection: &mut PgConnection,
    campaign: Uuid,
    given: &[Given],
) -> sqlx::Result<Vec<(i32, Option<i32>)>> {
    sqlx::query_as(
        "select g.line, r.line
         from unnest($2::integer[], $3::text[]) as g (line, token)
         left join campaign_recipients r on r.campaign_id = $1 and r.token = g.token
         where r.line is distinct from g.line or r.state = 'skipped'
         order by g.line",
    )
    .bind(campaign)
    .bind(given.iter().map(|one| one.line).collect::<Vec<_>>())
    .bind(given.iter().map(|one| one.token.as_str()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
}

/// Recipients of a campaign after a line, of one state or of all.
pub(crate) async fn page(
    executor: impl PgExecutor<'_>,
    campaign: Uuid,
    state: Option<RecipientState>,
    after_line: i32,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    let query = match state {
        Some(state) => sqlx::query_as(recipient_query!(
            "where r.campaign_id = $1 and r.line > $2 and r.state = $4 order by r.line limit $3"
        ))
        .bind(campaign)
        .bind(after_line)
        .bind(limit)
        .bind(state.name()),
        None => sqlx::query_as(recipient_query!(
            "where r.campaign_id = $1 and r.line > $2 order by r.line limit $3"
        ))
        .bind(campaign)
        .bind(after_line)
        .bind(limit),
    };
    query.fetch_all(executor).await
}

/// Messages that wait for themselves may be many. The index leads past them, since the moment stands still while the query
/// runs.
const RECENTLY_QUEUED: &str = "select count(*) from (
    select from campaign_recipients
    where campaign_id = $1 and state = 'queued' and queued_at > statement_timestamp() - interval '1 minute'
    limit $2
 ) recent";

/// How many messages were handed to their number within the last minute and wait there, counted up to `limit`.
pub(crate) async fn count_recently_queued(
    connection: &mut PgConnection,
    campaign: Uuid,
    limit: i64,
) -> sqlx::Result<i64> {
    sqlx::query_scalar(RECENTLY_QUEUED).bind(campaign).bind(limit).fetch_one(connection).await
}

/// A recipient whose turn it is.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Next {
    #[sqlx(flatten)]
    pub(crate) row: Row,
    /// The contact wants no campaigns.
    pub(crate) opted_out: bool,
}

/// Who is next: an index of its own keeps that short, however many have had their turn. Whether one of them wants no
/// campaigns is asked of those alone: PostgreSQL would else read all opt-outs there are.
const NEXT: &str = concat!(
    "select n.*, exists (select from opt_outs o where o.tenant = n.tenant and o.token = n.token) as opted_out from (",
    recipient_query!(
        ", r.tenant",
        "where r.campaign_id = $1 and r.state = 'pending' order by r.line limit $2
         for no key update of r skip locked"
    ),
    ") n order by n.line"
);

/// The next recipients of a locked campaign.
pub(crate) async fn next(
    connection: &mut PgConnection,
    campaign: Uuid,
    limit: i64,
) -> sqlx::Result<Vec<Next>> {
    sqlx::query_as(NEXT).bind(campaign).bind(limit).fetch_all(connection).await
}

/// Leaves recipients out that want no campaigns.
pub(crate) async fn skip(connection: &mut PgConnection, campaign: Uuid, lines: &[i32]) -> sqlx::Result<()> {
    sqlx::query(
        "update campaign_recipients set state = 'skipped', updated_at = clock_timestamp()
         where campaign_id = $1 and line = any($2)",
    )
    .bind(campaign)
    .bind(lines)
    .execute(connection)
    .await?;
    Ok(())
}

/// Hands the next messages of recipients to their number; returns the recipients as they stand then.
pub(crate) async fn queue(
    connection: &mut PgConnection,
    campaign: Uuid,
    next: Vec<Row>,
) -> Result<Vec<v1::Recipient>, Error> {
    let mut queued = next.into_iter().map(|row| row.queued(campaign)).collect::<Result<Vec<Row>, Error>>()?;
    let at: OffsetDateTime = sqlx::query_scalar(
        "with moment as (
            select clock_timestamp() as at
         ), changed as (
            update campaign_recipients r set
                state = 'queued', attempt = q.attempt, message_id = q.message_id, queued_at = moment.at,
                updated_at = moment.at, error_code = null, error_title = null, error_message = null,
                error_details = null
            from unnest($2::integer[], $3::integer[], $4::uuid[]) as q (line, attempt, message_id), moment
            where r.campaign_id = $1 and r.line = q.line
         )
         select at from moment",
    )
    .bind(campaign)
    .bind(queued.iter().map(|row| row.line).collect::<Vec<_>>())
    .bind(queued.iter().map(|row| row.attempt).collect::<Vec<_>>())
    .bind(queued.iter().map(|row| row.message_id).collect::<Vec<_>>())
    .fetch_one(connection)
    .await?;
    for row in &mut queued {
        (row.queued_at, row.updated_at) = (Some(at), at);
    }
    queued.into_iter().map(Row::state).collect()
}

/// Queued recipients after a line whose message is not stored.
pub(crate) async fn unsettled(
    executor: impl PgExecutor<'_>,
    campaign: Uuid,
    after_line: i32,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as(recipient_query!(
        "where r.campaign_id = $1 and r.state = 'queued' and r.line > $2
           and not exists (select from messages m where m.tenant = r.tenant and m.id = r.message_id)
         order by r.line limit $3"
    ))
    .bind(campaign)
    .bind(after_line)
    .bind(limit)
    .fetch_all(executor)
    .await
}

/// Takes the turn away from recipients of a locked campaign, at most `limit`; says how many.
pub(crate) async fn cancel(connection: &mut PgConnection, campaign: Uuid, limit: i64) -> sqlx::Result<u64> {
    let cancelled = sqlx::query(
        "update campaign_recipients r set state = 'cancelled', updated_at = clock_timestamp()
         from (
            select line from campaign_recipients
            where campaign_id = $1 and state = 'pending' order by line limit $2 for no key update skip locked
         ) open
         where r.campaign_id = $1 and r.line = open.line",
    )
    .bind(campaign)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(cancelled.rows_affected())
}

/// Gives recipients of a locked campaign their turn again that had failed by a moment, at most `limit`; returns what
/// they had failed for. Contacts who want no campaigns stay as they are.
pub(crate) async fn retry(
    connection: &mut PgConnection,
    campaign: Uuid,
    retried_at: OffsetDateTime,
    limit: i64,
) -> sqlx::Result<Vec<(i64, String)>> {
    sqlx::query_as(
        "update campaign_recipients r set state = 'pending', error_code = null, error_title = null,
             error_message = null, error_details = null, updated_at = clock_timestamp()
         from (
            select line, coalesce(error_code, 0) as code, coalesce(error_title, '') as title
            from campaign_recipients f
            where campaign_id = $1 and state = 'failed' and updated_at <= $2
              and not exists (select from opt_outs o where o.tenant = f.tenant and o.token = f.token)
            order by line limit $3 for no key update of f skip locked
         ) open
         where r.campaign_id = $1 and r.line = open.line
         returning open.code, open.title",
    )
    .bind(campaign)
    .bind(retried_at)
    .bind(limit)
    .fetch_all(connection)
    .await
}

/// Whether `retry` would find anybody.
pub(crate) async fn any_to_retry(connection: &mut PgConnection, campaign: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists (
            select from campaign_recipients f
            where campaign_id = $1 and state = 'failed'
              and not exists (select from opt_outs o where o.tenant = f.tenant and o.token = f.token)
         )",
    )
    .bind(campaign)
    .fetch_one(connection)
    .await
}

/// Removes all recipients of a locked campaign, some at a time: all of a long list may take longer than a statement has.
pub(crate) async fn delete(connection: &mut PgConnection, campaign: Uuid) -> sqlx::Result<()> {
    let mut gone = Some(0);
    while let Some(after_line) = gone {
        gone = sqlx::query_scalar(
            "with gone as (
                delete from campaign_recipients where campaign_id = $1 and line in (
                    select line from campaign_recipients
                    where campaign_id = $1 and line > $2 order by line limit $3
                )
                returning line
             )
             select max(line) from gone",
        )
        .bind(campaign)
        .bind(after_line)
        .bind(DELETED_MAX)
        .fetch_one(&mut *connection)
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
