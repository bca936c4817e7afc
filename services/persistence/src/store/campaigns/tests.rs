use chasqui_testkit::Postgres;
use sqlx::AssertSqlSafe;

use super::*;

#[tokio::test]
async fn who_is_due_is_found_without_looking_at_those_at_rest() {
    let url = Postgres::shared().await.unwrap().database().await.unwrap();
    let pool = super::super::pool(&url.into(), 1).unwrap();
    sqlx::query(
        "insert into campaigns (id, tenant, upload, name, created_by, plan, status, told_version, scheduled_at)
         select gen_random_uuid(), 'default', gen_random_uuid(), 'Invierno', 'key', '', status, 1,
                case when status = 'scheduled' then now() + interval '1 year' end
         from generate_series(1, 2000), unnest(array['completed', 'scheduled', 'paused']) status",
    )
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query("analyze campaigns").execute(&pool).await.unwrap();
    assert!(due(&pool, 1_000).await.unwrap().is_empty());
    let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("explain {DUE}")))
        .bind(1_000_i64)
        .fetch_all(&pool)
        .await
        .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("using campaigns_due_idx"), "{plan}");
    assert!(plan.contains("Index Cond: (scheduled_at <= statement_timestamp())"), "{plan}");
}
