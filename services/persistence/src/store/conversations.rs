//! Rows of `conversations`.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use chasqui_proto::{ConversationId, address};

use super::counters;
use crate::{
    conversation::Conversation,
    counters::{Changes, UNREAD},
    fact::Place,
};

/// Makes the conversations that do not exist yet. `places` are in order, so that two replicas that make the same ones
/// wait for each other and never in a circle. A conflict may be seen in any of the table's keys: with one of them named, two
/// that make the same one at the same moment may meet in another, and one fails.
pub(crate) async fn ensure(connection: &mut PgConnection, places: &[&Place]) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = places.iter().map(|place| place.id).collect();
    let tenants: Vec<&str> = places.iter().map(|place| place.tenant.as_str()).collect();
    let tokens: Vec<&str> = places.iter().map(|place| place.token.as_str()).collect();
    let number = |place: &&Place| i64::try_from(ConversationId(place.id).number()).unwrap_or(i64::MAX);
    let numbers: Vec<i64> = places.iter().map(number).collect();
    let address = |place: &&Place| {
        let written = address::external_id(&place.token.alias());
        written.replace('\0', "\u{fffd}")
    };
    let addresses: Vec<String> = places.iter().map(address).collect();
    sqlx::query(
        "insert into conversations (id, tenant, token, number, external_id)
         select p.id, p.tenant, p.token, p.number, p.external_id
         from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[])
              as p (id, tenant, token, number, external_id)
         where not exists (select from conversations c where c.id = p.id)
         order by p.id
         on conflict do nothing",
    )
    .bind(ids)
    .bind(tenants)
    .bind(tokens)
    .bind(numbers)
    .bind(addresses)
    .execute(connection)
    .await?;
    Ok(())
}

/// Reads conversations and keeps everyone else from changing them until the transaction ends. Statements after this
/// one see everything that others stored of them.
pub(super) async fn lock(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Conversation>> {
    sqlx::query_as(
        "select id, tenant, contact_name, contact_username, contact_photo_url, contact_seq, channel_kind,
                channel_id, channel_number, channel_account_id, channel_seq, started_at, unread_count,
                last_message_id, last_message_at, last_seq, last_out_seq, read_seq, awaiting_seq,
                awaiting_reply_since
         from conversations where id = any($1) order by id for no key update",
    )
    .bind(ids)
    .fetch_all(connection)
    .await
}

/// Writes locked conversations back.
pub(super) async fn update(connection: &mut PgConnection, rows: &[&Conversation]) -> sqlx::Result<()> {
    macro_rules! column {
        ($field:ident) => {
            rows.iter().map(|row| row.$field.clone()).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "update conversations c set
            contact_name = u.contact_name, contact_username = u.contact_username,
            contact_photo_url = u.contact_photo_url, contact_seq = u.contact_seq, channel_kind = u.channel_kind,
            channel_id = u.channel_id, channel_number = u.channel_number,
            channel_account_id = u.channel_account_id, channel_seq = u.channel_seq, started_at = u.started_at,
            unread_count = u.unread_count, last_message_id = u.last_message_id,
            last_message_at = u.last_message_at, last_seq = u.last_seq, last_out_seq = u.last_out_seq,
            awaiting_seq = u.awaiting_seq, awaiting_reply_since = u.awaiting_reply_since,
            version = c.version + 1, updated_at = now()
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
                     $8::text[], $9::text[], $10::bigint[], $11::timestamptz[], $12::integer[], $13::uuid[],
                     $14::timestamptz[], $15::bigint[], $16::bigint[], $17::bigint[], $18::timestamptz[])
              as u (id, contact_name, contact_username, contact_photo_url, contact_seq, channel_kind, channel_id,
                    channel_number, channel_account_id, channel_seq, started_at, unread_count, last_message_id,
                    last_message_at, last_seq, last_out_seq, awaiting_seq, awaiting_reply_since)
         where c.id = u.id",
    )
    .bind(column!(id))
    .bind(column!(contact_name))
    .bind(column!(contact_username))
    .bind(column!(contact_photo_url))
    .bind(column!(contact_seq))
    .bind(column!(channel_kind))
    .bind(column!(channel_id))
    .bind(column!(channel_number))
    .bind(column!(channel_account_id))
    .bind(column!(channel_seq))
    .bind(column!(started_at))
    .bind(column!(unread_count))
    .bind(column!(last_message_id))
    .bind(column!(last_message_at))
    .bind(column!(last_seq))
    .bind(column!(last_out_seq))
    .bind(column!(awaiting_seq))
    .bind(column!(awaiting_reply_since))
    .execute(connection)
    .await?;
    Ok(())
}

/// The name in subjects.
pub(crate) async fn token(pool: &PgPool, id: Uuid) -> sqlx::Result<String> {
    sqlx::query_scalar("select token from conversations where id = $1").bind(id).fetch_one(pool).await
}

/// How the bot behaves in a conversation; what is absent stays as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steering {
    pub(crate) ai_active: Option<bool>,
    pub(crate) no_ac_ai: Option<bool>,
    /// The nil UUID takes the personality away.
    pub(crate) personality_id: Option<Uuid>,
}

/// Stores how the bot behaves. A conversation that is listed nowhere has no state and is left alone.
pub(crate) async fn steer(pool: &PgPool, id: Uuid, steering: Steering) -> sqlx::Result<()> {
    sqlx::query(
        "update conversations c set
            ai_active = u.ai_active, no_ac_ai = u.no_ac_ai, personality_id = u.personality_id,
            steered_at = case
                when (c.ai_active, c.no_ac_ai) = (u.ai_active, u.no_ac_ai) then c.steered_at else now()
            end,
            version = c.version + 1, updated_at = now()
         from (
            select id, coalesce($2, ai_active) as ai_active, coalesce($3, no_ac_ai) as no_ac_ai,
                   nullif(coalesce($4, personality_id), $5) as personality_id
            from conversations where id = $1 and last_seq > 0 for no key update
         ) u
         where c.id = u.id
           and (c.ai_active, c.no_ac_ai, c.personality_id)
               is distinct from (u.ai_active, u.no_ac_ai, u.personality_id)",
    )
    .bind(id)
    .bind(steering.ai_active)
    .bind(steering.no_ac_ai)
    .bind(steering.personality_id)
    .bind(Uuid::nil())
    .execute(pool)
    .await?;
    Ok(())
}

/// Nothing in the conversation is unread any more. Says whether that changed anything.
pub(crate) async fn mark_read(pool: &PgPool, id: Uuid) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let mut rows = lock(&mut transaction, &[id]).await?;
    let Some(row) = rows.first_mut().filter(|row| row.unread_count > 0) else {
        return Ok(false);
    };
    let mut changes = Changes::default();
    changes.add(&row.tenant, UNREAD, -i64::from(row.unread_count));
    row.unread_count = 0;
    update(&mut transaction, &[row]).await?;
    sqlx::query("update conversations set read_seq = last_seq where id = $1")
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    counters::add(&mut transaction, &changes).await?;
    transaction.commit().await?;
    Ok(true)
}
