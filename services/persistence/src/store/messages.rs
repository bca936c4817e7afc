//! Rows of `messages`.

use std::collections::HashSet;

use chasqui_proto::v1::{self, Direction};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    fact::{self, Fact},
    response::Turn,
    word,
};

/// Stores messages that are not stored yet; returns the positions of those. `messages` are in order of tenant and id.
pub(super) async fn insert(
    connection: &mut PgConnection,
    messages: &[(&Fact, &v1::Message)],
) -> sqlx::Result<HashSet<i64>> {
    macro_rules! column {
        (|$fact:ident, $message:ident| $value:expr) => {
            messages.iter().map(|($fact, $message)| $value).collect::<Vec<_>>()
        };
    }
    let inserted: Vec<i64> = sqlx::query_scalar(
        "insert into messages (tenant, id, conversation_id, sender_type, message_type, text_content, media_url,
                               direction, channel, provider_id, seq, event, created_at, received_at)
         select * from unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                              $8::text[], $9::text[], $10::text[], $11::bigint[], $12::bytea[],
                              $13::timestamptz[], $14::timestamptz[])
         on conflict do nothing
         returning seq",
    )
    .bind(column!(|fact, _message| fact.place.tenant.as_str()))
    .bind(column!(|fact, _message| fact.id))
    .bind(column!(|fact, _message| fact.place.id))
    .bind(column!(|_fact, message| word::sender_type(message.sender_type())))
    .bind(column!(|_fact, message| word::message_type(message.r#type())))
    .bind(column!(|_fact, message| fact::text(&message.text)))
    .bind(column!(|_fact, message| message.media.as_ref().and_then(|media| fact::text(&media.url))))
    .bind(column!(|_fact, message| word::direction(message.direction())))
    .bind(column!(|_fact, message| word::channel_kind(fact::channel_kind(message))))
    .bind(column!(|_fact, message| fact::text(&message.provider_id)))
    .bind(column!(|fact, _message| fact.seq))
    .bind(column!(|fact, _message| &fact.event[..]))
    .bind(column!(|_fact, message| {
        fact::moment(fact::either(message.occurred_at_ms, message.received_at_ms))
    }))
    .bind(column!(|_fact, message| {
        fact::moment(fact::either(message.received_at_ms, message.occurred_at_ms))
    }))
    .fetch_all(connection)
    .await?;
    Ok(inserted.into_iter().collect())
}

/// The turns of conversations from the answer before a position, each conversation's in order.
pub(super) async fn stretches(
    connection: &mut PgConnection,
    from: &[(Uuid, i64)],
) -> sqlx::Result<Vec<(Uuid, Turn)>> {
    let (ids, positions): (Vec<Uuid>, Vec<i64>) = from.iter().copied().unzip();
    let rows: Vec<(Uuid, i64, bool, i64)> = sqlx::query_as(
        "select late.conversation_id, m.seq, m.direction = 'in',
                (extract(epoch from m.received_at) * 1000)::bigint
         from unnest($1::uuid[], $2::bigint[]) as late (conversation_id, seq)
         cross join lateral (
            select coalesce(max(o.seq), 0) as seq from (
                select seq from messages
                where conversation_id = late.conversation_id and direction = 'out' and seq < late.seq
                order by seq desc limit 1
            ) o
         ) answer
         join messages m on m.conversation_id = late.conversation_id and m.seq > answer.seq
         order by late.conversation_id, m.seq",
    )
    .bind(ids)
    .bind(positions)
    .fetch_all(connection)
    .await?;
    let turn = |(id, seq, inbound, at_ms)| {
        let direction = if inbound { Direction::In } else { Direction::Out };
        (id, Turn { seq, direction, at_ms })
    };
    Ok(rows.into_iter().map(turn).collect())
}
