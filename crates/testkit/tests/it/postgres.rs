use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use anyhow::Result;
use chasqui_testkit::Postgres;
use sqlx::{Connection, PgConnection};

async fn execute(url: &str, statement: &'static str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(statement).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

async fn count(url: &str) -> Result<i64> {
    let mut connection = PgConnection::connect(url).await?;
    let count = sqlx::query_scalar("select count(*) from mine").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(count)
}

#[tokio::test]
async fn every_test_gets_a_migrated_database_of_its_own() -> Result<()> {
    let postgres = Postgres::shared().await?;
    let (one, other) = tokio::try_join!(postgres.database(), postgres.database())?;
    assert_ne!(one, other);
    execute(&one, "select 1 from _sqlx_migrations; create table mine ()").await?;
    assert!(count(&other).await.is_err(), "what one test makes the other does not see");
    Ok(())
}

#[tokio::test]
async fn many_tests_may_ask_for_a_database_at_the_same_moment() -> Result<()> {
    let postgres = Postgres::shared().await?;
    let begin = Instant::now();
    let asked = (0..8).map(|_| postgres.database());
    let urls: Vec<String> = futures::future::try_join_all(asked).await?;
    println!("8 databases in {:?}", begin.elapsed());
    for url in urls {
        execute(&url, "create table mine ()").await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_empty_database_has_no_migrations() -> Result<()> {
    let empty = Postgres::shared().await?.empty_database().await?;
    assert!(execute(&empty, "select 1 from _sqlx_migrations").await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_stopped_server_comes_back_at_the_same_address_with_its_data() -> Result<()> {
    let postgres = Postgres::temporary().await?;
    let url = postgres.empty_database().await?;
    execute(&url, "create table mine (); insert into mine default values").await?;
    let idle_client = PgConnection::connect(&url).await?;
    postgres.stop().await;
    assert!(PgConnection::connect(&url).await.is_err(), "stopped means gone, clients or not");
    postgres.start().await?;
    postgres.start().await?;
    assert_eq!(count(&url).await?, 1);
    drop(idle_client);
    Ok(())
}

/// The directory is deep, so that the socket cannot stand in it, and closed to everybody else, as a
/// clone in the home of root is.
#[tokio::test]
async fn a_kept_cluster_has_its_data_after_a_restart() -> Result<()> {
    let private = tempfile::tempdir()?;
    std::fs::set_permissions(private.path(), std::fs::Permissions::from_mode(0o700))?;
    let home = private.path().join("deep/".repeat(20)).join("pg");
    let first = Postgres::open(&home).await?;
    let url = first.ensure_database("chasqui").await?;
    execute(&url, "create table mine (); insert into mine default values").await?;
    drop(first);
    let second = Postgres::open(&home).await?;
    assert_eq!(count(&second.ensure_database("chasqui").await?).await?, 1);
    second.stop().await;
    Ok(())
}

#[tokio::test]
async fn nobody_else_can_enter_the_directory_of_the_socket() -> Result<()> {
    let private = tempfile::tempdir()?;
    let postgres = Postgres::open(&private.path().join("pg")).await?;
    let mode = std::fs::metadata(private.path().join("pg"))?.permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    drop(postgres);
    Ok(())
}
