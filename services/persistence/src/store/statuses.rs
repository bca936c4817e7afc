//! Rows of `message_statuses`, and what they do to `messages`.

use chasqui_proto::v1::{Direction, SenderType};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::fact::{self, Body, Fact};

/// A message whose status moved up.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Raised {
    pub(super) tenant: String,
    pub(super) id: Uuid,
    pub(super) conversation_id: Uuid,
    pub(super) direction: String,
    pub(super) sender_type: String,
    pub(super) seq: i64,
    pub(super) old_rank: i16,
    pub(super) new_rank: i16,
}

impl Raised {
    /// Campaigns write in the name of the system; of all others it is known without a look.
    pub(super) fn may_be_of_a_campaign(&self) -> bool {
        self.direction == Direction::Out.name() && self.sender_type == SenderType::System.name()
    }
}

/// Which messages may have moved: by our id or by the provider's.
#[derive(Debug, Default)]
pub(super) struct Touched<'a> {
    pub(super) by_id: Vec<(&'a str, Uuid)>,
    pub(super) by_provider_id: Vec<(&'a str, &'a str)>,
}

/// Stores statuses that are not stored yet. `statuses` are in order of tenant and id.
pub(super) async fn insert(connection: &mut PgConnection, statuses: &[&Fact]) -> sqlx::Result<u64> {
    let mut columns = Columns::default();
    for fact in statuses {
        columns.push(fact);
    }
    let done = sqlx::query(
        "insert into message_statuses (tenant, id, conversation_id, message_id, provider_message_id, status_rank, seq,
                                       event, occurred_at)
         select * from unnest($1::text[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::smallint[],
                              $7::bigint[], $8::bytea[], $9::timestamptz[])
         on conflict do nothing",
    )
    .bind(columns.tenants)
    .bind(columns.ids)
    .bind(columns.conversations)
    .bind(columns.messages)
    .bind(columns.provider_ids)
    .bind(columns.ranks)
    .bind(columns.seqs)
    .bind(columns.events)
    .bind(columns.occurred)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

#[derive(Default)]
struct Columns<'a> {
    tenants: Vec<&'a str>,
    ids: Vec<Uuid>,
    conversations: Vec<Uuid>,
    messages: Vec<Uuid>,
    provider_ids: Vec<Option<&'a str>>,
    ranks: Vec<i16>,
    seqs: Vec<i64>,
    events: Vec<&'a [u8]>,
    occurred: Vec<time::OffsetDateTime>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, fact: &'a Fact) {
        let Body::Status { message_id, provider_message_id, rank, occurred_at_ms } = &fact.body else {
            return;
        };
        self.tenants.push(fact.place.tenant.as_str());
        self.ids.push(fact.id);
        self.conversations.push(fact.place.id);
        self.messages.push(*message_id);
        self.provider_ids.push(provider_message_id.as_deref());
        self.ranks.push(*rank);
        self.seqs.push(fact.seq);
        self.events.push(&fact.event);
        self.occurred.push(fact::moment(*occurred_at_ms));
    }
}

/// Which of these messages have a status that came before them.
pub(super) async fn early(
    connection: &mut PgConnection,
    messages: &[(&str, Uuid)],
) -> sqlx::Result<Vec<Uuid>> {
    let (tenants, ids): (Vec<&str>, Vec<Uuid>) = messages.iter().copied().unzip();
    sqlx::query_scalar(
        "select k.id from unnest($1::text[], $2::uuid[]) as k (tenant, id)
         where exists (select from message_statuses s where s.tenant = k.tenant and s.message_id = k.id)",
    )
    .bind(tenants)
    .bind(ids)
    .fetch_all(connection)
    .await
}

/// Brings messages up to the highest status that is stored of them, and never down. Called under the lock of their
/// conversations, so that of a message and a status stored side by side the later one sees the other.
///
/// A status may know only the provider's id of a message that is ours; an earlier one with both ids ties them together.
pub(super) async fn raise(connection: &mut PgConnection, touched: &Touched<'_>) -> sqlx::Result<Vec<Raised>> {
    let (id_tenants, ids): (Vec<&str>, Vec<Uuid>) = touched.by_id.iter().copied().unzip();
    let (provider_tenants, provider_ids): (Vec<&str>, Vec<&str>) =
        touched.by_provider_id.iter().copied().unzip();
    sqlx::query_as(
        "with touched as (
            select m.tenant, m.id from unnest($1::text[], $2::uuid[]) as k (tenant, id)
            join messages m on m.tenant = k.tenant and m.id = k.id
            union
            select m.tenant, m.id from unnest($3::text[], $4::text[]) as k (tenant, provider_id)
            join messages m on m.tenant = k.tenant and m.provider_id = k.provider_id
         ), tied as (
            select m.tenant, m.id, m.status_rank, m.provider_id, coalesce(m.provider_id, (
                select s.provider_message_id from message_statuses s
                where s.tenant = m.tenant and s.message_id = m.id and s.provider_message_id is not null limit 1
            )) as tied_id
            from touched t join messages m on m.tenant = t.tenant and m.id = t.id
         ), ranked as (
            select tied.tenant, tied.id, tied.status_rank as old_rank,
                   greatest(tied.status_rank, by_id.rank, by_provider_id.rank)::smallint as new_rank,
                   case when tied.provider_id is null and not exists (
                       select from messages o where o.tenant = tied.tenant and o.provider_id = tied.tied_id
                   ) then tied.tied_id else tied.provider_id end as provider_id,
                   tied.provider_id as old_provider_id
            from tied
            cross join lateral (
                select max(s.status_rank) as rank from message_statuses s
                where s.tenant = tied.tenant and s.message_id = tied.id
            ) by_id
            cross join lateral (
                select max(s.status_rank) as rank from message_statuses s
                where s.tenant = tied.tenant and s.provider_message_id = tied.tied_id
            ) by_provider_id
         )
         update messages m set status_rank = r.new_rank, provider_id = r.provider_id
         from ranked r
         where m.tenant = r.tenant and m.id = r.id
           and (r.new_rank > r.old_rank or r.provider_id is distinct from r.old_provider_id)
         returning m.tenant, m.id, m.conversation_id, m.direction, m.sender_type, m.seq, r.old_rank, r.new_rank",
    )
    .bind(id_tenants)
    .bind(ids)
    .bind(provider_tenants)
    .bind(provider_ids)
    .fetch_all(connection)
    .await
}
