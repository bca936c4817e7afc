//! What statuses of messages do to the recipients of campaigns.

use std::collections::HashMap;

use chasqui_proto::v1::{MessageStatus, ProviderError, RecipientState, Status};
use prost::Message;
use sqlx::PgConnection;
use uuid::Uuid;

use super::statuses::Raised;
use crate::{
    campaign_recipient::{self, Changes},
    word,
};

/// A recipient whose newest message got further.
#[derive(Debug, sqlx::FromRow)]
struct Row {
    campaign_id: Uuid,
    line: i32,
    tenant: String,
    message_id: Uuid,
    state: String,
    error_code: Option<i64>,
    error_title: Option<String>,
}

/// A recipient that goes to another state.
struct Moved {
    row: Row,
    from: RecipientState,
    to: RecipientState,
    error: Option<ProviderError>,
}

/// Moves the recipients whose messages were raised; returns what that changes in the counts of their campaigns. Their
/// rows are taken in one order everywhere, and before those of the campaigns.
pub(super) async fn follow(connection: &mut PgConnection, raised: &[&Raised]) -> sqlx::Result<Changes> {
    let mut changes = Changes::new();
    if raised.is_empty() {
        return Ok(changes);
    }
    let ranks: HashMap<(&str, Uuid), i16> =
        raised.iter().map(|message| ((message.tenant.as_str(), message.id), message.new_rank)).collect();
    let mut moved: Vec<Moved> = Vec::new();
    for row in lock(connection, raised).await? {
        let rank = ranks.get(&(row.tenant.as_str(), row.message_id)).copied().unwrap_or_default();
        let from = RecipientState::of_name(&row.state).unwrap_or_default();
        let to = campaign_recipient::moved(from, word::status_of_rank(rank));
        if from != to {
            moved.push(Moved { row, from, to, error: None });
        }
    }
    if moved.is_empty() {
        return Ok(changes);
    }
    add_errors(connection, &mut moved).await?;
    store(connection, &moved).await?;
    for one in &moved {
        let change = changes.entry(one.row.campaign_id).or_default();
        change.move_from(one.from, one.to, 1);
        if one.from == RecipientState::Failed {
            let title = one.row.error_title.as_deref().unwrap_or_default();
            change.reason(one.row.error_code.unwrap_or_default(), title, -1);
        }
        if let Some(error) = &one.error {
            change.reason(error.code, &error.title, 1);
        }
    }
    Ok(changes)
}

async fn lock(connection: &mut PgConnection, raised: &[&Raised]) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as(
        "select r.campaign_id, r.line, r.tenant, r.message_id, r.state, r.error_code, r.error_title
         from unnest($1::text[], $2::uuid[]) as k (tenant, id)
         join campaign_recipients r on r.tenant = k.tenant and r.message_id = k.id
         order by r.tenant, r.message_id for no key update of r",
    )
    .bind(raised.iter().map(|message| message.tenant.as_str()).collect::<Vec<_>>())
    .bind(raised.iter().map(|message| message.id).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
}

/// Why messages failed, as their statuses say. Those may have been stored before this batch.
async fn add_errors(connection: &mut PgConnection, moved: &mut [Moved]) -> sqlx::Result<()> {
    let failed: Vec<&mut Moved> = moved.iter_mut().filter(|one| one.to == RecipientState::Failed).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let events: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(
        "select m.id, s.event
         from unnest($1::text[], $2::uuid[]) as k (tenant, id)
         join messages m on m.tenant = k.tenant and m.id = k.id
         cross join lateral (
            select event from (
                select seq, event from message_statuses
                where tenant = m.tenant and message_id = m.id and status_rank = $3
                union all
                select seq, event from message_statuses
                where tenant = m.tenant and provider_message_id = m.provider_id and status_rank = $3
            ) told
            order by seq limit 1
         ) s",
    )
    .bind(failed.iter().map(|one| one.row.tenant.as_str()).collect::<Vec<_>>())
    .bind(failed.iter().map(|one| one.row.message_id).collect::<Vec<_>>())
    .bind(Status::Failed as i16)
    .fetch_all(connection)
    .await?;
    let error = |event: Vec<u8>| MessageStatus::decode(&*event).ok()?.errors.into_iter().next();
    let mut errors: HashMap<Uuid, ProviderError> =
        events.into_iter().filter_map(|(id, event)| Some((id, error(event)?))).collect();
    for one in failed {
        let told = errors.remove(&one.row.message_id).unwrap_or_default();
        one.error = Some(campaign_recipient::kept(&told));
    }
    Ok(())
}

async fn store(connection: &mut PgConnection, moved: &[Moved]) -> sqlx::Result<()> {
    macro_rules! error {
        ($field:ident) => {
            moved.iter().map(|one| one.error.as_ref().map(|error| error.$field.clone())).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "update campaign_recipients r set
            state = u.state, error_code = u.code, error_title = u.title, error_message = u.message,
            error_details = u.details, updated_at = clock_timestamp()
         from unnest($1::uuid[], $2::integer[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[])
              as u (campaign_id, line, state, code, title, message, details)
         where r.campaign_id = u.campaign_id and r.line = u.line",
    )
    .bind(moved.iter().map(|one| one.row.campaign_id).collect::<Vec<_>>())
    .bind(moved.iter().map(|one| one.row.line).collect::<Vec<_>>())
    .bind(moved.iter().map(|one| one.to.name()).collect::<Vec<_>>())
    .bind(error!(code))
    .bind(error!(title))
    .bind(error!(message))
    .bind(error!(details))
    .execute(connection)
    .await?;
    Ok(())
}
