//! Conversations as others see them.

use chasqui_proto::{ConversationToken, v1};
use prost::Message;
use sqlx::{PgExecutor, postgres::PgRow, prelude::*};
use uuid::Uuid;

use crate::{error::Error, fact, word};

/// Everything of `v1::Conversation`; a conversation of which only statuses are known is none yet.
macro_rules! state_query {
    ($rest:literal) => {
        concat!(
            "select c.id, c.tenant, c.token, c.number, c.contact_name, c.contact_username, c.contact_photo_url,
                    c.channel_kind, c.channel_id, c.channel_number, c.channel_account_id, c.unread_count,
                    c.last_message_at, c.last_seq, c.started_at, c.ai_active, c.personality_id, c.no_ac_ai, c.version,
                    c.updated_at, c.steered_at, m.event as last_event, m.status_rank as last_status_rank,
                    array(select a.alias from contact_aliases a
                          where a.tenant = c.tenant and a.conversation_token = c.token order by a.alias) as aliases
             from conversations c
             left join messages m on m.tenant = c.tenant and m.id = c.last_message_id ",
            $rest
        )
    };
}

/// A conversation and the position of its newest message.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) conversation: v1::Conversation,
    pub(crate) last_seq: i64,
}

/// The states of some conversations.
pub(crate) async fn of_ids(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<Vec<State>, Error> {
    let query = sqlx::query(state_query!("where c.id = any($1) and c.last_seq > 0")).bind(ids);
    read_all(&query.fetch_all(executor).await?)
}

/// The states that are newer than the given versions of them.
pub(crate) async fn newer(
    executor: impl PgExecutor<'_>,
    versions: &[(String, u64)],
) -> Result<Vec<v1::Conversation>, Error> {
    let ids: Vec<Uuid> = versions.iter().filter_map(|(id, _)| id.parse().ok()).collect();
    let known: Vec<i64> =
        versions.iter().map(|(_, version)| i64::try_from(*version).unwrap_or(i64::MAX)).collect();
    let query = sqlx::query(state_query!(
        "join unnest($1::uuid[], $2::bigint[]) as known (id, version)
              on known.id = c.id and known.version < c.version"
    ));
    let found = read_all(&query.bind(ids).bind(known).fetch_all(executor).await?)?;
    Ok(found.into_iter().map(|state| state.conversation).collect())
}

/// Conversations of a tenant, newest first, those before a position.
pub(crate) async fn page(
    executor: impl PgExecutor<'_>,
    tenant: &str,
    before_seq: i64,
    limit: i64,
) -> Result<Vec<State>, Error> {
    let query = sqlx::query(state_query!(
        "where c.tenant = $1 and c.last_seq > 0 and c.last_seq < $2 order by c.last_seq desc limit $3"
    ));
    read_all(&query.bind(tenant).bind(before_seq).bind(limit).fetch_all(executor).await?)
}

/// Conversations of a tenant with messages after a position, and those of `ids`.
pub(crate) async fn changed_since(
    executor: impl PgExecutor<'_>,
    tenant: &str,
    after_seq: i64,
    ids: &[Uuid],
    limit: i64,
) -> Result<Vec<State>, Error> {
    let query = sqlx::query(state_query!(
        "where c.tenant = $1 and (c.last_seq > $2 or c.id = any($3)) and c.last_seq > 0 limit $4"
    ));
    read_all(&query.bind(tenant).bind(after_seq).bind(ids).bind(limit).fetch_all(executor).await?)
}

fn read_all(rows: &[PgRow]) -> Result<Vec<State>, Error> {
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<State, Error> {
    let text = |column: &str| row.try_get::<Option<String>, _>(column).map(Option::unwrap_or_default);
    let moment = |column: &str| -> sqlx::Result<i64> {
        Ok(row.try_get::<Option<_>, _>(column)?.map(fact::milliseconds).unwrap_or_default())
    };
    let kind = row.try_get::<Option<String>, _>("channel_kind")?;
    let channel = kind.map(|kind| -> sqlx::Result<v1::Channel> {
        Ok(v1::Channel {
            kind: word::read_channel_kind(&kind).into(),
            id: text("channel_id")?,
            display_phone_number: text("channel_number")?,
            account_id: text("channel_account_id")?,
        })
    });
    let token: String = row.try_get("token")?;
    let last_rank: Option<i16> = row.try_get("last_status_rank")?;
    let conversation = v1::Conversation {
        id: row.try_get::<Uuid, _>("id")?.to_string(),
        tenant: row.try_get("tenant")?,
        number: u64::try_from(row.try_get::<i64, _>("number")?).unwrap_or_default(),
        contact: Some(v1::Contact {
            aliases: addresses(&token, &row.try_get::<Vec<String>, _>("aliases")?)?,
            name: text("contact_name")?,
            username: text("contact_username")?,
            photo_url: text("contact_photo_url")?,
        }),
        token,
        channel: channel.transpose()?,
        unread_count: u32::try_from(row.try_get::<i32, _>("unread_count")?).unwrap_or_default(),
        last_message: row.try_get::<Option<&[u8]>, _>("last_event")?.map(without_raw).transpose()?,
        last_message_status: last_rank.map_or(v1::Status::Unspecified, word::status_of_rank).into(),
        last_message_at_ms: moment("last_message_at")?,
        started_at_ms: moment("started_at")?,
        ai_active: row.try_get("ai_active")?,
        personality_id: row
            .try_get::<Option<Uuid>, _>("personality_id")?
            .map_or_else(String::new, |id| id.to_string()),
        no_ac_ai: row.try_get("no_ac_ai")?,
        version: u64::try_from(row.try_get::<i64, _>("version")?).unwrap_or_default(),
        updated_at_ms: moment("updated_at")?,
        steered_at_ms: moment("steered_at")?,
    };
    Ok(State { conversation, last_seq: row.try_get("last_seq")? })
}

/// The contact's addresses, the one that names the conversation first.
fn addresses(token: &str, aliases: &[String]) -> Result<Vec<v1::Alias>, Error> {
    let read = |text: &str| text.parse::<ConversationToken>().map(|token| token.alias());
    std::iter::once(token)
        .chain(aliases.iter().map(String::as_str))
        .map(|text| read(text).map_err(|_| Error::Unreadable("address")))
        .collect()
}

fn without_raw(event: &[u8]) -> Result<v1::Message, Error> {
    let mut message = v1::Message::decode(event).map_err(|_| Error::Unreadable("message"))?;
    message.raw.clear();
    Ok(message)
}
