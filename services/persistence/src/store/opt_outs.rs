//! Rows of `consents`: what was said last of each contact getting campaigns.
//!
//! Replicas store side by side, so that a message may be stored after a later one. What was said furthest down the stream
//! is what stands, in whatever order it is stored.

use std::collections::HashSet;

use chasqui_proto::{ConversationToken, Tenant, v1};
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    fact::{self, Body, Fact},
    opt_out::{Keywords, Source, Wish},
};

/// A contact who wants no campaigns.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Row {
    tenant: String,
    token: String,
    source: String,
    since: OffsetDateTime,
    pub(crate) position: i64,
}

impl Row {
    /// The opt-out as others see it.
    pub(crate) fn state(self) -> v1::OptOut {
        v1::OptOut {
            tenant: self.tenant,
            conversation: self.token,
            source: self.source,
            since_ms: fact::milliseconds(self.since),
        }
    }
}

/// Stores what new messages and statuses say. A status counts where it is the one that is stored: brought again by the
/// provider, days later, it says nothing new. Where nothing is said, nothing is asked. Returns what was not said before
/// something later.
pub(super) async fn hear(
    connection: &mut PgConnection,
    keywords: &Keywords,
    messages: &[(&Fact, &v1::Message)],
    statuses: &[&Fact],
) -> sqlx::Result<Vec<Wish>> {
    let facts = messages.iter().map(|(fact, _)| *fact).chain(statuses.iter().copied());
    let said: Vec<(&Fact, Wish)> = facts.filter_map(|fact| Some((fact, Wish::of(fact, keywords)?))).collect();
    if said.is_empty() {
        return Ok(Vec::new());
    }
    let kept: Vec<i64> = sqlx::query_scalar(
        "insert into consents (tenant, token, opted_out, source, since, seq)
         select distinct on (u.tenant, u.token) u.tenant, u.token, u.opted_out, u.source, u.since, u.seq
         from unnest($1::text[], $2::text[], $3::bool[], $4::text[], $5::timestamptz[], $6::bigint[], $7::uuid[])
              as u (tenant, token, opted_out, source, since, seq, status_id)
         where u.status_id is null or exists (
             select from message_statuses s where s.tenant = u.tenant and s.id = u.status_id and s.seq = u.seq
         )
         order by u.tenant, u.token, u.seq desc
         on conflict (tenant, token) do update
         set opted_out = excluded.opted_out, source = excluded.source, since = excluded.since, seq = excluded.seq,
             position = case when consents.opted_out then consents.position else excluded.position end
         where consents.seq < excluded.seq
         returning seq",
    )
    .bind(said.iter().map(|(fact, _)| fact.place.tenant.as_str()).collect::<Vec<_>>())
    .bind(said.iter().map(|(fact, _)| fact.place.token.as_str()).collect::<Vec<_>>())
    .bind(said.iter().map(|(_, wish)| wish.opted_out).collect::<Vec<_>>())
    .bind(said.iter().map(|(_, wish)| wish.source.name()).collect::<Vec<_>>())
    .bind(said.iter().map(|(fact, _)| since(fact)).collect::<Vec<_>>())
    .bind(said.iter().map(|(fact, _)| fact.seq).collect::<Vec<_>>())
    .bind(said.iter().map(|(fact, _)| fact.message().is_none().then_some(fact.id)).collect::<Vec<Option<Uuid>>>())
    .fetch_all(connection)
    .await?;
    let kept: HashSet<i64> = kept.into_iter().collect();
    Ok(said.into_iter().filter(|(fact, _)| kept.contains(&fact.seq)).map(|(_, wish)| wish).collect())
}

/// When a fact was said.
fn since(fact: &Fact) -> OffsetDateTime {
    let occurred_at_ms = match &fact.body {
        Body::Message(message) => message.occurred_at_ms,
        Body::Status { occurred_at_ms, .. } => *occurred_at_ms,
    };
    fact::moment(fact::either(occurred_at_ms, fact.received_at_ms))
}

/// Stores what an operator says, while the stream is as far as `seq`: it stands until the contact says something later. A
/// contact who has opted out already keeps who said so, and since when. Returns whether it was opted out before, and the
/// opt-out that stands.
pub(crate) async fn set(
    executor: impl PgExecutor<'_>,
    tenant: &Tenant,
    token: &ConversationToken,
    opted_out: bool,
    seq: i64,
) -> sqlx::Result<(bool, Row)> {
    #[derive(sqlx::FromRow)]
    struct Set {
        was_out: bool,
        #[sqlx(flatten)]
        row: Row,
    }
    let set: Set = sqlx::query_as(
        "with before as (
            select opted_out from consents where tenant = $1 and token = $2
         ), stored as (
            insert into consents (tenant, token, opted_out, source, since, seq)
            values ($1, $2, $3, $4, clock_timestamp(), $5)
            on conflict (tenant, token) do update
            set opted_out = excluded.opted_out, seq = greatest(consents.seq, excluded.seq),
                source = case when consents.opted_out = excluded.opted_out then consents.source else excluded.source end,
                since = case when consents.opted_out = excluded.opted_out then consents.since else excluded.since end,
                position = case when consents.opted_out then consents.position else excluded.position end
            returning tenant, token, source, since, position
         )
         select coalesce((select opted_out from before), false) as was_out, stored.* from stored",
    )
    .bind(tenant.as_str())
    .bind(token.as_str())
    .bind(opted_out)
    .bind(Source::Operator.name())
    .bind(seq)
    .fetch_one(executor)
    .await?;
    Ok((set.was_out, set.row))
}

/// Opt-outs of a tenant, newest first, those before a position.
pub(crate) async fn page(
    executor: impl PgExecutor<'_>,
    tenant: &Tenant,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as(
        "select tenant, token, source, since, position from opt_outs
         where tenant = $1 and position < $2 order by position desc limit $3",
    )
    .bind(tenant.as_str())
    .bind(before)
    .bind(limit)
    .fetch_all(executor)
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use chasqui_proto::{MessageId, address, subject};
    use chasqui_testkit::Postgres;
    use futures::future::try_join_all;
    use proptest::{prelude::*, test_runner::TestRunner};
    use prost::Message;
    use sqlx::PgPool;

    use super::*;
    use crate::{Config, store::write::write};

    /// What may be the next thing in the stream.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Step {
        Leaves,
        Returns,
        TellsWhatsapp,
        WritesSomething,
    }

    impl Step {
        fn wish(self) -> Option<(bool, &'static str)> {
            match self {
                Self::Leaves => Some((true, "keyword")),
                Self::Returns => Some((false, "keyword")),
                Self::TellsWhatsapp => Some((true, "provider")),
                Self::WritesSomething => None,
            }
        }

        fn fact(self, tenant: &Tenant, contact: usize, seq: u64) -> Fact {
            let alias = address::phone(&format!("549110000000{contact}"));
            let token = ConversationToken::of(&alias);
            let (id, at_ms) = (Uuid::now_v7().to_string(), 1_760_000_000_000 + i64::try_from(seq).unwrap());
            let text = match self {
                Self::Leaves => "Baja",
                Self::Returns => "alta",
                Self::WritesSomething => "la presión está baja",
                Self::TellsWhatsapp => {
                    let error = v1::ProviderError { code: 131_050, ..v1::ProviderError::default() };
                    let status = v1::MessageStatus {
                        id,
                        tenant: tenant.to_string(),
                        conversation: token.to_string(),
                        message_id: MessageId::now().to_string(),
                        status: v1::Status::Failed.into(),
                        errors: vec![error],
                        occurred_at_ms: at_ms,
                        ..v1::MessageStatus::default()
                    };
                    let subject = subject::messages_status(tenant, &token);
                    return fact::read(subject.as_str(), &status.encode_to_vec().into(), seq, false).unwrap();
                }
            };
            let kind = v1::ChannelKind::WhatsappCloud.into();
            let message = v1::Message {
                id,
                tenant: tenant.to_string(),
                conversation: token.to_string(),
                direction: v1::Direction::In.into(),
                channel: Some(v1::Channel { kind, ..v1::Channel::default() }),
                r#type: v1::MessageType::Text.into(),
                text: text.to_owned(),
                occurred_at_ms: at_ms,
                ..v1::Message::default()
            };
            let subject = subject::messages_in(tenant, &token);
            fact::read(subject.as_str(), &message.encode_to_vec().into(), seq, false).unwrap()
        }
    }

    /// Everything two contacts do, the order in which it is stored, and how much of it in one transaction.
    type Story = (Vec<(Step, usize)>, Vec<usize>, usize, bool);

    fn stories() -> impl Strategy<Value = Story> {
        let step = prop_oneof![
            Just(Step::Leaves),
            Just(Step::Returns),
            Just(Step::TellsWhatsapp),
            Just(Step::WritesSomething)
        ];
        proptest::collection::vec((step, 0..2_usize), 1..12).prop_flat_map(|steps| {
            let order = Just((0..steps.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(steps), order, 1..5_usize, any::<bool>())
        })
    }

    async fn stored(pool: &PgPool, tenant: &Tenant) -> Vec<(String, bool, String, i64)> {
        sqlx::query_as("select token, opted_out, source, seq from consents where tenant = $1 order by token")
            .bind(tenant.as_str())
            .fetch_all(pool)
            .await
            .unwrap()
    }

    /// Whatever replicas store first, and side by side: what was said last stands.
    #[test]
    fn what_was_said_last_stands_in_whatever_order_it_is_stored() {
        static STORY: AtomicU32 = AtomicU32::new(0);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let pool = runtime.block_on(async {
            let url = Postgres::shared().await.unwrap().database().await.unwrap();
            super::super::pool(&url.into(), 4).unwrap()
        });
        let keywords = Config::default().keywords();
        let mut runner = TestRunner::new(ProptestConfig {
            cases: 64,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let outcome = runner.run(&stories(), |(steps, order, batch_max, side_by_side)| {
            let tenant: Tenant = format!("t{}", STORY.fetch_add(1, Ordering::Relaxed)).parse().unwrap();
            let facts: Vec<Fact> =
                (1..).zip(&steps).map(|(seq, (step, who))| step.fact(&tenant, *who, seq)).collect();
            let batches: Vec<Vec<&Fact>> =
                order.chunks(batch_max).map(|batch| batch.iter().map(|at| &facts[*at]).collect()).collect();
            runtime.block_on(async {
                if side_by_side {
                    try_join_all(batches.iter().map(|batch| write(&pool, batch, &keywords))).await.unwrap();
                } else {
                    for batch in &batches {
                        write(&pool, batch, &keywords).await.unwrap();
                    }
                }
            });
            let mut expected = Vec::new();
            for contact in 0..2 {
                let said = (1..).zip(&steps).filter(|(_, (_, who))| *who == contact);
                let last = said.filter_map(|(seq, (step, _))| Some((seq, step.wish()?))).last();
                expected.extend(last.map(|(seq, (opted_out, source))| {
                    (format!("549110000000{contact}"), opted_out, source.to_owned(), seq)
                }));
            }
            prop_assert_eq!(runtime.block_on(stored(&pool, &tenant)), expected);
            Ok(())
        });
        outcome.unwrap();
    }
}
