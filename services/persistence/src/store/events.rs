//! Stored messages and statuses, by their positions.

use chasqui_proto::v1::{self, stored_event};
use prost::Message;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{error::Error, word};

/// Messages of a conversation before a position, newest first.
pub(crate) async fn messages_before(
    pool: &PgPool,
    conversation: Uuid,
    before_seq: i64,
    limit: i64,
) -> Result<Vec<v1::StoredMessage>, Error> {
    let rows: Vec<(i64, i16, Vec<u8>)> = sqlx::query_as(
        "select seq, status_rank, event from messages
         where conversation_id = $1 and seq < $2 order by seq desc limit $3",
    )
    .bind(conversation)
    .bind(before_seq)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(stored_message).collect()
}

/// One message.
pub(crate) async fn message(
    pool: &PgPool,
    tenant: &str,
    id: Uuid,
) -> Result<Option<v1::StoredMessage>, Error> {
    let row: Option<(i64, i16, Vec<u8>)> =
        sqlx::query_as("select seq, status_rank, event from messages where tenant = $1 and id = $2")
            .bind(tenant)
            .bind(id)
            .fetch_optional(pool)
            .await?;
    row.map(stored_message).transpose()
}

/// Messages to the web widget of a contact that did not reach it, newest first, those up to a position.
pub(crate) async fn undelivered(
    pool: &PgPool,
    conversation: Uuid,
    since: OffsetDateTime,
    up_to_seq: i64,
    limit: i64,
) -> Result<Vec<v1::StoredMessage>, Error> {
    let rows: Vec<(i64, i16, Vec<u8>)> = sqlx::query_as(
        "select seq, status_rank, event from messages
         where conversation_id = $1 and direction = 'out' and channel = 'widget' and status_rank < $2
           and received_at > $3 and seq <= $4
         order by seq desc limit $5",
    )
    .bind(conversation)
    .bind(i16::try_from(v1::Status::Delivered as i32).unwrap_or(i16::MAX))
    .bind(since)
    .bind(up_to_seq)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(stored_message).collect()
}

/// Positions of what is asked for: after the first, up to the second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) after_seq: i64,
    pub(crate) up_to_seq: i64,
}

/// Messages and statuses of a tenant, or of one of its conversations, in order.
pub(crate) async fn within(
    pool: &PgPool,
    tenant: &str,
    conversation: Option<Uuid>,
    span: Span,
    limit: i64,
) -> Result<Vec<v1::StoredEvent>, Error> {
    let rows: Vec<(i64, bool, Vec<u8>)> = match conversation {
        Some(id) => {
            sqlx::query_as(
                "(select seq, true, event from messages
                  where conversation_id = $1 and seq > $2 and seq <= $3 order by seq limit $4)
                 union all
                 (select seq, false, event from message_statuses
                  where conversation_id = $1 and seq > $2 and seq <= $3 order by seq limit $4)
                 order by 1 limit $4",
            )
            .bind(id)
            .bind(span.after_seq)
            .bind(span.up_to_seq)
            .bind(limit)
            .fetch_all(pool)
            .await?
        }
        None => {
            sqlx::query_as(
                "(select seq, true, event from messages
                  where tenant = $1 and seq > $2 and seq <= $3 order by seq limit $4)
                 union all
                 (select seq, false, event from message_statuses
                  where tenant = $1 and seq > $2 and seq <= $3 order by seq limit $4)
                 order by 1 limit $4",
            )
            .bind(tenant)
            .bind(span.after_seq)
            .bind(span.up_to_seq)
            .bind(limit)
            .fetch_all(pool)
            .await?
        }
    };
    rows.into_iter().map(stored_event).collect()
}

fn stored_message((seq, rank, event): (i64, i16, Vec<u8>)) -> Result<v1::StoredMessage, Error> {
    let message = v1::Message::decode(event.as_slice()).map_err(|_| Error::Unreadable("message"))?;
    Ok(v1::StoredMessage {
        message: Some(message),
        status: word::status_of_rank(rank).into(),
        seq: u64::try_from(seq).unwrap_or_default(),
    })
}

fn stored_event((seq, is_message, event): (i64, bool, Vec<u8>)) -> Result<v1::StoredEvent, Error> {
    let event = event.as_slice();
    let fact = if is_message {
        v1::Message::decode(event).map(stored_event::Fact::Message)
    } else {
        v1::MessageStatus::decode(event).map(stored_event::Fact::Status)
    };
    let fact = fact.map_err(|_| Error::Unreadable("event"))?;
    Ok(v1::StoredEvent { seq: u64::try_from(seq).unwrap_or_default(), fact: Some(fact) })
}
