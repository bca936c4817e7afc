use chasqui_testkit::Postgres;
use sqlx::{AssertSqlSafe, PgPool};

use super::*;

const MANY: i32 = 20_000;

/// A campaign with a long list, of which the planner believes what it saw when the list was new.
async fn began() -> (PgPool, Uuid) {
    let url = Postgres::shared().await.unwrap().database().await.unwrap();
    let pool = super::super::pool(&url.into(), 1).unwrap();
    let campaign = Uuid::now_v7();
    sqlx::query(
        "insert into campaigns (id, tenant, upload, name, created_by, plan, status, pending)
         values ($1, 'default', $1, 'Invierno', 'key', '', 'running', $2)",
    )
    .bind(campaign)
    .bind(MANY)
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query(
        "insert into campaign_recipients (campaign_id, line, tenant, token, contact, name, variables, state)
         select $1, n, 'default', n::text, n::text, '', '', 'pending' from generate_series(1, $2) n",
    )
    .bind(campaign)
    .bind(MANY)
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query("analyze campaign_recipients").execute(&pool).await.unwrap();
    (pool, campaign)
}

/// How PostgreSQL answers a question about a campaign.
async fn explained(pool: &PgPool, query: &str, campaign: Uuid) -> String {
    let explain = sqlx::query_scalar(AssertSqlSafe(format!("explain {query}")));
    let plan: Vec<String> = explain.bind(campaign).bind(256_i64).fetch_all(pool).await.unwrap();
    plan.join("\n")
}

#[tokio::test]
async fn whoever_has_had_a_turn_is_not_walked_past_to_find_who_is_next() {
    let (pool, campaign) = began().await;
    let taken = sqlx::query("update campaign_recipients set state = 'sent' where line <= $1 / 2");
    taken.bind(MANY).execute(&pool).await.unwrap();
    let plan = explained(&pool, NEXT, campaign).await;
    assert!(plan.contains("using campaign_recipients_pending_idx"), "{plan}");
}

#[tokio::test]
async fn opt_outs_are_looked_up_for_those_who_are_next_and_not_read_all() {
    let (pool, campaign) = began().await;
    sqlx::query(
        "insert into consents (tenant, token, opted_out, source, since, seq)
         select 'other', n::text, true, 'keyword', now(), n from generate_series(1, 100000) n",
    )
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query("analyze consents").execute(&pool).await.unwrap();
    let plan = explained(&pool, NEXT, campaign).await;
    assert!(plan.contains("using consents_pkey") && !plan.contains("consents_tenant_position_idx"), "{plan}");
}

#[tokio::test]
async fn messages_that_wait_for_themselves_are_not_looked_at_to_count_those_that_wait_for_their_number() {
    let (pool, campaign) = began().await;
    let queued = "update campaign_recipients set state = 'queued', queued_at = now() - interval '1 hour'";
    sqlx::query(queued).execute(&pool).await.unwrap();
    let plan = explained(&pool, RECENTLY_QUEUED, campaign).await;
    let condition = plan.lines().find(|line| line.contains("Index Cond")).unwrap_or_default();
    assert!(condition.contains("queued_at > "), "{plan}");
}
